"""The clips of one camera, step by step, with ten slots a second. A frame's offset is the number of its slot."""

from concurrent.futures import Future

import pytest

from tests.support.frames import a_frame
from worker.domain.clips import ClipLabel, Gap
from worker.domain.frames import EncodedFrame
from worker.domain.samples import LATE, OVER_RATE, Picture, Sample, Skipped
from worker.sampling.clips import BETWEEN_CLIPS, GAP, ClipRules, ClipTrack
from worker.sampling.order import Arrival

Shown = tuple[list[int], list[int], list[int]]
Left = tuple[int, str, int | None]


def a_track(
    frames: int = 4, stride: int = 4, gap: Gap = "repeat", least: int = 1, label: ClipLabel = "last"
) -> ClipTrack:
    prepared = Future[Picture]()
    return ClipTrack(ClipRules(frames, 10.0, stride, gap, least, label), lambda _: prepared)


def a_slot(slot: int, *, after: int = 0, offset: int | None = None) -> EncodedFrame:
    return a_frame(slot if offset is None else offset, captured_at=slot * 100 + after)


def told(taken: list[Sample | Skipped]) -> list[Shown | Left]:
    """Return of each clip what is shown, which frame answers, and which it covers; of each skipped frame why."""
    found = list[Shown | Left]()
    for each in taken:
        if isinstance(each, Skipped):
            found.append((each.frame.position.offset, each.reason, each.needs))
        else:
            assert each.clip is not None
            offsets = [frame.frame.position.offset for frame in each.frames]
            answers, covers = (
                [frame.frame.position.offset for frame in frames] for frames in (each.answers, each.clip.covers)
            )
            found.append(([offsets[index] for index in each.clip.shown], answers, covers))
    return found


def follow(track: ClipTrack, *frames: EncodedFrame, witness: int | None = None) -> list[Shown | Left]:
    taken = list[Sample | Skipped]()
    for frame in frames:
        taken += track.follow(Arrival(frame, frame.frame.position.offset if witness is None else witness))
    return told(taken)


def test_a_clip_is_made_with_its_last_slot() -> None:
    track = a_track()
    assert follow(track, *map(a_slot, (8, 9, 10))) == []
    assert follow(track, a_slot(11)) == [([8, 9, 10, 11], [11], [8, 9, 10])]
    assert list(track.held) == []


def test_clips_that_overlap_cover_each_frame_once() -> None:
    assert follow(a_track(stride=2), *map(a_slot, range(8, 14))) == [
        ([8, 8, 8, 9], [9], [8]),
        ([8, 9, 10, 11], [11], [10]),
        ([10, 11, 12, 13], [13], [12]),
    ]


def test_a_clip_begins_on_the_grid_whatever_was_seen_before() -> None:
    for first in (8, 9, 10, 11):
        (clip,) = follow(a_track(least=1), *map(a_slot, range(first, 12)))
        assert clip[1] == [11]
        assert clip[0] == [max(first, slot) for slot in range(8, 12)]


def test_the_first_frame_of_a_slot_fills_it_and_the_others_need_it() -> None:
    track = a_track()
    assert follow(track, a_slot(8), a_slot(8, after=50, offset=100)) == [(100, OVER_RATE, 8)]
    follow(track, *map(a_slot, (9, 10, 11)))
    assert track.last == 11
    assert follow(track, a_slot(11, after=50, offset=101)) == [(101, OVER_RATE, 11)]


@pytest.mark.parametrize(
    ("gap", "shown"),
    [("repeat", [[8, 8, 10, 10]]), ("shorten", [[8, 10]]), ("skip", [])],
    ids=["repeat", "shorten", "skip"],
)
def test_what_a_clip_with_gaps_shows(gap: Gap, shown: list[list[int]]) -> None:
    found = follow(a_track(gap=gap), a_slot(8), a_slot(10), a_slot(12))
    assert [each[0] for each in found if isinstance(each[0], list)] == shown


def test_frames_of_a_clip_that_is_not_made_are_skipped() -> None:
    assert follow(a_track(gap="skip"), a_slot(8), a_slot(10), a_slot(12)) == [(8, GAP, 8), (10, GAP, 10)]
    assert follow(a_track(least=3), a_slot(8), a_slot(10), a_slot(12)) == [(8, GAP, 8), (10, GAP, 10)]


def test_a_frame_that_a_later_clip_shows_is_not_skipped() -> None:
    found = follow(a_track(stride=2, gap="skip"), *map(a_slot, (8, 10, 11, 12, 13)))
    assert found == [(8, GAP, 8), ([10, 11, 12, 13], [13], [10, 11, 12])]


def test_a_clip_with_nothing_new_is_not_made() -> None:
    found = follow(a_track(stride=1), *map(a_slot, (8, 9, 20)))
    assert [each[1] for each in found] == [[8], [9], [20]]


def test_frames_between_clips() -> None:
    assert follow(a_track(frames=2, stride=4), *map(a_slot, range(8, 14))) == [
        ([8, 9], [9], [8]),
        (10, BETWEEN_CLIPS, None),
        (11, BETWEEN_CLIPS, None),
        ([12, 13], [13], [12]),
    ]


def test_a_clip_needs_whatever_its_frames_need() -> None:
    track = a_track(frames=2, stride=2)
    taken = [*track.follow(Arrival(a_slot(8), 3)), *track.follow(Arrival(a_slot(9), 5))]
    (clip,) = [each for each in taken if isinstance(each, Sample)]
    assert clip.clip is not None
    assert clip.clip.needs == 3


def test_the_last_clip_of_a_camera_that_falls_silent() -> None:
    track = a_track(stride=2)
    follow(track, *map(a_slot, (8, 9, 10)))
    assert told(list(track.finish())) == [([8, 9, 10, 10], [10], [])]
    assert (list(track.held), track.last) == ([], None)
    assert follow(track, a_slot(11)) == [(11, LATE, None)]
    assert follow(track, *map(a_slot, (12, 13, 14, 15))) == [([12, 13, 14, 15], [15], [12, 13, 14])]


def test_a_clip_that_is_given_up_is_not_begun_anew() -> None:
    track = a_track()
    follow(track, a_slot(8), a_slot(9))
    assert told(list(track.abandon("out-of-memory"))) == [(8, "out-of-memory", None), (9, "out-of-memory", None)]
    assert follow(track, a_slot(10)) == [(10, LATE, None)]
    assert follow(track, *map(a_slot, (12, 13, 14, 15))) == [([12, 13, 14, 15], [15], [12, 13, 14])]


def test_a_camera_that_was_away_for_years_costs_no_time() -> None:
    found = follow(a_track(stride=1), a_slot(8), a_slot(10**12))
    assert [each[1] for each in found] == [[8], [10**12]]
