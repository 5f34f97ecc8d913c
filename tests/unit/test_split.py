"""No camera is in both parts of a split, and the split depends on names and seed alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labelled import an_item
from worker.data.items import Item
from worker.data.split import check_apart, split_by_group
from worker.domain.errors import SettingsError

facts = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1, max_size=40)


def items_of(found: list[tuple[int, str]]) -> list[Item]:
    return [an_item(str(n), group=f"camera{camera}", label=label) for n, (camera, label) in enumerate(found)]


@given(facts, st.integers(0, 3), st.randoms())
def test_a_camera_is_in_one_part_whatever_the_order(found: list[tuple[int, str]], seed: int, random: object) -> None:
    items = items_of(found)
    try:
        split = split_by_group(items, share=0.3, seed=seed)
    except SettingsError:
        cameras = {label: {camera for camera, each in found if each == label} for _, label in found}
        # Nothing could be held out: each camera has a class that no other camera has.
        assert all(any({camera} == of for of in cameras.values()) for camera, _ in found)
        return

    assert {each.group for each in split.train}.isdisjoint(each.group for each in split.held_out)
    assert set(split.train) | set(split.held_out) == set(items)
    assert {each.label for each in split.train} == {each.label for each in items}
    shuffled = sorted(items, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert set(split_by_group(shuffled, share=0.3, seed=seed).held_out) == set(split.held_out)


def test_independent_pictures_are_held_out_in_equal_shares() -> None:
    items = [an_item(f"{label}/{n}", group=f"{label}/{n}", label=label) for label in "ab" for n in range(50)]

    held_out = split_by_group(items, share=0.2, seed=0).held_out

    assert [sum(each.label == label for each in held_out) for label in "ab"] == [10, 10]
    assert set(split_by_group(items, share=0.2, seed=1).held_out) != set(held_out)


def test_a_class_of_one_camera_is_learned_and_told() -> None:
    items = items_of([(0, "a"), (1, "a"), (2, "b")])

    split = split_by_group(items, share=0.2, seed=0)

    assert {each.label for each in split.train} == {"a", "b"}
    assert split.notes == ("class b is not in the held-out data",)


def test_named_cameras_are_held_out() -> None:
    split = split_by_group(items_of([(0, "a"), (1, "a"), (2, "a")]), share=0.5, seed=0, holdout=["camera1"])

    assert {each.group for each in split.held_out} == {"camera1"}


def test_a_single_camera_is_refused_with_advice() -> None:
    with pytest.raises(SettingsError, match=r"no class is in two cameras or videos.*--test"):
        split_by_group(items_of([(0, "a"), (0, "b")]), share=0.2, seed=0)


def test_names_of_no_camera_and_of_all_are_refused() -> None:
    items = items_of([(0, "a"), (1, "b")])
    with pytest.raises(SettingsError, match="no camera 'camera9' to hold out; there is camera0, camera1"):
        split_by_group(items, share=0.2, seed=0, holdout=["camera9"])
    with pytest.raises(SettingsError, match="nothing is left to learn from"):
        split_by_group(items, share=0.2, seed=0, holdout=["camera0", "camera1"])
    with pytest.raises(SettingsError, match="class b is only in what is held out"):
        split_by_group(items, share=0.2, seed=0, holdout=["camera1"])


def test_test_data_of_the_same_cameras_are_refused() -> None:
    train = [an_item("1", group="door"), an_item("2", group="2")]

    check_apart(train, [an_item("3", group="yard"), an_item("2", group="2")])
    with pytest.raises(SettingsError, match="such as door: use others"):
        check_apart(train, [an_item("3", group="door")])
