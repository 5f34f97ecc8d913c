from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction, a_record, a_sample
from worker.domain.batches import Batch, BatchLimits, ClosedBy
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import Reason
from worker.domain.extents import Restored, Start
from worker.domain.frames import Frame
from worker.domain.latency import Bounds, LatencyControl
from worker.domain.pictures import Flaw, Flawed
from worker.domain.records import TopicPartition
from worker.domain.results import (
    AnyVerdict,
    BoxVerdict,
    DeadLetter,
    Detections,
    Embedding,
    HitCounts,
    NamedVerdict,
    Outcome,
    Result,
    Segmentation,
    Verdict,
)
from worker.domain.samples import Shown, Skipped
from worker.domain.times import EventMillis
from worker.domain.windows import TumblingWindows
from worker.ops.counts import Rightness
from worker.ops.telemetry import Telemetry

OTHER = TopicPartition("frames", 1)


class Watched:
    """A telemetry and what Prometheus would read of it."""

    def __init__(self, max_cameras: int = 10) -> None:
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, max_cameras=max_cameras)

    def value(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"vision_worker_{metric}", labels)

    def predicted(self, camera: str, *, partition: int = 0, label: str | None = None, right: bool = True) -> None:
        verdict = Verdict(top1=right, top5=True) if label == "cat" else None
        frame = a_frame(partition=partition, camera=camera, captured_at=1_000, label=label)
        self.telemetry.delivered([a_prediction(frame, verdict)], published_at=EventMillis(1_250))


def a_dead_letter(camera: str = "cam-1") -> DeadLetter:
    return DeadLetter(
        record=a_record(),
        reason=Reason.TRUNCATED,
        stage="decode",
        error="ImageUndecodable",
        text="t",
        stack="s",
        camera=camera,
        arrived_at=EventMillis(0),
    )


def test_predictions_are_counted_by_camera_with_their_age_and_correctness() -> None:
    watched = Watched()
    watched.predicted("gate", label="cat")
    watched.predicted("gate", label="cat", right=False)
    watched.predicted("gate", label="unknown")
    watched.predicted("gate")

    assert watched.value("frames_total", camera="gate", outcome="predicted") == 4
    assert watched.value("labelled_total", camera="gate") == 2
    assert watched.value("correct_total", camera="gate", top="1") == 1
    assert watched.value("correct_total", camera="gate", top="5") == 2
    assert watched.value("unknown_labels_total", camera="gate") == 1
    assert watched.value("frame_age_seconds_sum") == 4 * 0.25
    assert watched.value("frame_age_seconds_bucket", le="0.25") == 4


def test_flaws_of_pictures_are_counted_by_kind_and_told_with_their_camera() -> None:
    watched = Watched()
    assert watched.value("flawed_pictures_total", flaw="premature-end") == 0
    with capture_logs() as lines:
        for _ in range(3):
            watched.telemetry.flawed(a_frame(camera="gate").frame, Flawed(Flaw.PREMATURE_END, "Premature end"))
        watched.telemetry.flawed(a_frame(camera="yard").frame, Flawed(Flaw.EXTRANEOUS, "3 extraneous bytes"))

    assert watched.value("flawed_pictures_total", flaw="premature-end") == 3
    assert watched.value("flawed_pictures_total", flaw="extraneous-bytes") == 1
    assert [(line["flaw"], line["text"], line["camera"]) for line in lines] == [
        ("premature-end", "Premature end", "gate"),
        ("extraneous-bytes", "3 extraneous bytes", "yard"),
    ]


def test_dead_letters_are_counted_by_reason() -> None:
    watched = Watched()
    watched.telemetry.delivered([a_dead_letter()], published_at=EventMillis(0))

    assert watched.value("dead_letters_total", reason="truncated") == 1
    assert watched.value("frames_total", camera="cam-1", outcome="rejected") == 1


def test_batches_are_counted_by_what_closed_them() -> None:
    watched = Watched()
    window = TumblingWindows(1_000).of(EventMillis(0))
    samples = (a_sample(0), a_sample(1))
    watched.telemetry.batch_closed(Batch(window, samples, ClosedBy.LINGER, late=False), FRAMES)
    watched.telemetry.batch_closed(Batch(window, samples, ClosedBy.SIZE, late=True), FRAMES)

    assert watched.value("batches_total", closed_by="linger") == 1
    assert watched.value("batch_size_frames_sum") == 4
    assert watched.value("late_frames_total", camera="cam-1") == 2


def test_stage_seconds_reach_from_a_millisecond_to_a_minute() -> None:
    watched = Watched()
    for seconds in (0.0005, 59.0, 61.0):
        watched.telemetry.stages_took([("decode", seconds)])

    assert watched.value("stage_seconds_bucket", stage="decode", le="0.001") == 1
    assert watched.value("stage_seconds_bucket", stage="decode", le="60.0") == 2
    assert watched.value("stage_seconds_bucket", stage="decode", le="+Inf") == 3


def test_cameras_beyond_the_cap_share_other_and_known_ones_keep_their_series() -> None:
    watched = Watched(max_cameras=2)
    for camera in ("a", "b", "c", "d", "a"):
        watched.predicted(camera)

    assert watched.value("frames_total", camera="a", outcome="predicted") == 2
    assert watched.value("frames_total", camera="other", outcome="predicted") == 2
    assert watched.value("frames_total", camera="c", outcome="predicted") is None


def test_a_revoked_partition_takes_its_series_along_but_not_a_camera_seen_elsewhere() -> None:
    watched = Watched()
    watched.predicted("only here", label="cat")
    watched.predicted("both", partition=0)
    watched.predicted("both", partition=1)
    watched.telemetry.lag({FRAMES: 7, OTHER: 3})
    watched.telemetry.forget(FRAMES)

    assert watched.value("lag_records", topic="frames", partition="0") is None
    assert watched.value("lag_records", topic="frames", partition="1") == 3
    for name, labels in {
        "frames_total": {"outcome": "predicted"},
        "labelled_total": {},
        "correct_total": {"top": "1"},
    }.items():
        assert watched.value(name, camera="only here", **labels) is None
    assert watched.value("frames_total", camera="both", outcome="predicted") == 2
    watched.telemetry.forget(OTHER)
    assert watched.value("frames_total", camera="both", outcome="predicted") is None


def test_a_freed_place_under_the_cap_goes_to_the_next_camera() -> None:
    watched = Watched(max_cameras=1)
    watched.predicted("a")
    watched.telemetry.forget(FRAMES)
    watched.predicted("b", partition=1)

    assert watched.value("frames_total", camera="b", outcome="predicted") == 1


def test_the_rest_is_what_it_says() -> None:
    watched = Watched()
    watched.telemetry.model_ready(MODEL, "cpu", "eager", warm_up_seconds=1.0)
    watched.telemetry.committed(None)
    watched.telemetry.committed("broker away")
    watched.telemetry.rebalanced("assigned", [FRAMES, OTHER], assigned=2)
    watched.telemetry.in_flight(123)
    watched.telemetry.model_called([32], limit=16)
    watched.telemetry.batch_limits(BatchLimits(0.02, 12), LatencyControl(Bounds(0.2, 0.1, 32, 300.0)))

    assert watched.value("batch_linger_seconds") == 0.02
    assert watched.value("batch_limit_frames") == 12
    assert watched.value("latency_target_seconds") == 0.2
    assert watched.value("model_info", name="tiny", version="0123456789ab", device="cpu") == 1
    assert watched.value("commits_total", outcome="succeeded") == 1
    assert watched.value("commits_total", outcome="failed") == 1
    assert watched.value("rebalances_total", event="assigned") == 1
    assert watched.value("assigned_partitions") == 2
    assert watched.value("in_flight_bytes") == 123
    assert watched.value("model_call_frames_bucket", le="32.0") == 1
    assert watched.value("model_call_limit_frames") == 16


def test_a_flood_of_one_kind_is_told_at_powers_of_ten() -> None:
    telemetry = Watched().telemetry
    told = [count for count in range(1, 1_001) if telemetry._worth_telling("bad")]

    assert told == [1, 10, 100, 1_000]


def test_no_more_kinds_are_told_of_than_there_may_be_cameras() -> None:
    telemetry = Watched(max_cameras=2).telemetry

    assert [telemetry._worth_telling(kind) for kind in ("a", "b", "c")] == [True, True, False]


def test_pictures_that_could_not_be_made_are_counted() -> None:
    watched = Watched()
    for _ in range(3):
        watched.telemetry.not_drawn(a_frame().frame, ValueError("too large"))

    assert watched.value("undrawn_pictures_total") == 3


def test_boxes_are_counted_by_camera_and_unknown_labels_are_told() -> None:
    watched, found = Watched(), Detections(())
    for verdict in (BoxVerdict(HitCounts(2, 1, 0)), BoxVerdict(HitCounts(1, 2, 3), ("zebra", "gnu")), None):
        prediction = replace(a_prediction(a_frame(label="cat"), verdict), result=found)
        watched.telemetry.delivered([prediction], published_at=EventMillis(1_250))

    counted = {verdict: watched.value("boxes_total", camera="cam-1", verdict=verdict) for verdict in HitCounts._fields}
    assert counted == {"hits": 3, "misses": 3, "false_alarms": 3}
    assert watched.value("labelled_total", camera="cam-1") == 2
    assert watched.value("correct_total", camera="cam-1", top="1") is None
    assert watched.value("unknown_labels_total", camera="cam-1") == 1
    watched.telemetry.forget(FRAMES)
    assert watched.value("boxes_total", camera="cam-1", verdict="hits") is None


@pytest.mark.parametrize("result", [Detections(()), Segmentation(()), Embedding((1.0,))])
def test_a_label_that_means_nothing_to_the_task_is_no_unknown_label(result: Result) -> None:
    watched = Watched()
    prediction = replace(a_prediction(a_frame(label="cat")), result=result)
    watched.telemetry.delivered([prediction], published_at=EventMillis(1_250))

    assert watched.value("unknown_labels_total", camera="cam-1") is None


def restored(start: Start, **what: Any) -> Restored:
    nothing = {"kept": 0, "former": 0, "read_again": None, "left_out_from": None, "is_lost": False}
    return Restored(start, **(nothing | what))


@pytest.mark.parametrize(
    ("found", "level", "event", "fields"),
    [
        (
            restored(Start(Checkpoint(3), anew="the topic was deleted and created again"), former=2),
            "warning",
            "the partition begins anew",
            {"reason": "the topic was deleted and created again", "keys_dropped": 2},
        ),
        (restored(Start(Checkpoint(3)), kept=1, former=2), "warning", "the partition begins anew", {"keys_dropped": 2}),
        (restored(Start(Checkpoint(3)), is_lost=True), "warning", "frames are committed, and nothing", {}),
        (restored(Start(Checkpoint(3), missed=4)), "warning", "records were deleted", {"records_at_most": 4}),
        (restored(Start(Checkpoint(3)), kept=1, read_again=8), "info", "frames are read again", {"to_offset": 8}),
        (
            restored(Start(Checkpoint(3)), kept=1, left_out_from=1),
            "warning",
            "frames are left out",
            {"left_out_from": 1},
        ),
    ],
)
def test_what_became_of_what_was_saved_is_told(
    found: Restored, level: str, event: str, fields: dict[str, object]
) -> None:
    with structlog.testing.capture_logs() as log:
        Watched().telemetry.restored(FRAMES, found)

    (line,) = log
    assert (line["log_level"], line["partition"]) == (level, "frames[0]")
    assert line["event"].startswith(event)
    assert fields.items() <= line.items()


def test_nothing_is_told_of_a_partition_that_goes_on() -> None:
    with structlog.testing.capture_logs() as log:
        Watched().telemetry.restored(FRAMES, restored(Start(Checkpoint(3)), kept=4))
    assert log == []


def test_records_that_are_gone_and_partitions_that_wait_are_counted() -> None:
    watched = Watched()
    assert (watched.value("missed_records_total"), watched.value("waiting_partitions")) == (0, 0)

    watched.telemetry.missed(FRAMES, 3)
    watched.telemetry.missed(OTHER, 4)
    watched.telemetry.waiting([FRAMES, OTHER], ["accuracy"])
    assert (watched.value("missed_records_total"), watched.value("waiting_partitions")) == (7, 2)

    watched.telemetry.waiting([], [])
    assert watched.value("waiting_partitions") == 0


class Logged(Watched):
    """A telemetry whose warnings of clocks are kept."""

    def clocks(self, *outcomes: Outcome) -> list[str]:
        """Return the cameras that are told to have a wrong clock, one after the other."""
        with capture_logs() as lines:
            self.telemetry.delivered(outcomes, published_at=EventMillis(0))
        return [str(line["camera"]) for line in lines if line["event"].startswith("the clock of a camera")]


def ahead(milliseconds: int, camera: str = "fast") -> Frame:
    frame = a_frame(camera=camera, captured_at=1_000_000).frame
    return replace(frame, arrived_at=EventMillis(frame.captured_at - milliseconds))


@pytest.mark.parametrize(
    "outcome",
    [
        lambda frame: replace(a_prediction(a_frame()), frame=frame),
        lambda frame: Skipped(frame, "over-rate"),
        Shown,
        lambda frame: replace(a_dead_letter(frame.camera), reason=Reason.CLOCK_AHEAD),
    ],
    ids=["predicted", "skipped", "shown", "refused"],
)
def test_a_fast_clock_is_counted_and_told_once_of_each_camera(outcome: Callable[[Frame], Outcome]) -> None:
    logged = Logged()
    told = logged.clocks(*(outcome(ahead(60_000, camera)) for camera in ("fast", "fast", "faster", "fast")))

    assert told == ["fast", "faster"]
    assert logged.value("clock_ahead_frames_total", camera="fast") == 3
    assert logged.value("clock_ahead_frames_total", camera="faster") == 1
    assert logged.clocks(outcome(ahead(60_000))) == []
    logged.telemetry.forget(FRAMES)
    assert logged.value("clock_ahead_frames_total", camera="fast") is None


@pytest.mark.parametrize("milliseconds", [-(10**9), 0, 10_000])
def test_a_clock_that_is_right_or_slow_is_not_told(milliseconds: int) -> None:
    logged = Logged()

    assert logged.clocks(Skipped(ahead(milliseconds), "over-rate")) == []
    assert logged.value("clock_ahead_frames_total", camera="fast") is None


def test_the_first_camera_without_a_series_of_its_own_is_told_once_with_the_setting() -> None:
    watched = Watched(max_cameras=2)
    with capture_logs() as said:
        for camera in ("a", "b"):
            watched.predicted(camera)
        assert (said, watched.telemetry.counts().max_cameras) == ([], None)
        for camera in ("c", "d", "c"):
            watched.predicted(camera)

    (line,) = said
    assert line["log_level"] == "warning"
    assert line["event"].startswith("there are more than 2 cameras: metrics and alerts show the others together")
    assert "limits.max_cameras" in line["event"]
    assert watched.telemetry.counts().max_cameras == 2


def test_the_lag_is_not_known_while_brokers_do_not_answer() -> None:
    watched = Watched()
    assert watched.value("brokers_unreachable_seconds") == 0
    watched.telemetry.lag({FRAMES: 7, OTHER: 3})
    assert watched.telemetry.counts().lag == 10

    watched.telemetry.brokers_answered(unreachable_for=12.5)
    watched.telemetry.lag({FRAMES: 7, OTHER: 3})  # what the client still knows
    assert watched.value("brokers_unreachable_seconds") == 12.5
    assert watched.value("lag_records", topic="frames", partition="0") is None
    assert watched.telemetry.counts().lag is None

    watched.telemetry.brokers_answered(unreachable_for=0.0)
    watched.telemetry.lag({FRAMES: 9})
    assert watched.value("brokers_unreachable_seconds") == 0
    assert watched.value("lag_records", topic="frames", partition="0") == 9
    assert watched.telemetry.counts().lag == 9


def test_the_counts_are_those_of_the_metrics() -> None:
    watched = Watched()
    watched.predicted("gate", label="cat")
    watched.predicted("gate", label="cat", right=False)
    watched.predicted("gate", label="gnu")
    watched.predicted("gate")
    frame = a_frame().frame
    others: list[Outcome] = [a_dead_letter(), Skipped(frame, "late"), Skipped(frame, "over-rate"), Shown(frame)]
    watched.telemetry.delivered(others, published_at=EventMillis(0))
    watched.telemetry.rebalanced("assigned", [FRAMES, OTHER], assigned=2)
    watched.telemetry.waiting([OTHER], ["accuracy"])
    watched.telemetry.in_flight(123)

    counts = watched.telemetry.counts()
    assert counts.outcomes == {"predicted": 4, "rejected": 1, "skipped": 2, "shown": 1}
    assert counts.frames == 8
    assert (counts.rejected, counts.skipped) == ({"truncated": 1}, {"late": 1, "over-rate": 1})
    assert (counts.rightness, counts.unknown) == (Rightness(labelled=2, right=1), 1)
    assert (counts.assigned, counts.waiting, counts.in_flight) == (2, 1, 123)
    watched.telemetry.forget(FRAMES)
    assert watched.telemetry.counts().frames == 8, "a partition that goes takes its series along, not the sum"


@pytest.mark.parametrize(
    ("verdicts", "rightness"),
    [
        ([BoxVerdict(HitCounts(2, 1, 0)), BoxVerdict(HitCounts(1, 2, 3))], Rightness(2, 0, HitCounts(3, 3, 3))),
        ([NamedVerdict(("hat",)), NamedVerdict(("hat",), ("shoe",))], Rightness(2, 1)),
        ([Verdict(top1=False, top5=True)], Rightness(1, 0)),
    ],
)
def test_each_kind_of_verdict_adds_up(verdicts: list[AnyVerdict], rightness: Rightness) -> None:
    watched = Watched()
    for verdict in verdicts:
        prediction = replace(a_prediction(a_frame(label="cat")), verdict=verdict)
        watched.telemetry.delivered([prediction], published_at=EventMillis(1_250))

    assert watched.telemetry.counts().rightness == rightness
