"""A model's folder from a file alone: what its manifest has to say, and where each line of it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import TRANSFORMING
from worker.domain.preprocessing import Output
from worker.models.annotated_manifest import Line, annotated, section
from worker.models.architectures import tasks_of
from worker.models.checkpoint_notes import CheckpointNotes, notes_of
from worker.models.checkpoints import Weights, as_safetensors, candidates, read_checkpoint, weights_in
from worker.models.file_kinds import PROGRAM, kind_of
from worker.models.guess import Fit, Guess, guess
from worker.models.manifest import MANIFEST_FILE
from worker.models.manifest_checks import ONE_CLASS
from worker.models.manifest_fields import SCORED, TaskName
from worker.models.network import read_network_file
from worker.models.new_labels import Labels, choose_labels
from worker.models.new_preprocessing import (
    ToldPreprocessing,
    choose_preprocessing,
    published_file,
    usual_weights,
)
from worker.models.outlines import names
from worker.models.store import sha256_of_bytes
from worker.models.torchvision_weights import PublishedWeights

_NAMED: Final = 3
_OF_PROGRAMS: Final[Sequence[TaskName]] = ("classify", "multi_label", "segment", "embed")
_BY_HAND: Final = "docs/your-own-model.md shows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the maker of a model says; None leaves it to the file.

    Attributes:
        labels: a file of class names, or `worker.models.new_labels.NUMBERS`.
        architecture: torchvision's name of the network.
        arguments: of torchvision's builder.
        entry: the place of the weights in the file, as in the manifest's `weights_entry`.
        task: what the network is for, if it can do several things.
        output: what a program returns.
        preprocessing: the numbers of the training.
    """

    labels: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    entry: str | None = None
    task: TaskName | None = None
    output: Output | None = None
    preprocessing: ToldPreprocessing = field(default_factory=ToldPreprocessing)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """What becomes of a file.

    Attributes:
        lines: of the manifest, in order.
        labels: class names by index; none for the task `embed`.
        file: the name of the file with the network, in the model's folder.
        data: its content.
    """

    lines: Sequence[Line]
    labels: Labels
    file: str
    data: bytes

    def write(self, folder: Path) -> None:
        """Write the network, the labels and the manifest into an empty folder."""
        (folder / self.file).write_bytes(self.data)
        if self.labels.names:
            (folder / self.labels.file).write_text(self.labels.text, encoding="utf-8")
        (folder / MANIFEST_FILE).write_text(annotated(self.lines), encoding="utf-8")


def describe_file(file: Path, name: str, told: Told) -> NewModel:
    """Find out what a manifest has to say of a file; nothing is written.

    Args:
        file: weights of a network of torchvision in any wrapper, or a program of `torch.export`.
        name: of the model.
        told: what its maker says.

    Raises:
        ModelUnavailable: the file is something else or damaged, or its maker has to say more.
        SettingsError: the preprocessing has faults.
    """
    data = read_network_file(file)
    return _of_program(file, data, name, told) if kind_of(data) is PROGRAM else _of_weights(file, data, name, told)


def _of_weights(file: Path, data: bytes, name: str, told: Told) -> NewModel:
    what, sha256 = file.name, sha256_of_bytes(data)
    checkpoint = read_checkpoint(data, what)
    notes, mappings = notes_of(checkpoint), weights_in(checkpoint, what)
    fit = _chosen(what, guess(mappings, _tried(told), told.arguments), notes, told)
    published = published_file(fit.architecture, sha256)
    task = _task(fit, told)
    arguments = _arguments(what, fit, published)
    labels = choose_labels(what, told.labels, task=task, classes=fit.classes, notes=notes, published=published)
    numbers = choose_preprocessing(what, fit, published, notes, told.preprocessing)
    usual = usual_weights(fit.architecture, fit.arguments)
    content, weights = (_rewritten(mappings, fit), "weights.safetensors") if fit.renamed else (data, what)
    return NewModel(
        lines=[
            Line("name", name),
            Line("architecture", fit.architecture, f"all {fit.tensors} tensors fit"),
            *([Line("arguments", arguments)] if arguments else []),
            Line("weights", weights, _of_copy(what, sha256, fit)),
            *([Line("weights_entry", told.entry, "as you said")] if told.entry and not fit.renamed else []),
            Line("sha256", sha256_of_bytes(content)),
            *_of_task(task, labels),
            *([Line("clip", section(usual.clip), f"torchvision's for {usual.architecture}")] if usual.clip else []),
            Line("preprocessing", section(numbers.preprocessing), numbers.source),
            *_of_output(task, fit.classes),
        ],
        labels=labels,
        file=weights,
        data=content,
    )


def _of_program(file: Path, data: bytes, name: str, told: Told) -> NewModel:
    what, task = file.name, told.task or "classify"
    options = {"architecture": told.architecture, "argument": told.arguments, "entry": told.entry}
    if given := [f"--{option}" for option, value in options.items() if value]:
        raise ModelUnavailable(f"{what} is a program, and {', '.join(given)} is for weights: leave it out")
    if task not in _OF_PROGRAMS:
        raise ModelUnavailable(f"--task {task} of a program needs a manifest that you write, as {_BY_HAND}")
    if task in SCORED and told.output is None:
        raise ModelUnavailable(
            f"{what} is a program, which does not say what it returns: give --output logits, or --output "
            "probabilities if its last layer is a softmax"
        )
    notes = notes_of(None)
    labels = choose_labels(what, told.labels, task=task, classes=None, notes=notes, published=None)
    numbers = choose_preprocessing(what, None, None, notes, told.preprocessing)
    return NewModel(
        lines=[
            Line("name", name),
            Line("program", what, "a program of torch.export; this is a copy"),
            Line("sha256", sha256_of_bytes(data)),
            *_of_task(task, labels),
            Line("preprocessing", section(numbers.preprocessing), numbers.source),
            *([Line("output", told.output, "as you said")] if task in SCORED else []),
        ],
        labels=labels,
        file=what,
        data=data,
    )


def _tried(told: Told) -> Sequence[str]:
    known = names()
    if told.architecture is None:
        return known
    if told.architecture not in known:
        near = get_close_matches(told.architecture, known) or known
        raise ModelUnavailable(
            f"--architecture {told.architecture} is no network of torchvision: give one such as {_some(near)}, or "
            "leave it out, and the network is found by its tensors"
        )
    return [told.architecture]


def _chosen(what: str, found: Guess, notes: CheckpointNotes, told: Told) -> Fit:
    """Return the only network and the only mapping that fit.

    Raises:
        ModelUnavailable: none fits, or several do and nobody says which one.
    """
    fits = [each for each in found.fits if told.entry in (None, each.place)]
    if not fits:
        raise ModelUnavailable(_no_fit(what, found, told))
    architectures = list(dict.fromkeys(each.architecture for each in fits))
    said = {each.value for each in notes.networks}.intersection(architectures)
    if len(architectures) > 1 and len(said) != 1:
        raise ModelUnavailable(
            f"{what} fits {' and '.join(architectures)}: name one, such as --architecture {architectures[0]}"
        )
    fits = [each for each in fits if len(architectures) == 1 or each.architecture in said]
    if len(fits) > 1:
        places = " and ".join(each.place for each in fits[:_NAMED])
        raise ModelUnavailable(
            f"{what} has {len(fits)} sets of weights that fit {fits[0].architecture}, {places}: name one, such as "
            f"--entry {fits[-1].place}"
        )
    (fit,) = fits
    if fit.others and told.entry is None:
        raise ModelUnavailable(
            f"{what} has more tensors than {fit.architecture}, {_some(fit.others)}: if these are no part of "
            f"the network, give --entry {fit.place}; else export the whole network as a program, as {_BY_HAND}"
        )
    return fit


def _no_fit(what: str, found: Guess, told: Told) -> str:
    export = f"export it as a program where its code is, as {_BY_HAND}, and give the program to this command"
    if found.fits:
        places = " or ".join(f"--entry {each.place}" for each in found.fits)
        return f"{what} has no weights of {found.fits[0].architecture} at {told.entry}: give {places}"
    asked = told.architecture or "any network of torchvision"
    asked += "".join(f" with --argument {name}={value}" for name, value in told.arguments.items())
    if (nearest := found.nearest) is None:
        return f"{what} lacks more than half of the tensors of {asked}: if it is of another library (timm), {export}"
    differences = {"it lacks ": nearest.missing, "it also has ": nearest.beyond, "": nearest.unlike}
    told_differences = "; ".join(f"{word}{_some(each)}" for word, each in differences.items() if each)
    return (
        f"{what} does not fit {asked}: {nearest.fitting} of {nearest.tensors} tensors of {nearest.architecture} fit, "
        f"which is the nearest; {told_differences or 'its layers for the classes differ in their number'}: "
        + ("leave out --architecture, or " if told.architecture else "")
        + export
    )


def _arguments(what: str, fit: Fit, published: PublishedWeights | None) -> Mapping[str, Any]:
    """Return what torchvision's builder needs.

    Raises:
        ModelUnavailable: weights do not say it.
    """
    arguments = {**(published.arguments if published else {}), **fit.arguments}
    if fit.architecture in TRANSFORMING and "transform_input" not in arguments:
        raise ModelUnavailable(
            f"{what} does not say whether {fit.architecture} normalises its input once more: give --argument "
            "transform_input=true if it was fine-tuned from torchvision's weights, or else "
            "--argument transform_input=false"
        )
    return arguments


def _task(fit: Fit, told: Told) -> TaskName:
    possible = tasks_of(fit.architecture)
    if told.task is not None and told.task not in possible:
        raise ModelUnavailable(f"--task {told.task} is not for {fit.architecture}: give --task {' or '.join(possible)}")
    return told.task or fit.task


def _rewritten(mappings: Sequence[Weights], fit: Fit) -> bytes:
    """Return the weights under the network's own names, as a safetensors file."""
    (weights,) = [each for each in candidates(mappings, fit.names) if each.place == fit.place]
    tensors = {fit.renamed.get(name, name): each for name, each in weights.tensors.items()}
    return as_safetensors({name: each for name, each in tensors.items() if name in fit.names})


def _of_copy(what: str, sha256: str, fit: Fit) -> str:
    if not fit.renamed:
        return "a copy"
    theirs, own = next(iter(fit.renamed.items()))
    return (
        f"from {what} (sha256 {sha256[:12]}...), with {theirs} called {own}; before this layer there was only dropout"
    )


def _of_task(task: TaskName, labels: Labels) -> Iterator[Line]:
    if task != "classify":
        yield Line("task", task)
    if labels.names:
        yield Line("labels", labels.file, f"{len(labels.names)} {labels.source}")


def _of_output(task: TaskName, classes: int) -> Iterator[Line]:
    """Say what a network of torchvision returns: its last layer is linear, whatever followed it in the training."""
    if task == "multi_label":
        yield Line("output", "sigmoid", "several classes at a time")
    elif task in ONE_CLASS and classes == 1:
        yield Line("output", "sigmoid", "one score, for yes and no")
    elif task in SCORED:
        yield Line("output", "logits")


def _some(found: Sequence[str]) -> str:
    rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + rest
