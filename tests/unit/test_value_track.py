"""Input for models that give a value for each frame in the middle. A frame's offset is its capture time in tenths."""

from collections.abc import Sequence
from concurrent.futures import Future

from tests.support.frames import a_frame
from worker.domain.samples import OVER_RATE, Picture, Sample, Skipped
from worker.sampling.frame_values import ValueRules, ValueTrack
from worker.sampling.order import Arrival

RULES = ValueRules(frames=8, middle=4, segment=10 / 4)
"""Segments of 400 ms; two frames of context on each side."""


def a_track(rules: ValueRules = RULES) -> ValueTrack:
    prepared = Future[Picture]()
    return ValueTrack(rules, lambda _: prepared)


def follow(track: ValueTrack, *offsets: int) -> list[Sample | Skipped]:
    taken = list[Sample | Skipped]()
    for offset in offsets:
        taken += track.follow(Arrival(a_frame(offset, captured_at=offset * 100), offset))
    return taken


def told(taken: Sequence[Sample | Skipped]) -> list[tuple[list[int], dict[int, int]]]:
    """Return of each input what is shown, and the place of each frame that gets a value."""
    found = []
    for each in taken:
        assert isinstance(each, Sample)
        assert each.clip is not None
        offsets = [frame.frame.position.offset for frame in each.frames]
        answers = [frame.frame.position.offset for frame in each.answers]
        shown = [offsets[index] for index in each.clip.shown]
        found.append((shown, dict(zip(answers, each.clip.places, strict=True))))
    return found


def test_a_segment_is_complete_once_its_context_is_there() -> None:
    track = a_track()
    assert follow(track, *range(8, 13)) == []
    assert told(follow(track, 13)) == [([8, 8, 8, 9, 10, 11, 12, 13], {8: 2, 9: 3, 10: 4, 11: 5})]
    assert told(follow(track, *range(14, 18))) == [([10, 11, 12, 13, 14, 15, 16, 17], {12: 2, 13: 3, 14: 4, 15: 5})]


def test_a_slower_camera_fills_less_of_the_middle() -> None:
    assert told(follow(a_track(), 8, 10, 12, 14)) == [([8, 8, 8, 10, 12, 14, 14, 14], {8: 2, 10: 3})]


def test_a_segment_with_too_many_frames_is_cut_and_each_part_needs_all_of_it() -> None:
    rules = ValueRules(frames=4, middle=2, segment=10 / 4)
    taken = follow(a_track(rules), *range(8, 14))
    assert told(taken) == [([8, 8, 9, 10], {8: 1, 9: 2}), ([9, 10, 11, 12], {10: 1, 11: 2})]
    assert [each.clip.needs for each in taken if isinstance(each, Sample) and each.clip] == [8, 8]


def test_a_camera_that_falls_silent_gets_its_last_values() -> None:
    track = a_track()
    follow(track, *range(8, 14))
    assert told(track.finish()) == [([10, 11, 12, 13, 13, 13, 13, 13], {12: 2, 13: 3})]
    assert list(track.held) == []


def test_frames_that_are_given_up_are_those_without_a_value() -> None:
    track = a_track()
    follow(track, *range(8, 14))
    given_up = track.abandon("out-of-memory")
    assert [each.position.offset for each in given_up if isinstance(each, Skipped)] == [12, 13]
    assert list(track.held) == []


def test_a_camera_that_is_too_fast_may_be_reduced() -> None:
    track = a_track(ValueRules(frames=8, middle=4, segment=5 / 4, rate=5.0))
    taken = follow(track, *range(8, 12))
    assert [(each.position.offset, each.reason, each.needs) for each in taken if isinstance(each, Skipped)] == [
        (9, OVER_RATE, 8),
        (11, OVER_RATE, 10),
    ]
