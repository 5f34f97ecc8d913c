"""The whole worker on the memory driver: a script of records, pauses and rebalances in, messages out."""

from collections.abc import Iterator

import pytest

from tests.support.colours import ColourModel, picture
from tests.support.flow import Flow, as_read
from tests.support.frames import FRAMES, a_record
from tests.support.schemas import check_headers, check_json
from worker import wire
from worker.adapters.memory import Assign, Event, Lose, MemorySink, Pause, Revoke
from worker.domain.errors import DeliveryFailed, ModelContractBroken, ModelOutOfMemory, TooManyRejected
from worker.domain.records import Headers, Record, TopicPartition
from worker.ops.telemetry import STAGES

ONE = TopicPartition("frames", 1)


def coloured(
    offset: int,
    colour: str = "red",
    *,
    at: int = 0,
    label: str | None = None,
    camera: str = "cam-1",
    partition: int = 0,
    more: Headers = (),
) -> Record:
    headers = (("label", label.encode()), *more) if label is not None else more
    return a_record(
        offset, partition=partition, value=picture(colour), key=camera.encode(), headers=headers, timestamp=at
    )


def predicted(flow: Flow) -> list[tuple[int, int]]:
    return [(each.frame.partition, each.frame.offset) for each in flow.predictions()]


def test_every_message_fits_its_schema() -> None:
    flow = Flow([coloured(0, label="red"), coloured(1), a_record(2, value=b"junk", timestamp=0)]).run()

    for record in flow.sink.published:
        match record.topic:
            case "predictions":
                check_json("prediction", record.value)
            case "accuracy":
                check_json("accuracy", record.value)
            case "dead-letters":
                check_headers("dead-letter", record.headers)
    assert [record.topic for record in flow.sink.published] == [
        "predictions",
        "predictions",
        "dead-letters",
        "accuracy",
    ]


def test_a_frame_becomes_a_prediction_beside_it() -> None:
    (message,) = Flow([coloured(7, "green", at=1_500, label="green", partition=3)]).run().predictions()

    assert message.frame == wire.prediction_fields.FrameField(
        camera="cam-1", id="frames-3-7", topic="frames", partition=3, offset=7
    )
    assert (message.window.start_ms, message.window.end_ms, message.window.closed_by) == (1_000, 2_000, "drain")
    assert [each.name for each in message.classes] == ["green", "black", "red"]
    assert message.correct == wire.prediction_fields.CorrectField(top1=True, top5=True)
    assert message.model == wire.prediction_fields.ModelField("colours", "c0105c010500")
    assert set(message.seconds) == {"gather", "decode", "classify"}
    assert all(seconds > 0 for seconds in message.seconds.values())


def test_offsets_are_committed_behind_what_was_published() -> None:
    flow = Flow([coloured(0, at=0), coloured(1, at=10), coloured(2, at=1_000), Pause()]).run()

    assert flow.committed() == {FRAMES: 3}
    assert predicted(flow) == [(0, 0), (0, 1), (0, 2)]


def test_an_open_window_is_not_committed() -> None:
    """The script loses the partition before its second window closes, so only the first was committed."""
    flow = Flow([coloured(0, at=0), coloured(1, at=1_000), Pause(), Lose([FRAMES])]).run()

    assert predicted(flow) == [(0, 0)]
    assert flow.committed() == {FRAMES: 1}


def test_predictions_leave_in_the_order_of_their_frames_whatever_window_closes_first() -> None:
    """Offset 1 lies in a later window that closes by size; offset 2 belongs to the one still open."""
    script = [coloured(0, at=900), coloured(1, at=1_100), coloured(2, at=950), coloured(3, at=1_200)]
    flow = Flow(script, lateness=5_000, max_frames=2).run()

    assert predicted(flow) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_bad_frame_is_a_dead_letter_and_the_batch_goes_on() -> None:
    bad = a_record(1, value=b"no picture", headers=(("label", b"red"),))
    flow = Flow([coloured(0), bad, coloured(2)]).run()
    (letter,) = flow.dead_letters()

    assert predicted(flow) == [(0, 0), (0, 2)]
    assert (letter.key, letter.value) == (bad.key, bad.value)
    assert wire.original_headers(as_read(letter)) == bad.headers
    report = wire.parse_dead_letter(as_read(letter))
    assert (report.reason, report.stage, report.offset) == ("not-a-picture", "decode", 1)
    assert flow.committed() == {FRAMES: 3}
    assert flow.metric("dead_letters_total", reason="not-a-picture") == 1


def test_a_bad_header_is_a_dead_letter_that_waits_its_turn() -> None:
    """The frame before it is still in its window, so the dead letter may not overtake it."""
    bad = coloured(1, more=(("captured-at", b"soon"),))
    flow = Flow([coloured(0), bad, Pause(), Revoke([FRAMES])]).run()

    assert flow.sink.published == []
    assert flow.committed() == {}


def test_a_bad_header_alone_is_published_at_once() -> None:
    flow = Flow([coloured(0, more=(("captured-at", b"soon"),)), Pause(), Lose([FRAMES])]).run()

    assert [wire.parse_dead_letter(as_read(letter)).reason for letter in flow.dead_letters()] == ["bad-header"]


def test_batches_of_several_partitions_share_one_call_of_the_model() -> None:
    script = [
        [coloured(0, partition=p, at=0) for p in range(3)],
        [coloured(1, partition=p, at=1_000) for p in range(3)],
    ]
    flow = Flow(script).run()

    assert flow.model.calls == [3, 3]
    assert flow.metric("batches_total", closed_by="watermark") == 3
    assert flow.metric("batches_total", closed_by="size") == 0
    assert flow.metric("batches_total", closed_by="drain") == 3


def test_a_call_of_the_model_never_takes_more_than_its_maximum() -> None:
    flow = Flow([[coloured(offset, at=offset) for offset in range(20)]], max_frames=8).run()

    assert flow.model.calls == [8, 8, 4]


def test_when_memory_is_short_open_windows_close_early() -> None:
    flow = Flow([coloured(offset) for offset in range(5)], max_in_flight_bytes=2 * len(picture("red"))).run()

    assert [each.window.closed_by for each in flow.predictions()] == ["size", "size", "size", "drain", "drain"]


def test_linger_closes_the_window_of_a_camera_that_fell_silent() -> None:
    flow = Flow([coloured(0), *[Pause()] * 40, Lose([FRAMES])], linger=0.05).run()

    assert [each.window.closed_by for each in flow.predictions()] == ["linger"]


def test_a_clock_that_runs_fast_makes_no_other_camera_late() -> None:
    fast = coloured(1, at=50_000, camera="fast")
    flow = Flow([coloured(0, at=0), fast, coloured(2, at=10), coloured(3, at=20, camera="fast")]).run()

    late = {(each.frame.camera, each.frame.offset): each.window.late for each in flow.predictions()}
    assert late == {("cam-1", 0): False, ("fast", 1): False, ("cam-1", 2): False, ("fast", 3): True}
    assert flow.metric("late_frames_total", camera="fast") == 1
    assert flow.metric("late_frames_total", camera="cam-1") is None


def test_late_frames_are_predicted_and_counted_as_late() -> None:
    flow = Flow([coloured(0, at=5_000), coloured(1, at=100)]).run()

    assert [each.window.late for each in flow.predictions()] == [False, True]
    assert flow.metric("late_frames_total", camera="cam-1") == 1


def test_running_accuracy_is_published_with_the_predictions_it_counts() -> None:
    flow = Flow([coloured(0, label="red"), coloured(1, label="blue"), coloured(2), coloured(3, label="4")]).run()
    (tally,) = flow.tallies()

    assert (tally.seen, tally.labelled, tally.correct_top1, tally.correct_top5, tally.next_offset) == (4, 3, 1, 3, 4)
    assert flow.metric("labelled_total", camera="cam-1") == 3
    assert flow.metric("correct_total", camera="cam-1", top="1") == 1


def test_a_label_of_no_class_is_passed_on_and_not_counted_as_labelled() -> None:
    flow = Flow([coloured(0, label="purple")]).run()
    (message,), (tally,) = flow.predictions(), flow.tallies()

    assert (message.label, message.correct) == ("purple", None)
    assert (tally.seen, tally.labelled, tally.top1) == (1, 0, None)
    assert flow.metric("unknown_labels_total", camera="cam-1") == 1


def test_an_undelivered_batch_stops_the_worker_with_its_offsets_uncommitted_and_uncounted() -> None:
    flow = Flow(
        [coloured(0, at=0, label="red"), coloured(1, at=1_000, label="red"), coloured(2, at=2_000)],
        sink=MemorySink(failures={1: 0}),
    )
    with pytest.raises(DeliveryFailed):
        flow.run()

    assert flow.committed() == {FRAMES: 1}
    assert [tally.seen for tally in flow.tallies()] == [1]
    assert flow.metric("frames_total", camera="cam-1", outcome="predicted") == 1


def test_a_broken_model_stops_the_worker_with_its_offsets_uncommitted() -> None:
    flow = Flow([coloured(0, at=0), coloured(1, at=1_000), coloured(2, at=2_000)], model=ColourModel(fail_on_call=1))
    with pytest.raises(ModelContractBroken):
        flow.run()

    assert flow.committed() == {FRAMES: 1}
    assert predicted(flow) == [(0, 0)]
    assert flow.dead_letters() == []


def test_a_frame_that_breaks_the_model_is_found_among_its_neighbours_and_rejected_alone() -> None:
    frames = [coloured(n, "black" if n == 5 else "red") for n in range(8)]
    flow = Flow([frames], model=ColourModel(breaks_on="black")).run()
    (letter,) = flow.dead_letters()
    report = wire.parse_dead_letter(as_read(letter))

    assert predicted(flow) == [(0, n) for n in range(8) if n != 5]
    assert (report.reason, report.stage, report.offset) == ("model-failed", "classify", 5)
    assert letter.value == frames[5].value
    assert flow.committed() == {FRAMES: 8}


def test_a_model_with_a_bad_moment_costs_no_frame() -> None:
    flow = Flow([[coloured(0)]], model=ColourModel(hiccups=[0])).run()

    assert predicted(flow) == [(0, 0)]
    assert flow.dead_letters() == []


def test_a_model_that_fails_on_most_frames_is_broken_and_stops_the_worker_before_anything_is_published() -> None:
    frames = [coloured(n, "black" if n % 4 else "red") for n in range(16)]
    flow = Flow([frames[:8], frames[8:]], model=ColourModel(breaks_on="black"))
    with pytest.raises(TooManyRejected, match=r"6 of the last 8 frames, more than limits\.max_failed_share=0\.5"):
        flow.run()

    assert flow.sink.published == []
    assert flow.committed() == {}


def test_when_memory_is_short_calls_are_halved_and_grow_again_slowly() -> None:
    calls = [[coloured(8 * step + n) for n in range(8)] for step in range(60)]
    flow = Flow(calls, model=ColourModel(room=3)).run()

    assert len(flow.predictions()) == 480
    assert flow.dead_letters() == []
    assert flow.model.calls[:7] == [8, 4, 2, 2, 4, 2, 2]
    assert flow.model.calls[7:11] == [2, 2, 2, 2]
    assert 3 in flow.model.calls[11:]


def test_a_frame_for_which_there_is_no_memory_at_all_stops_the_worker() -> None:
    flow = Flow([[coloured(0)]], model=ColourModel(room=0))
    with pytest.raises(ModelOutOfMemory):
        flow.run()

    assert flow.committed() == {}


def test_a_failed_commit_is_no_failure_and_is_said_again() -> None:
    script: list[Event] = [coloured(0, at=0), coloured(1, at=1_000), *[Pause()] * 2, Lose([FRAMES])]
    flow = Flow(script, failing_commits=[0, 1]).run()

    assert flow.committed() == {FRAMES: 1}
    assert flow.metric("commits_total", outcome="failed") == 2
    assert flow.metric("commits_total", outcome="succeeded") == 1


def test_a_revoked_partition_is_committed_and_forgotten_and_the_other_goes_on() -> None:
    script: list[Event] = [
        [coloured(0, at=0), coloured(0, at=0, partition=1, camera="cam-2")],
        [coloured(1, at=1_000), coloured(1, at=1_000, partition=1, camera="cam-2")],
        Revoke([FRAMES]),
        coloured(2, at=2_000, partition=1, camera="cam-2"),
    ]
    flow = Flow(script).run()

    assert predicted(flow) == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert flow.committed() == {FRAMES: 1, ONE: 3}
    assert flow.metric("assigned_partitions") == 1
    assert flow.metric("frames_total", camera="cam-1", outcome="predicted") is None
    assert flow.metric("frames_total", camera="cam-2", outcome="predicted") == 3


def test_a_partition_that_comes_back_is_read_again_from_what_was_committed() -> None:
    script: list[Event] = [
        coloured(0, at=0),
        coloured(1, at=1_000),
        Revoke([FRAMES]),
        Assign([FRAMES]),
        coloured(1, at=1_000),
    ]
    flow = Flow(script).run()

    assert predicted(flow) == [(0, 0), (0, 1)]
    assert flow.committed() == {FRAMES: 2}


def test_accuracy_goes_on_from_what_was_published_before() -> None:
    before = Flow([coloured(offset, label="red") for offset in range(3)]).run().tallies()
    after = Flow(
        [coloured(offset, "green", label="red") for offset in range(1, 5)], published_before=lambda: before
    ).run()

    assert [(t.seen, t.correct_top1, t.next_offset) for t in after.tallies()] == [(5, 3, 5)]
    assert len(after.predictions()) == 4


def test_cameras_beyond_the_limit_share_a_series() -> None:
    flow = Flow([coloured(offset, camera=f"cam-{offset}") for offset in range(4)], max_cameras=2).run()

    assert flow.metric("frames_total", camera="cam-0", outcome="predicted") == 1
    assert flow.metric("frames_total", camera="other", outcome="predicted") == 2


def test_every_stage_is_measured() -> None:
    flow = Flow([coloured(0, label="red"), coloured(1)]).run()

    for stage in STAGES:
        assert flow.metric("stage_seconds_count", stage=stage), stage
    assert flow.metric("frame_age_seconds_count") == 2
    assert flow.metric("rebalances_total", event="assigned") == 1


def test_a_target_takes_the_place_of_the_linger_and_partitions_share_a_call() -> None:
    frames = [coloured(0), coloured(0, partition=1), coloured(1, at=1_000)]
    script: list[Event] = [frames, *[Pause()] * 20, Lose([FRAMES, ONE])]
    flow = Flow(script, linger=10.0, lateness=2_000, target=0.4).run()

    assert {each.window.closed_by for each in flow.predictions()} == {"linger"}
    assert flow.model.calls == [3]
    assert flow.metric("batch_linger_seconds") == pytest.approx(0.02)
    assert flow.metric("batch_limit_frames") == 8
    assert flow.metric("latency_target_seconds") == 0.4


def test_calls_are_small_where_the_model_takes_too_long_for_the_group() -> None:
    """A call takes one tick of the clock, a thousandth of a second, and twelve must fit."""
    script: list[Event] = [*[coloured(offset, at=offset) for offset in range(30)], *[Pause()] * 5]
    flow = Flow(script, max_poll_interval=0.006, max_frames=2).run()

    assert flow.model.calls[0] == 2
    assert flow.model.calls[-1] == 1
    assert flow.metric("batch_limit_frames") == 1
    assert flow.metric("model_call_limit_frames") == 1


def test_a_stopped_worker_finishes_what_is_open_and_reads_no_more() -> None:
    def script() -> Iterator[Record]:
        yield coloured(0)
        flow.worker.stop()
        yield coloured(1)
        yield coloured(2)

    flow = Flow(script())
    flow.run()

    assert predicted(flow) == [(0, 0), (0, 1)]
    assert flow.committed() == {FRAMES: 2}
