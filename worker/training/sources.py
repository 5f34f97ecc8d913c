"""The data of a training: read, checked and split, before any picture is decoded."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.data.items import Item
from worker.data.labelled import read_labelled
from worker.data.reading import hash_of
from worker.data.split import Split, check_apart, classes_by_boxes, classes_by_label, split_by_group
from worker.domain.errors import SettingsError
from worker.training.options import Options

BACKGROUND: Final = "__background__"
"""A detector's first class: torchvision's count from 1."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The data.

    Attributes:
        names: of the classes, by index; of a detector, the first is the background.
        listed: how many pictures and frames there are.
        unlabelled: how many have no ground truth, and are left out.
        sha256: of all of them.
    """

    split: Split
    names: tuple[str, ...]
    listed: int
    unlabelled: int
    sha256: str

    @property
    def classes(self) -> dict[str, int]:
        """The indices of the classes, by name."""
        return {name: index for index, name in enumerate(self.names) if name != BACKGROUND}


def read_sources(data: Path, test: Path | None, options: Options, *, rate: float) -> Sources:
    """Read labelled data, and decide what is held out.

    Args:
        data: what is learned from.
        test: what is held out; None holds out part of `data`.
        options: name the task, and what is held out.
        rate: pictures a second of a stream of pictures without capture times.

    Raises:
        SettingsError: faults of the data.
    """
    by_boxes = options.task == "detect"
    classes_of = classes_by_boxes if by_boxes else classes_by_label
    found = read_labelled(data, rate=rate)
    tested = read_labelled(test, rate=rate) if test else []
    known = [each for each in found if _has_truth(each, by_boxes=by_boxes)]
    names = sorted({name for each in known for name in classes_of(each)})
    if faults := list(_faults(data, known, names, by_boxes=by_boxes)):
        raise SettingsError(faults)
    if test:
        # A frame without a label may be part of a clip or a sequence, but not of a picture's truth.
        held_out = [each for each in tested if _has_truth(each, by_boxes=by_boxes)]
        check_apart(found, tested)
        if unknown := sorted({name for each in held_out for name in classes_of(each)} - set(names)):
            raise SettingsError([f"{test} has classes that {data} has not: {', '.join(unknown)}"])
        if not held_out:
            raise SettingsError([f"{test} has no ground truth for --task {options.task}"])
        split = Split(tuple(found), tuple(tested))
    else:
        split = split_by_group(
            found, share=options.share, seed=options.seed, classes_of=classes_of, holdout=options.holdout
        )
    everything = [*found, *tested]
    return Sources(
        split=split,
        names=(BACKGROUND, *names) if by_boxes else tuple(names),
        listed=len(everything),
        unlabelled=sum(not _has_truth(each, by_boxes=by_boxes) for each in everything),
        sha256=hash_of(everything),
    )


def _has_truth(item: Item, *, by_boxes: bool) -> bool:
    return (item.boxes if by_boxes else item.label) is not None


def _faults(data: Path, known: Sequence[Item], names: Sequence[str], *, by_boxes: bool) -> Iterator[str]:
    if not known:
        yield f"{data} has no ground truth: " + (
            "give boxes in the column boxes of a frames.csv"
            if by_boxes
            else "put pictures into a folder for each class, or give labels in the column label of a frames.csv"
        )
    elif by_boxes and not names:
        yield f"{data} has no box: a detector learns from boxes"
    elif not by_boxes and len(names) < 2:
        yield f"{data} has one class alone, {names[0]}: a classifier tells at least two apart"
    for name in names:
        if name != name.strip() or len(name.splitlines()) != 1 or name == BACKGROUND:
            yield f"class {name!r} cannot be a line of a file of labels: rename it"


def counts(truths: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, int]:
    """Count ground truths by the name of their class.

    >>> counts([[0], [1, 1]], ["cat", "dog"])
    {'cat': 1, 'dog': 2}
    """
    found = Counter(index for each in truths for index in each)
    return {name: found[index] for index, name in enumerate(names) if name != BACKGROUND}
