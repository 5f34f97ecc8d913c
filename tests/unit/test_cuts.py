"""The demo's video: which cuts are expected, what was found, and how it is sent."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.frames import a_frame, a_prediction
from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.results import FrameValue
from worker.domain.times import EventMillis
from worker.local.cameras import play_cameras, play_video
from worker.local.cuts import VideoRow, expected_cuts, frame_id, number_of, summarise_video


def a_value(number: int, value: float = 0.01, event: str | None = None) -> wire.FrameValueMessage:
    encoded = a_frame(number, camera="bikes")
    named = replace(encoded, frame=replace(encoded.frame, frame_id=frame_id("bikes", number)))
    result = FrameValue(value, 0.5, event, above="cut" if event else "none")
    sent = wire.render_prediction(
        "predictions", replace(a_prediction(named), result=result), published_at=EventMillis(2_000)
    )
    message = wire.decode_message(sent.value or b"")
    assert isinstance(message, wire.FrameValueMessage)
    return message


def a_row(sent: int) -> VideoRow:
    """Return a row in which every frame has its value and every cut is found."""
    return VideoRow(sent=sent, values=Counter(range(sent)), found=dict.fromkeys(expected_cuts(sent), 0.9))


def test_one_round_has_the_videos_own_cuts() -> None:
    assert expected_cuts(250) == [29, 75, 136, 186, 241]


def test_there_is_a_cut_from_one_round_to_the_next() -> None:
    assert expected_cuts(500) == [29, 75, 136, 186, 241, 249, 279, 325, 386, 436, 491]
    assert len(expected_cuts(750)) == 3 * 5 + 2


@pytest.mark.parametrize(("frames", "cuts"), [(0, 0), (30, 0), (31, 1), (250, 5), (251, 6)])
def test_a_cut_needs_a_frame_behind_it(frames: int, cuts: int) -> None:
    assert len(expected_cuts(frames)) == cuts


def test_a_frames_id_has_its_number() -> None:
    assert frame_id("bikes", 136) == "bikes-000136"
    assert number_of("bikes-000136") == 136


def test_the_row_counts_cuts_as_their_values_come() -> None:
    row = VideoRow(sent=100)
    for number in range(50):
        row.valued(a_value(number, *((0.97, "cut") if number == 29 else ())))

    assert (row.lag, row.due, row.found) == (50, 1, {29: 0.97})
    row.dead_letters = 2
    assert row.lag == 48


def test_a_video_in_which_everything_was_found_has_no_faults() -> None:
    summary = summarise_video(a_row(500))

    assert (summary.frames_sent, summary.values, summary.faults()) == (500, 500, [])


def test_every_fault_is_named_with_its_frames() -> None:
    row = a_row(500)
    del row.found[136], row.found[249]
    row.found[200] = 0.6
    for number in (7, 100, 101, 102):
        del row.values[number]
    row.values[9] = 2

    summary = summarise_video(row)
    assert summary.values == 497
    assert summary.faults() == [
        "bikes: there should be a cut, but none was found, after frame 136, 249",
        "bikes: a cut was found, but there is none, after frame 200",
        "bikes: there is no value for frame 7, 100 to 102",
        "bikes: there is more than one value for frame 9",
    ]


def test_a_video_that_was_not_sent_is_a_fault() -> None:
    assert summarise_video(VideoRow()).faults() == ["bikes: no frame was sent"]


def a_film(frames: int) -> list[CapturedFrame]:
    return [CapturedFrame("bikes", b"jpeg", EventMillis(40 * number), "image/jpeg") for number in range(frames)]


def test_the_video_is_played_without_a_pause_between_its_rounds() -> None:
    due = [round(each.seconds * 1000) for each in play_video(a_film(250), rounds=3)]

    assert due == [40 * number for number in range(750)]


def test_the_other_cameras_repeat_their_frames_for_so_long() -> None:
    cameras = {name: [replace(each, camera=name) for each in a_film(5)] for name in ("a", "b")}

    sent = [(round(due.seconds * 1000), due.frame.camera) for due in play_cameras(cameras, 0.3)]
    assert sent == [(40 * number, name) for number in range(8) for name in ("a", "b")]
