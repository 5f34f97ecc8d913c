"""Split labelled data by camera or video: no group is in both parts, so that a test is of cameras never seen."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from worker.data.items import Item
from worker.domain.errors import SettingsError

_ONE_CAMERA: Final = (
    "nothing can be held out for a test: no class is in two cameras or videos. Add pictures of another camera, put "
    "pictures of different cameras into sub-folders of their own, or give test data with --test"
)


@dataclass(frozen=True, slots=True)
class Split:
    """Two parts of the data.

    Attributes:
        train: what is learned from.
        held_out: what is only tested with; no group of it is in `train`.
        notes: sentences about classes that are in one part only.
    """

    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def classes_by_label(item: Item) -> Collection[str]:
    """Return the class of a picture, or none."""
    return () if item.label is None else (item.label,)


def classes_by_boxes(item: Item) -> Collection[str]:
    """Return the classes of a picture's boxes."""
    return () if item.boxes is None else {each.label for each in item.boxes}


def split_by_group(
    items: Sequence[Item],
    *,
    share: float,
    seed: int,
    classes_of: Callable[[Item], Collection[str]] = classes_by_label,
    holdout: Sequence[str] = (),
) -> Split:
    """Split by group. Equal groups, seeds and shares give equal splits, whatever the order of the items.

    Each class goes, group by group, to the held-out part until that has its share of the class. The rarest class is
    first. A group is not held out if a class would then be missing from the other part.

    Args:
        items: all of the data.
        share: of each class that is held out, at least; above 0, below 1.
        seed: decides which groups come first.
        classes_of: the classes that an item shows.
        holdout: names of the groups to hold out instead.

    Raises:
        SettingsError: nothing can be held out, or a name of `holdout` is no group.
    """
    groups = _classes_of_groups(items, classes_of)
    held_out = _check_named(holdout, groups) if holdout else _choose(groups, share=share, seed=seed)
    train = tuple(item for item in items if item.group not in held_out)
    test = tuple(item for item in items if item.group in held_out)
    learned, tested = ({name for item in part for name in classes_of(item)} for part in (train, test))
    if unknown := sorted(tested - learned):
        raise SettingsError(
            [f"class {', '.join(unknown)} is only in what is held out: hold out other cameras, or add pictures of it"]
        )
    notes = [f"class {', '.join(missing)} is not in the held-out data"] if (missing := sorted(learned - tested)) else []
    return Split(train, test, tuple(notes))


def check_apart(train: Sequence[Item], test: Sequence[Item]) -> None:
    """Check that test data of their own are of other cameras and videos than those learned from.

    Pictures that are groups of their own are not compared: two folders may use the same names.

    Raises:
        SettingsError: a camera or video is in both.
    """
    cameras = [{item.group for item in part if item.group != item.name} for part in (train, test)]
    if both := sorted(set.intersection(*cameras)):
        names = ", ".join(both[:5])
        raise SettingsError(
            [f"{len(both)} cameras or videos are in both the data and the test data, such as {names}: use others"]
        )


def _classes_of_groups(
    items: Sequence[Item], classes_of: Callable[[Item], Collection[str]]
) -> Mapping[str, Counter[str]]:
    groups = defaultdict[str, Counter[str]](Counter)
    for item in items:
        groups[item.group].update(classes_of(item))
    return groups


def _check_named(holdout: Sequence[str], groups: Mapping[str, Counter[str]]) -> AbstractSet[str]:
    known = ", ".join(sorted(groups)[:10])
    faults = [f"there is no camera {name!r} to hold out; there is {known}" for name in holdout if name not in groups]
    if groups.keys() <= set(holdout):
        faults.append("all cameras are held out: nothing is left to learn from")
    if faults:
        raise SettingsError(faults)
    return set(holdout)


def _choose(groups: Mapping[str, Counter[str]], *, share: float, seed: int) -> AbstractSet[str]:
    totals, of_class = Counter[str](), defaultdict[str, list[str]](list)
    for name in sorted(groups, key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).digest()):
        totals.update(groups[name])
        for each in groups[name]:
            of_class[each].append(name)
    left = {name: len(found) for name, found in of_class.items()}
    held_out, held = set[str](), Counter[str]()
    for each in sorted(of_class, key=lambda name: (left[name], name)):
        for group in of_class[each]:
            if held[each] >= max(1, round(share * totals[each])):
                break
            if group not in held_out and all(left[name] > 1 for name in groups[group]):
                held_out.add(group)
                held.update(groups[group])
                left = {name: count - (name in groups[group]) for name, count in left.items()}
    if not held_out:
        raise SettingsError([_ONE_CAMERA])
    return held_out
