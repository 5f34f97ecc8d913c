"""How the pictures of a clip become the input of a model, and what damaged ones do to it."""

from collections.abc import Collection, Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from tests.support.frames import a_frame
from worker.domain.clips import ClipLabel, Gap
from worker.domain.errors import ImageUndecodable, Reason
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry
from worker.domain.samples import ClipPlan, Picture, Sample
from worker.stream.clip_input import ShownClip, show_clip

PLACES = 4


def a_picture(number: int, *, is_damaged: bool) -> "Future[Picture]":
    done = Future[Picture]()
    whole = Geometry(8, 8, scale_x=1.0, scale_y=1.0, left=number, top=0)
    found = ImageUndecodable(Reason.TRUNCATED, "cut short") if is_damaged else whole
    done.set_result(Picture(np.full((1, 1, 3), number, np.uint8), found, took=0.5))
    return done


def show(
    *,
    damaged: Collection[int] = (),
    shown: Sequence[int] = (0, 1, 2, 3),
    covers: Sequence[int] = (0, 1, 2),
    gap: Gap = "repeat",
    least: int = 1,
    label: ClipLabel | None = "last",
    labels: Sequence[str | None] = ("a", "b", "b", "c"),
    published: Collection[int] = (),
) -> tuple[ShownClip, list[int]]:
    """Show a clip of four frames; return it, and the numbers of the pictures at its places."""
    frames = tuple(a_frame(number, label=labels[number]) for number in range(4))
    pictures = tuple(a_picture(number, is_damaged=number in damaged) for number in range(4))
    plan = ClipPlan(tuple(shown), (3,), tuple(frames[each] for each in covers), 0, gap, least, label)
    plan = plan._replace(published=frozenset(published))
    out = np.full((PLACES, 1, 1, 3), 255, np.uint8)
    clip = show_clip(Sample(frames, (frames[3],), pictures, plan), plan, out)
    return clip, out[: clip.length, 0, 0, 0].tolist()


def offsets(frames: Sequence[EncodedFrame]) -> list[int]:
    return [each.frame.position.offset for each in frames]


def test_a_whole_clip() -> None:
    clip, shown = show()
    assert shown == [0, 1, 2, 3]
    assert (offsets(clip.answers), offsets(clip.covers), clip.places) == ([3], [0, 1, 2], [3])
    assert clip.span is not None
    assert (clip.span.first.position.offset, clip.span.last.position.offset) == (0, 3)
    assert (clip.span.used, clip.span.places) == (4, 4)
    assert clip.geometry is not None
    assert clip.geometry.left == 3
    assert clip.before == 2.0


def test_a_repeated_frame_counts_once() -> None:
    clip, shown = show(shown=(0, 0, 2, 3))
    assert shown == [0, 0, 2, 3]
    assert clip.span is not None
    assert clip.span.used == 3


@pytest.mark.parametrize(("damaged", "expected"), [([1], [0, 0, 2, 3]), ([0, 1], [2, 2, 2, 3]), ([2], [0, 1, 1, 3])])
def test_a_damaged_frame_is_replaced_by_the_one_before(damaged: list[int], expected: list[int]) -> None:
    clip, shown = show(damaged=damaged)
    assert shown == expected
    assert [frame.frame.position.offset for frame, _ in clip.damaged] == damaged
    assert offsets(clip.covers) == [each for each in (0, 1, 2) if each not in damaged]


def test_a_clip_whose_last_frame_is_damaged_ends_before_it() -> None:
    clip, shown = show(damaged=[3])
    assert shown == [0, 1, 2, 2]
    assert (offsets(clip.answers), offsets(clip.covers)) == ([2], [0, 1])
    assert (clip.span and clip.span.last.position.offset, clip.label) == (2, "b")


def test_a_clip_whose_new_frames_are_all_damaged_is_not_shown() -> None:
    clip, shown = show(damaged=[3], covers=())
    assert (shown, offsets(clip.answers), offsets(clip.skipped)) == ([], [], [])
    assert [frame.frame.position.offset for frame, _ in clip.damaged] == [3]


def test_a_damaged_frame_that_an_earlier_clip_has_shown_is_no_second_dead_letter() -> None:
    clip, shown = show(damaged=[0], covers=(2,))
    assert clip.damaged == []
    assert shown == [1, 1, 2, 3]


@pytest.mark.parametrize(("gap", "least"), [("skip", 4), ("repeat", 4), ("shorten", 4)])
def test_a_clip_with_too_few_good_frames_is_not_shown(gap: Gap, least: int) -> None:
    clip, shown = show(damaged=[1], gap=gap, least=least)
    assert (shown, clip.length, offsets(clip.skipped)) == ([], 0, [0, 2, 3])


def test_a_shortened_clip_leaves_out_what_is_damaged() -> None:
    clip, shown = show(damaged=[1], gap="shorten")
    assert (shown, clip.length) == ([0, 2, 3], 3)


@pytest.mark.parametrize(("which", "expected"), [("first", "a"), ("last", "c"), ("majority", "b")])
def test_the_label_of_a_clip(which: ClipLabel, expected: str) -> None:
    assert show(label=which)[0].label == expected


def test_the_most_frequent_label_leaves_out_frames_without_one_and_takes_the_later_of_equals() -> None:
    assert show(label="majority", labels=("a", None, "b", None))[0].label == "b"
    assert show(label="majority", labels=(None, None, None, None))[0].label is None


def test_values_of_frames_stay_at_their_places() -> None:
    clip, shown = show(damaged=[3], covers=(), label=None)
    assert (shown, offsets(clip.answers), clip.span) == ([], [], None)
    clip, shown = show(damaged=[1], covers=(), label=None)
    assert (shown, offsets(clip.answers), clip.places) == ([0, 0, 2, 3], [3], [3])


# ----- what an earlier worker has published


def test_a_clip_whose_prediction_is_published_is_not_asked_again() -> None:
    clip, shown = show(published=[3, 0])
    assert (shown, offsets(clip.answers), offsets(clip.covers), offsets(clip.skipped)) == ([], [], [1, 2], [])


def test_a_clip_of_which_only_the_damaged_last_frame_is_published_is_asked() -> None:
    clip, shown = show(published=[3], damaged=[3])
    assert (shown, offsets(clip.answers), offsets(clip.covers), clip.damaged) == ([0, 1, 2, 2], [2], [0, 1], [])


def test_values_that_are_published_are_left_out() -> None:
    clip, _ = show(published=[3], covers=(), label=None)
    assert (clip.length, offsets(clip.answers)) == (0, [])
