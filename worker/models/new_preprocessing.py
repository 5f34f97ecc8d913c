"""Which preprocessing does a new model get? What its maker says, then its checkpoint, then torchvision's weights."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from worker.domain.errors import ModelUnavailable, SettingsError
from worker.domain.preprocessing import Preprocessing
from worker.models.architectures import weights_of
from worker.models.checkpoint_notes import CheckpointNotes
from worker.models.guess import Fit
from worker.models.manifest_checks import number_faults
from worker.models.torchvision_weights import PublishedWeights, published_weights

USUAL: Final = "--resize 256 --crop 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
"""Options for what most trainings with torchvision do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPreprocessing:
    """What the maker of a model says; None leaves a number to the checkpoint and to torchvision.

    Attributes:
        preset: a member of the network's weights enum of torchvision, whose transforms are meant.
        resize: see `worker.domain.preprocessing.Preprocessing`; so are all others.
    """

    preset: str | None = None
    resize: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None
    interpolation: str | None = None
    antialias: bool | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: str | None = None


class Numbers(NamedTuple):
    """The preprocessing of a new model, and where its numbers come from, as one phrase."""

    preprocessing: Preprocessing
    source: str


def published_file(architecture: str, sha256: str) -> PublishedWeights | None:
    """Return what torchvision says of a file that it publishes; the name of such a file ends with its hash.

    Args:
        architecture: torchvision's name of the network.
        sha256: of the file.
    """
    for member, weights in weights_of(architecture).__members__.items():
        if sha256.startswith(Path(urlsplit(weights.url).path).stem.rpartition("-")[2]):
            return published_weights(architecture, member)
    return None


def usual_weights(architecture: str, arguments: Mapping[str, Any], preset: str | None = None) -> PublishedWeights:
    """Return the weights of torchvision whose transforms a fine-tuned network most likely has.

    Args:
        architecture: torchvision's name of the network.
        arguments: of its builder.
        preset: the member that is meant, if it is known.

    Raises:
        ModelUnavailable: torchvision has no such member.
    """
    members = list(weights_of(architecture).__members__)
    if preset is not None and preset not in members:
        raise ModelUnavailable(f"--preset {preset}: {architecture} has {', '.join(members)}; name one of these")
    found = list(_with_classes(architecture, [preset] if preset else members))
    size = arguments.get("image_size")
    return next((each for each in found if size in (None, each.arguments.get("image_size"))), found[0])


def _with_classes(architecture: str, members: list[str]) -> Iterator[PublishedWeights]:
    for member in members:
        try:
            yield published_weights(architecture, member)
        except ModelUnavailable:  # weights without classes, of features alone
            continue


def choose_preprocessing(
    what: str, fit: Fit | None, published: PublishedWeights | None, notes: CheckpointNotes, told: ToldPreprocessing
) -> Numbers:
    """Choose the numbers, and refuse to guess where the file says something else.

    Args:
        what: the file's name, for messages.
        fit: the network; None for a program.
        published: of a file that torchvision publishes.
        notes: what the checkpoint says.
        told: what the maker says.

    Raises:
        ModelUnavailable: more has to be said.
        SettingsError: lists what contradicts itself, by the names of options.
    """
    faults: list[str] = []
    given = {name: value for name, value in asdict(told).items() if value is not None and name != "preset"}
    noted = dict(_noted(what, notes, given, faults))
    if fit is None:
        base, source = _of_program(what, given)
    else:
        weights = published if published and not told.preset else None
        weights = weights or usual_weights(fit.architecture, fit.arguments, told.preset)
        base, source = asdict(weights.preprocessing), f"torchvision's for {fit.architecture} {weights.member}"
        if fit.grey:
            faults += _faults_of_grey(what, given)
            given |= {"channels": "gray"}
    numbers = base | {name: value for name, (value, _) in noted.items()} | given
    sources = [source] if fit is not None else []
    sources += [f"{', '.join(noted)} from {what} ({', '.join(place for _, place in noted.values())})"] if noted else []
    sources += [f"{', '.join(given)} as you said"] if given else []
    faults += [fault.replace("preprocessing.", "--") for fault in number_faults(numbers)]
    if faults:
        raise SettingsError(faults)
    chosen = Preprocessing(**numbers)
    _check_size(what, fit, notes, chosen, given)
    return Numbers(chosen, "; ".join(sources))


def _noted(
    what: str, notes: CheckpointNotes, given: Mapping[str, Any], faults: list[str]
) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Return what the checkpoint says once, with its place, for all that its maker does not say."""
    for name, found in notes.preprocessing.items():
        values = {each.value for each in found}
        if name in given or not values:
            continue
        if len(values) > 1:
            places = " and ".join(f"{each.place}: {each.value}" for each in found)
            faults.append(f"{what} says two things of {name}, {places}: give --{name} with the right one")
        else:
            yield name, (values.pop(), found[0].place)


def _of_program(what: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    if missing := [f"--{name}" for name in ("resize", "crop", "mean", "std") if name not in given]:
        raise ModelUnavailable(
            f"{what} is a program, which does not say how pictures were prepared: give {', '.join(missing)}, such "
            f"as {USUAL}"
        )
    return {"interpolation": "bilinear", "antialias": True}, ""


def _faults_of_grey(what: str, given: Mapping[str, Any]) -> Iterator[str]:
    for name, example in (("mean", "0.1307"), ("std", "0.3081")):
        if len(given.get(name, ())) != 1:
            yield f"the first layer in {what} takes one channel, grey: give --{name} with one number, such as {example}"


def _check_size(
    what: str, fit: Fit | None, notes: CheckpointNotes, chosen: Preprocessing, given: Mapping[str, Any]
) -> None:
    """Refuse to guess how pictures got a size that the checkpoint tells, or that the network needs."""
    size = fit.arguments.get("image_size") if fit is not None else None
    needed = [("the network is built", (size, size))] if size else []
    if not {"resize", "crop"} & given.keys():
        needed += [(f"{each.place} in {what} is", each.value) for each in notes.sizes]
    for reason, sides in needed:
        if sides != chosen.crop_size:
            high, wide = sides
            raise ModelUnavailable(
                f"{reason} for pictures of {high}x{wide}, and torchvision's transforms make "
                f"{chosen.crop_size[0]}x{chosen.crop_size[1]}: give what the training did, such as "
                f"--resize {high}x{wide} --crop {high}x{wide}"
            )
