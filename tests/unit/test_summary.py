"""The demo's figures, and that it fails when they are wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction
from worker import wire
from worker.domain.results import Verdict
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.local.cuts import VideoRow
from worker.local.scoreboard import Scoreboard
from worker.local.summary import Agreement, Summary, ValueAgreement, summarise


def a_message(offset: int, *, camera: str = "cam-1", published_at: int = 3_000) -> wire.PredictionMessage:
    prediction = a_prediction(a_frame(offset, camera=camera, captured_at=1_000), Verdict(top1=True, top5=True))
    sent = wire.render_prediction("predictions", prediction, published_at=EventMillis(published_at))
    return wire.decode_prediction(sent.value or b"")


def a_tally(seen: int, labelled: int, correct: int, camera: str = "cam-1") -> wire.AccuracyMessage:
    tally = Tally(TallyKey(FRAMES, camera, MODEL), EventMillis(0), seen, labelled, correct, correct, seen)
    return wire.decode_accuracy(wire.render_accuracy("accuracy", tally, published_at=EventMillis(0)).value or b"")


def a_video() -> VideoRow:
    """Return a video of one cut, of which everything is as it should be."""
    return VideoRow(sent=42, values=Counter(range(42)), found={29: 0.98})


def a_summary(
    video: VideoRow | None = None,
    predictions: Sequence[wire.PredictionMessage] = (),
    dead_letters: Sequence[tuple[str, str]] = (),
) -> Summary:
    return summarise(
        sent={"a": 1, "b": 3},
        predictions=predictions or [a_message(0, camera="a"), *(a_message(offset, camera="b") for offset in range(3))],
        tallies=[a_tally(3, 3, 2, "b"), a_tally(1, 0, 0, "a")],
        dead_letters=dead_letters,
        latencies=[100, 200, 300, 400],
        video=video or a_video(),
        broker="b:1",
    )


def test_the_figures() -> None:
    summary = a_summary()

    assert (summary.seen, summary.labelled, summary.correct, summary.accuracy) == (4, 3, 2, 0.6667)
    assert summary.accuracy_by_camera == {"a": None, "b": 2 / 3}
    assert summary.frames_per_second == 2.0
    assert summary.latency_ms == {"p50": 250.0, "p99": 397.0}
    assert (summary.cuts_found, summary.cuts_expected) == (1, 1)
    assert (summary.video.frames_sent, summary.video.values) == (42, 42)
    assert summary.faults() == []


AGREED = Agreement(4, 4, 0.0, 2, 4, 0.0)
VALUES_AGREED = ValueAgreement(42, 42, 1e-7)


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (replace(a_summary(), frames_sent=5), "5 frames were sent, but there are 4 predictions and 0 dead letters"),
        (replace(a_summary(), predictions=0, frames_sent=0), "0 frames were sent"),
        (replace(a_summary(), seen=3), "accuracy counts 3 of 4 predictions"),
        (replace(a_summary(), labelled=0), "0 labelled"),
        (replace(a_summary(), agreement=replace(AGREED, replay_same=3)), "predictions differ"),
        (replace(a_summary(), agreement=replace(AGREED, torchvision_same=3)), "predictions differ"),
        (replace(a_summary(), agreement=replace(AGREED, replay_correct=1)), "replay counts 1 right answers"),
        (a_summary(replace(a_video(), found={})), "there should be a cut, but none was found, after frame 29"),
        (a_summary(replace(a_video(), sent=43)), "bikes: there is no value for frame 42"),
        (replace(a_summary(), video_agreement=replace(VALUES_AGREED, replay_same=41)), "values differ from replay"),
    ],
)
def test_a_run_that_lost_or_miscounted_anything_says_so(summary: Summary, text: str) -> None:
    assert text in "\n".join(summary.faults())


def test_a_run_in_which_all_agree_is_right() -> None:
    assert replace(a_summary(), agreement=AGREED, video_agreement=VALUES_AGREED).faults() == []


def test_a_frame_lost_and_another_predicted_twice_do_not_cancel_out() -> None:
    """There are still as many predictions as frames."""
    summary = a_summary(predictions=[a_message(0, camera="a"), *(a_message(n, camera="b") for n in (0, 0, 2))])

    assert (summary.frames_sent, summary.predictions) == (4, 4)
    assert (summary.lost, summary.predicted_twice, summary.counted_twice) == (1, 1, 0)
    assert summary.faults() == [
        "1 of 4 frames have neither a prediction nor a dead letter",
        "there are 1 predictions beyond the first of a frame",
    ]


def test_a_dead_letter_is_not_a_loss_but_must_not_be_counted() -> None:
    predictions = [a_message(0, camera="a"), *(a_message(offset, camera="b") for offset in range(2))]
    summary = a_summary(predictions=predictions, dead_letters=[("b", "b-000002")])

    assert (summary.lost, summary.predicted_twice, summary.dead_letters) == (0, 0, 1)
    assert summary.counted_twice == 1


def test_a_gap_is_a_loss_as_soon_as_a_later_frame_has_its_result() -> None:
    board = Scoreboard()
    board.sent({"cam-1": 5})
    for offset in (0, 1, 3):
        board.predicted(a_message(offset), now=0.0, arrived_at=1_000)
    assert (board.row("cam-1").lost, board.row("cam-1").lag) == (1, 2)

    board.predicted(a_message(3), now=0.0, arrived_at=1_000)
    assert (board.row("cam-1").predicted_twice, board.row("cam-1").lag) == (1, 2)
    board.rejected("cam-1", "cam-1-000002")
    assert board.row("cam-1").lost == 0


def test_the_scoreboard_knows_when_every_frame_has_come_out() -> None:
    board = Scoreboard()
    board.sent({"cam-1": 2, "cam-2": 1})
    board.predicted(a_message(0), now=10.0, arrived_at=1_500)
    board.rejected("cam-2", "cam-2-000000")
    assert (board.row("cam-1").lag, board.settled) == (1, False)

    board.predicted(a_message(1), now=11.0, arrived_at=1_700)
    assert (board.total("lag"), board.settled) == (0, False)
    board.counted(a_tally(1, 1, 1))
    board.counted(a_tally(2, 2, 1))
    assert board.settled
    row = board.row("cam-1")
    assert (row.correct, row.labelled, row.latency(50)) == (1, 2, 600.0)
    assert row.frames_per_second(11.0) == 2 / 5
    assert row.frames_per_second(15.5) == 1 / 5
    assert board.row("cam-2").latency(50) is None
