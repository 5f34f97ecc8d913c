"""Read and write a model's manifest: the file `model.yaml` of its folder, as in `schemas/model-manifest.v1.json`."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, Final, TypeVar, get_args

import msgspec
import yaml
from msgspec import UNSET, UnsetType

from worker.domain.clips import ClipShape
from worker.domain.errors import SettingsError
from worker.domain.networks import CNN_RNN, HALF, TRANSFORMING, CnnRnnShape, Recurrence
from worker.domain.preprocessing import Output, Preprocessing
from worker.domain.results import ModelIdentity
from worker.models.file_kinds import PROGRAM, WEIGHTS, kind_of
from worker.models.labels import LabelsFault, labels_from, labels_of
from worker.models.manifest_checks import ONE_CLASS, output_faults, preprocessing_faults, preprocessing_of
from worker.models.manifest_fields import (
    FOLLOWING,
    NAMELESS,
    SCORED,
    ClipFields,
    Document,
    NetworkFields,
    RecurrentFields,
    TaskName,
)
from worker.models.store import sha256_of_bytes, sha256_of_file

MANIFEST_FILE: Final = "model.yaml"

_THRESHOLD: Final = 0.5
MOST_BOXES: Final = 100
"""Of a picture that a detector reports, if its manifest does not say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model's manifest, with absolute paths and with the class names.

    Attributes:
        name: the model's name, without slash or space.
        task: the model's task.
        architecture: torchvision's name of the network, or `cnn_rnn`; None if `file` is a complete `torch.export`
            program.
        file: the weights of the architecture, or the program; it is not checked here.
        sha256: hash of `file`, 64 hex digits.
        exported_from: sha256 of the weights that a program was exported from. Two exports of the same weights have
            different bytes (they contain source paths and torch's version), but are the same model.
        labels: class names by index; a name may occur twice. Of the task `frame_values`, the name of nothing and the
            name of the event. Of `detect` and `segment`, the first is that of the background. Empty for `embed`.
        output: what the network returns, of tasks whose network returns scores.
        clip: what the model takes, if it takes clips; None for single pictures.
        threshold: of the task `frame_values`, from which value on there is the event; of `detect`, from which score on
            a box is reported; of `multi_label`, from which probability on a class is named; of the output `sigmoid`,
            from which probability on the second of two classes is predicted.
        thresholds: of `multi_label`, the threshold of each class; None if one is for all.
        most: of the task `detect`, the most boxes of a picture that are reported.
        network: the parts of a `cnn_rnn`.
        arguments: of torchvision's builder of the architecture; of a `cnn_rnn`, of its backbone's builder.
        weights_entry: which mapping of `file` has the weights, if several fit.
        output_name: which of several outputs of a program is meant.
        recurrence: how a model of the task `recurrent` goes from frame to frame.
    """

    name: str
    task: TaskName
    architecture: str | None
    file: Path
    sha256: str
    exported_from: str | None
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    output: Output
    clip: ClipShape | None = None
    threshold: float = _THRESHOLD
    thresholds: tuple[float, ...] | None = None
    most: int = MOST_BOXES
    network: CnnRnnShape | None = None
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights_entry: str | None = None
    output_name: str | None = None
    recurrence: Recurrence | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a sample: (height, width, channels), or (frames, height, width, channels)."""
        places = (self.clip.frames,) if self.clip else ()
        return (*places, *self.preprocessing.picture_shape)

    @property
    def outputs(self) -> int:
        """How many scores the network gives: one for each label, or one for two of them."""
        return 1 if self.output == "sigmoid" and self.task in ONE_CLASS else len(self.labels)

    @property
    def decides_each_class(self) -> bool:
        """Whether a threshold decides on classes, rather than which of them is the most likely."""
        return self.task == "multi_label" or self.outputs != len(self.labels)

    @property
    def identity(self) -> ModelIdentity:
        """Name and version: the first 12 hex digits of the sha256 of the weights.

        Two mappings of one file are two versions, and a hash with the place of the mapping tells them apart.
        """
        version = self.exported_from or self.sha256
        if self.weights_entry is not None:
            version = sha256_of_bytes(f"{version} {self.weights_entry}".encode())
        return ModelIdentity(self.name, version[:12])


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Args:
        path: the model's folder or its manifest; paths in the manifest are relative to its folder.

    Raises:
        SettingsError: lists all faults of the file.
    """
    file = path / MANIFEST_FILE if path.is_dir() else path
    faults: list[str] = []
    raw = _parse(file)
    document = _read(Document, raw, "", faults, also=_needed(raw))
    if document is not None:
        labels = () if document.labels is UNSET else _read_labels(document.labels, file.parent, faults)
        _compare_fields(document, faults)
        _compare_with_task(document, labels, faults)
    if document is None or faults:
        raise SettingsError([f"{file}: {fault}" for fault in faults])
    return Manifest(
        name=document.name,
        task=document.task,
        architecture=document.architecture or None,
        file=(file.parent / (document.weights or document.program or "")).absolute(),
        sha256=document.sha256,
        exported_from=document.exported_from or None,
        labels=labels,
        preprocessing=preprocessing_of(document.preprocessing),
        output="logits" if document.output is UNSET else document.output,
        clip=_clip(document.clip),
        threshold=document.threshold if isinstance(document.threshold, float) else _THRESHOLD,
        thresholds=tuple(document.threshold) if isinstance(document.threshold, list) else None,
        most=document.most or MOST_BOXES,
        network=_network(document.network),
        arguments=document.arguments or {},
        weights_entry=document.weights_entry or None,
        output_name=document.output_name or None,
        recurrence=_recurrence(document.recurrent),
    )


def write_manifest(
    folder: Path,
    network: Mapping[str, Any],
    *,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    task: TaskName = "classify",
    clip: ClipShape | None = None,
    recurrence: Recurrence | None = None,
) -> None:
    """Write the manifest and the file of class names of a model that returns logits, if it returns scores.

    Args:
        folder: the model's folder, which already has its weights or its program.
        network: the manifest's `name`, either `architecture` and `weights` or `program`, and `network` for a `cnn_rnn`.
        labels: class names by index; empty for the task `embed`.
        preprocessing: the preprocessing that the network was trained with.
        task: the model's task.
        clip: what the model takes, if it takes clips.
        recurrence: of the task `recurrent`.
    """
    sections = {
        "clip": _without_none(clip),
        "recurrent": _without_none(recurrence),
        "labels": "labels.txt" if labels else None,
        "output": "logits" if task in SCORED else None,
    }
    usual = {each.name: each.default for each in fields(preprocessing)}
    numbers = {name: value for name, value in asdict(preprocessing).items() if value != usual[name]}
    document = {
        **network,
        **({} if task == "classify" else {"task": task}),
        "sha256": sha256_of_file(folder / (network.get("weights") or network["program"])),
        **{name: value for name, value in sections.items() if value is not None},
        "preprocessing": numbers,
    }
    if labels:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None)
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def _without_none(section: ClipShape | Recurrence | None) -> dict[str, Any] | None:
    if section is None:
        return None
    return {name: value for name, value in asdict(section).items() if value is not None}


_Section = TypeVar("_Section", bound=msgspec.Struct)


def _parse(file: Path) -> object:
    try:
        data = file.read_bytes()
        if (kind := kind_of(data)) in {*WEIGHTS, PROGRAM}:
            raise SettingsError([f"{file} is {kind.what}: make a model of it with vision-worker models new {file}"])
        return yaml.safe_load(data.decode("utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(
            [f"{file}: no such file; a model is a folder with a {MANIFEST_FILE}, or that file"]
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"{file}: cannot be read as YAML: {error}"]) from error


def _needed(raw: object) -> frozenset[str]:
    """Return the fields that only the task of a manifest requires."""
    task = raw.get("task", "classify") if isinstance(raw, dict) else None
    return frozenset({"labels"} if task not in NAMELESS else ()) | ({"output"} if task in SCORED else frozenset())


def _read(
    section: type[_Section], raw: object, prefix: str, faults: list[str], *, also: Collection[str] = ()
) -> _Section | None:
    """Convert field by field, because msgspec stops at the first fault; None if there is any fault.

    The fields named in `also` are required too.
    """
    if not isinstance(raw, dict):
        faults.append(f"{prefix.rstrip('.') or 'the file'} must be a mapping, not {shortened(raw)}")
        return None
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    found: dict[str, Any] = {}
    before = len(faults)
    faults += [
        f"{prefix}{key} is not a field; known fields are {', '.join(fields)}" for key in raw if key not in fields
    ]
    for name, field in fields.items():
        kind, meta = _without_unset(field.type.__origin__), field.type.__metadata__[-1]
        if name not in raw:
            if field.required or name in also:
                faults.append(f"{prefix}{name} is missing; give {meta.description}")
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found[name] = _read(kind, raw[name], f"{prefix}{name}.", faults)
        else:
            try:
                found[name] = msgspec.convert(raw[name], field.type)
            except msgspec.ValidationError:
                faults.append(f"{prefix}{name} must be {meta.description}, not {shortened(raw[name])}")
    return section(**found) if len(faults) == before else None


def _without_unset(kind: Any) -> Any:
    """Return the section of an optional section; anything else as it is."""
    sections = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return sections[0] if sections else kind


def _read_labels(
    told: str | list[str] | dict[int | str, str | int], folder: Path, faults: list[str]
) -> tuple[str, ...]:
    try:
        return labels_from(folder / told) if isinstance(told, str) else labels_of(told)
    except LabelsFault as error:
        faults.append(f"labels: {error}")
        return ()


def _compare_fields(document: Document, faults: list[str]) -> None:
    """Find faults in combinations of fields."""
    given = {name for name in ("architecture", "weights", "program") if getattr(document, name) is not UNSET}
    if given not in ({"architecture", "weights"}, {"program"}):
        faults.append(f"give architecture and weights, or program alone, not {' and '.join(sorted(given)) or 'none'}")
    if document.exported_from is not UNSET and document.program is UNSET:
        faults.append("exported_from is only for a program: the version of weights is their own sha256")
    faults += _misplaced_names(document)
    faults += preprocessing_faults(document.preprocessing)
    if document.task == "detect" and document.architecture is not UNSET and document.preprocessing.channels == "gray":
        faults.append("preprocessing.channels gray: torchvision's detectors take three channels; set rgb, or bgr")
    builder = document.network.backbone if document.network else document.architecture
    published = tuple(document.preprocessing.mean) == HALF
    if builder in TRANSFORMING and "transform_input" not in (document.arguments or {}) and not published:
        faults.append(
            f"arguments.transform_input is missing: write true for weights that torchvision publishes for {builder}, "
            "and for what was fine-tuned from them; write false for a network that was built without it"
        )


def _misplaced_names(document: Document) -> Iterator[str]:
    """Find what is only for weights, only for a program, or follows from other fields."""
    for name in ("arguments", "weights_entry"):
        if getattr(document, name) is not UNSET and document.architecture is UNSET:
            yield f"{name} is only for an architecture with weights: leave it out for a program"
    if document.output_name is not UNSET and document.program is UNSET:
        yield "output_name is only for a program: leave it out for an architecture"
    for name in sorted(FOLLOWING & set(document.arguments or {})):
        yield f"arguments.{name} follows from the other fields: leave it out"


def _compare_with_task(document: Document, labels: Sequence[str], faults: list[str]) -> None:
    """Find what the task lacks, and what is not for it."""
    task, clip, values = document.task, document.clip, document.task == "frame_values"
    sees_clips = task in {"clip", "frame_values"}
    faults += _misplaced(document)
    faults += output_faults(document, labels)
    if clip is not UNSET and not sees_clips:
        faults.append(f"clip is only for the tasks clip and frame_values: task {task} takes single pictures")
    if clip is UNSET and sees_clips:
        faults.append(f"clip is missing; task {task} needs its frames and rate")
    if values and labels and not (len(labels) == 2 == len(set(labels))):
        faults.append("labels must be two different names for task frame_values: of nothing, and of the event")
    if clip is UNSET or not sees_clips:
        return
    if (clip.middle is not UNSET) != values:
        faults.append("clip.middle is missing for task frame_values" if values else "clip.middle is not for task clip")
    elif clip.middle is not UNSET and (clip.middle > clip.frames or (clip.frames - clip.middle) % 2):
        faults.append(f"clip.middle must be clip.frames, {clip.frames}, or an even number less, not {clip.middle}")


def _misplaced(document: Document) -> Iterator[str]:
    """Find sections that the task or the architecture needs and that are missing, and those that are not for it."""
    task, of_parts = document.task, document.architecture == CNN_RNN
    decides = task in {"frame_values", "detect", "multi_label"} or document.output == "sigmoid"
    if document.threshold is not UNSET and not decides:
        yield (
            f"threshold is only for the tasks frame_values, detect and multi_label, and for output: sigmoid, not for "
            f"{task}: leave it out"
        )
    if document.most is not UNSET and task != "detect":
        yield f"most is only for the task detect, not for {task}"
    if of_parts != (document.network is not UNSET):
        yield (
            "network is missing; architecture cnn_rnn needs its backbone"
            if of_parts
            else ("network is only for the architecture cnn_rnn")
        )
    if of_parts and task not in {"clip", "recurrent"}:
        yield f"architecture cnn_rnn is for the tasks clip and recurrent, not for {task}"
    if task == "recurrent" and not of_parts:
        yield "task recurrent needs architecture: cnn_rnn, whose hidden state can be kept between frames"
    if (task == "recurrent") != (document.recurrent is not UNSET):
        yield (
            "recurrent is missing; task recurrent needs it, such as {silence_ms: 10000}"
            if task == "recurrent"
            else (f"recurrent is only for the task recurrent, not for {task}")
        )
    network = document.network
    if network is not UNSET and network.layer is UNSET and network.grid != 1:
        yield "network.grid is only for network.layer: what a classifier sees has no rows and columns"


def _network(section: NetworkFields | UnsetType) -> CnnRnnShape | None:
    if section is UNSET:
        return None
    layer = section.layer or None
    return CnnRnnShape(section.backbone, section.rnn, section.hidden, section.layers, layer, section.grid)


def _recurrence(section: RecurrentFields | UnsetType) -> Recurrence | None:
    return Recurrence(section.rate or None, section.silence_ms) if section else None


def _clip(section: ClipFields | UnsetType) -> ClipShape | None:
    if section is UNSET:
        return None
    return ClipShape(section.frames, section.rate, None if section.middle is UNSET else section.middle)
