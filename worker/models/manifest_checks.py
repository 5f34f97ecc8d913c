"""Which fields of a manifest go together: the numbers of preprocessing, and what is said of the network's output."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from worker.domain.preprocessing import Preprocessing
from worker.models.manifest_fields import Document, PreprocessingFields

ONE_CLASS: Final = frozenset({"classify", "clip", "recurrent"})
"""Tasks that say which one of several classes there is."""
_WITH_BACKGROUND: Final = frozenset({"detect", "segment"})
_TWO: Final = 2


def output_faults(document: Document, labels: Sequence[str]) -> Iterator[str]:
    """Find labels and thresholds that do not fit the task and its output.

    Args:
        document: the manifest.
        labels: its class names; empty if they cannot be read.
    """
    task, output = document.task, document.output
    if task == "multi_label":
        yield from _faults_of_several(document, labels)
    elif isinstance(document.threshold, list):
        yield f"threshold must be one number for the task {task}: a list is only for the task multi_label"
    if task in ONE_CLASS and output == "sigmoid" and labels and not len(labels) == _TWO == len(set(labels)):
        yield (
            f"labels must be two different names for output: sigmoid, which is one score for both, and there are "
            f"{len(labels)}: {_of_several(task)}; for one class of several, set output: logits"
        )
    elif task in ONE_CLASS | _WITH_BACKGROUND and len(labels) == 1:
        yield f"labels has one name, and every picture would be predicted to be it: {_instead_of_one(task)}"


def _faults_of_several(document: Document, labels: Sequence[str]) -> Iterator[str]:
    if document.output == "logits":
        yield (
            "output: logits is for one class of several, and the task multi_label decides each on its own: set output: "
            "sigmoid, or probabilities if the network's last layer is a sigmoid"
        )
    if twice := sorted({each for each in labels if labels.count(each) > 1}):
        yield f"labels must be different names for the task multi_label, and {twice[0]!r} is there twice: rename one"
    if isinstance(document.threshold, list) and labels and len(document.threshold) != len(labels):
        given = f"threshold has {len(document.threshold)} numbers for {len(labels)} labels"
        yield f"{given}: give one number, or one for each label"


def _of_several(task: str) -> str:
    if task == "classify":
        return "for several classes in a picture, set task: multi_label"
    return f"several classes at a time are for the task multi_label alone, not for {task}"


def _instead_of_one(task: str) -> str:
    if task in _WITH_BACKGROUND:
        return "the first name is that of the background, so give another name after it"
    return "give two names and output: sigmoid" + (", or set task: multi_label" if task == "classify" else "")


def preprocessing_faults(section: PreprocessingFields) -> Iterator[str]:
    """Find numbers of preprocessing that do not go together."""
    if section.crop == "none" and isinstance(section.resize, int) and not section.pad:
        yield (
            "preprocessing.crop none leaves pictures of many shapes: set preprocessing.resize: [height, width], or "
            "preprocessing.pad: true"
        )
        return
    if section.fill is not UNSET and not section.pad:
        yield "preprocessing.fill is only for padding: set preprocessing.pad: true, or leave fill out"
    numbers = preprocessing_of(section)
    high, wide = (numbers.resize,) * 2 if isinstance(numbers.resize, int) else numbers.resize
    if numbers.crop_size[0] > high or numbers.crop_size[1] > wide:
        yield "preprocessing.crop must be at most preprocessing.resize, or pictures get a black border"
    if numbers.pad and numbers.crop_size != (high, wide):
        yield "preprocessing.crop must be preprocessing.resize where pictures are padded: nothing is cut off"
    for name, values in (("mean", numbers.mean), ("std", numbers.std)):
        if len(values) != numbers.depth:
            yield (
                f"preprocessing.{name} has {len(values)} numbers, and preprocessing.channels: {numbers.channels} needs "
                f"{numbers.depth}: give a number for each channel"
            )
        if not all(map(isfinite, values)):
            yield f"preprocessing.{name} is {list(values)}: give finite numbers"
        if numbers.max_value == 1 and max(values) > 1:
            yield (
                f"preprocessing.{name} is {list(values)}, which is for pixels from 0 to 255: set "
                "preprocessing.max_value: 255, or divide mean and std by 255"
            )


def number_faults(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Find numbers that a manifest may not have, or that do not go together.

    Args:
        numbers: by the names of `worker.domain.preprocessing.Preprocessing`.
    """
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in numbers.items()}
    if not lists.get("pad"):
        lists.pop("fill", None)
    try:
        yield from preprocessing_faults(msgspec.convert(lists, PreprocessingFields))
    except msgspec.ValidationError as error:
        wrong = next(each for each in msgspec.structs.fields(PreprocessingFields) if f"$.{each.name}" in str(error))
        yield f"preprocessing.{wrong.name} must be {wrong.type.__metadata__[-1].description}, not {lists[wrong.name]!r}"


def preprocessing_of(section: PreprocessingFields) -> Preprocessing:
    """Return the numbers that a manifest gives."""
    numbers: dict[str, Any] = msgspec.structs.asdict(section)
    numbers["crop"] = section.resize if section.crop == "none" else section.crop
    numbers["fill"] = [section.fill or 0] * 3 if isinstance(section.fill, int | UnsetType) else section.fill
    lists = {name: tuple(each) for name, each in numbers.items() if isinstance(each, list)}
    return Preprocessing(**numbers | lists)
