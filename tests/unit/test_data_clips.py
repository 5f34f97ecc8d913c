"""Clips to learn from are the clips that the worker makes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.clips import Shot, clips_by_hand
from tests.support.labelled import an_item
from worker.data.clips import at_rate, cut_clips, cut_sequences

times = st.lists(st.integers(0, 3000), min_size=1, max_size=40, unique=True).map(sorted)


@given(times, st.sampled_from([2, 3, 4]), st.sampled_from([5.0, 10.0, 12.5]), st.integers(1, 6))
def test_they_are_the_workers(found: list[int], frames: int, rate: float, stride: int) -> None:
    items = [an_item(str(n), group="door", label=str(n), at=at) for n, at in enumerate(found)]
    shots = [Shot(n, "door", at, label=str(n)) for n, at in enumerate(found)]

    clips = list(cut_clips(items, frames=frames, rate=rate, stride=stride))

    expected = clips_by_hand(shots, frames=frames, rate=rate, stride=stride, least=(frames + 1) // 2)
    assert [tuple(int(each.name) for each in clip.places) for clip in clips] == [each.shown for each in expected]
    assert [clip.label for clip in clips] == [str(each.last) for each in expected]


def test_a_clip_with_few_frames_is_not_made() -> None:
    items = [an_item(str(at), group="door", at=at) for at in (0, 4000, 5000)]

    clips = list(cut_clips(items, frames=4, rate=1))

    assert [[each.name for each in clip.places] for clip in clips] == [["4000", "5000", "5000", "5000"]]
    assert list(cut_clips([], frames=4, rate=1)) == []


def test_the_first_frame_of_a_slot_fills_it() -> None:
    items = [an_item(str(at), group="door", at=at) for at in (0, 10, 110, 120)]

    assert [each.name for each in at_rate(items, 10).values()] == ["0", "110"]


def test_sequences_end_at_a_silence_and_at_their_length() -> None:
    items = [an_item(str(at), group="door", at=at) for at in (0, 1, 2, 3, 104, 105)]

    found = [[each.captured_at for each in part] for part in cut_sequences(items, frames=3, silence_ms=100)]

    assert found == [[0, 1, 2], [3], [104, 105]]
    assert list(cut_sequences([], frames=3, silence_ms=100)) == []
