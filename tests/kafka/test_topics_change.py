"""Topics change under a worker: it goes on with what is true of the records that are there, and says what it lost."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import NewPartitions, NewTopic

from tests.support.cameras import Cameras, last_tallies, published_counts
from tests.support.pictures import PNG
from tests.support.recurrent import moving_pictures, write_recurrent_model
from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.domain.checkpoints import Checkpoint
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.domain.times import EventMillis

BEGAN: Final = 1_700_000_000_000
both_ways: Final = pytest.mark.parametrize(
    ("guarantee", "protocol"), [("exactly_once", "consumer"), ("at_least_once", "classic")]
)
the_newer_way: Final = pytest.mark.parametrize(
    ("guarantee", "protocol"),
    [("exactly_once", "consumer"), pytest.param("at_least_once", "classic", marks=pytest.mark.thorough)],
)


def settings_of(on: Stage, guarantee: str, protocol: str, **groups: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    consumer = {"session.timeout.ms": 6_000} if protocol == "classic" else {}
    kafka = {"group_protocol": protocol, "consumer": consumer}
    return on.settings(kafka=kafka, delivery={"guarantee": guarantee}, **groups)


def create_again(on: Stage) -> None:
    """Delete the topic of frames, and create it again at once."""
    on.admin.delete_topics([on.frames])[on.frames].result(30)

    def is_created() -> bool:
        try:
            on.admin.create_topics([NewTopic(on.frames, on.partitions)])[on.frames].result(30)
        except KafkaException:  # it is not gone yet
            return False
        return True

    wait_until(is_created, "the topic is created again")


def add_partition(on: Stage, topic: str) -> None:
    """Let a topic of one partition have two, and wait until that is known."""
    on.admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
    wait_until(lambda: on.admin.list_topics(topic, timeout=10).topics[topic].partitions.keys() == {0, 1}, "it has two")


def reset(on: Stage, offset: int) -> None:
    """Set the group's offset as an operator does, with Kafka's tools: while no worker runs."""
    wanted = ConsumerGroupTopicPartitions(on.group, [Partition(on.frames, 0, offset)])

    def is_reset() -> bool:
        try:
            on.admin.alter_consumer_group_offsets([wanted])[on.group].result(30)
        except KafkaException:  # the last member has not left yet
            return False
        return True

    wait_until(is_reset, f"the offset is set to {offset}")


def seen(on: Stage) -> int:
    """Return how many frames the newest tallies have counted, all cameras together."""
    counts = published_counts(last_tallies(on.read(on.accuracy)).values())
    return sum(count for (_, what), count in counts.items() if what == "seen")


def offsets(on: Stage) -> list[int]:
    return sorted(each.frame.offset for each in on.read_predictions())


def run_first(on: Stage, settings: Mapping[str, Any], folder: Path) -> None:
    """Let a worker do six frames, and stop it."""
    with WarmWorker(settings, folder) as first:
        Cameras(on).send(6)
        on.wait_until_done()
        assert first.stop() == 0


def steps(on: Stage) -> list[int]:
    """Return how many frames each prediction's state includes, in the order of publication."""
    messages = [wire.decode_message(record.value or b"") for record in on.read(on.predictions)]
    return [each.steps for each in messages if isinstance(each, wire.RecurrentMessage)]


def said(worker: WarmWorker, what: str) -> list[dict[str, Any]]:
    return [line for line in worker.said() if what in line["event"]]


@both_ways
def test_a_topic_that_is_created_again_under_a_worker_is_read_from_its_first_frame(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        with WarmWorker(settings_of(on, guarantee, protocol), tmp_path) as worker:
            Cameras(on).send(6)
            on.wait_until_done()
            create_again(on)
            Cameras(on).send(12)
            wait_until(lambda: seen(on) == 12, "the new frames are counted, and no others")
            on.wait_until_done()
            assert said(worker, "the partition begins anew")
            assert worker.stop() == 0
        assert set(offsets(on)[6:]) >= set(range(6, 12))
        assert offsets(on).count(0) == 2


@the_newer_way
def test_a_topic_that_is_created_again_with_frames_in_flight_is_read_from_its_first_frame(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with (
        stage(bootstrap_servers, partitions=1) as on,
        WarmWorker(settings_of(on, guarantee, protocol), tmp_path) as worker,
    ):
        worker.wait_until_ready()
        Cameras(on).send(120)
        wait_until(lambda: seen(on) > 0, "the worker is at work")
        create_again(on)
        Cameras(on).send(12)
        wait_until(lambda: seen(on) == 12, "the new frames are counted, and no others")
        on.wait_until_done()
        assert worker.stop() == 0


@the_newer_way
def test_hidden_states_of_a_topic_that_is_created_again_begin_anew(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    model = write_recurrent_model(tmp_path / "recurrent", silence_ms=1_000)

    def send(on: Stage, count: int) -> None:
        shots = [PNG(pixels) for pixels in moving_pictures(count, seed=1)]
        frames = [CapturedFrame("gate", each, EventMillis(BEGAN + 50 * n), "image/png") for n, each in enumerate(shots)]
        sent = [wire.render_frame(on.frames, each) for each in frames]
        on.send(OutboundRecord(each.topic, 0, each.key, each.value, each.headers) for each in sent)

    with stage(bootstrap_servers, partitions=1, keeps_states=True) as on:
        settings = settings_of(on, guarantee, protocol, model={"path": str(model), "profile": "off"})
        with WarmWorker(settings, tmp_path) as worker:
            send(on, 5)
            on.wait_until_done()
            create_again(on)
            send(on, 7)
            wait_until(
                lambda: steps(on)[5:][-7:] == list(range(1, 8)), "the new frames are predicted from the first one on"
            )
            on.wait_until_done()
            assert worker.stop() == 0
        (state,) = wire.newest_states(on.read(on.state))
        assert (state.place.steps, state.next_offset) == (7, 7)


@the_newer_way
def test_a_topic_that_is_created_again_while_no_worker_runs_is_counted_anew(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        settings = settings_of(on, guarantee, protocol)
        run_first(on, settings, tmp_path)
        create_again(on)
        Cameras(on).send(9)
        with WarmWorker(settings, tmp_path) as second:
            on.wait_until_done()
            assert said(second, "the partition begins anew")[0]["keys_dropped"] == 5
            assert second.stop() == 0
        assert seen(on) == 9
        assert offsets(on) == sorted([*range(6), *range(9)])


@the_newer_way
def test_after_a_reset_to_earlier_frames_predictions_come_again_and_count_once(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        settings = settings_of(on, guarantee, protocol)
        run_first(on, settings, tmp_path)
        reset(on, 2)
        with WarmWorker(settings, tmp_path) as second:
            on.wait_until_done()
            (line,) = said(second, "frames are read again")
            assert (line["from_offset"], line["to_offset"]) == (2, 5)
            assert second.stop() == 0
        assert seen(on) == 6
        assert offsets(on) == sorted([*range(6), *range(2, 6)])


def test_a_committed_offset_beyond_the_end_loses_no_frame(bootstrap_servers: str, tmp_path: Path) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        Cameras(on).send(4)
        reset(on, 100)
        with WarmWorker(on.settings(), tmp_path) as worker:
            on.wait_until_done()
            assert "100 lies beyond the end, 4" in said(worker, "the partition begins anew")[0]["reason"]
            assert worker.stop() == 0
        assert offsets(on) == [0, 1, 2, 3]


def test_records_that_retention_deleted_before_they_were_read_are_counted(
    bootstrap_servers: str, tmp_path: Path
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        Cameras(on).send(8)
        reset(on, 2)
        on.admin.delete_records([Partition(on.frames, 0, 5)])[Partition(on.frames, 0)].result(30)
        with WarmWorker(on.settings(kafka={"consumer": {"auto.offset.reset": "latest"}}), tmp_path) as worker:
            on.wait_until_done()
            assert worker.metrics("missed_records_total") == {(): 3.0}
            assert said(worker, "records were deleted before they were read")[0]["records_at_most"] == 3
            assert worker.stop() == 0
        assert offsets(on) == [5, 6, 7]


@the_newer_way
def test_partitions_wait_for_outputs_that_have_too_few_while_the_others_are_read(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        cameras = Cameras(Stage(on.servers, on.name, 2, on.admin))
        add_partition(on, on.frames)
        with WarmWorker(settings_of(on, guarantee, protocol), tmp_path) as worker:
            cameras.send(10)
            on.wait_until_done()
            (line,) = said(worker, "partitions wait")
            assert line["partitions"] == [f"{on.frames}[1]"]
            assert line["outputs"] == sorted([on.predictions, on.accuracy])
            assert worker.metrics("waiting_partitions") == {(): 1.0}

            add_partition(on, on.predictions)
            add_partition(on, on.accuracy)
            wait_until(lambda: len(on.read_predictions()) == 10, "the partition that waited is read")
            assert worker.metrics("waiting_partitions") == {(): 0.0}
            assert worker.stop() == 0
        assert seen(on) == 10


@the_newer_way
def test_a_committed_offset_passes_what_transactions_leave_in_the_input(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    with stage(bootstrap_servers, partitions=1) as on:
        frames = Cameras(on).frames()
        producer = Producer({"bootstrap.servers": on.servers, "transactional.id": on.name})
        producer.init_transactions(30)
        for is_aborted in (False, True):
            producer.begin_transaction()
            for sent in (next(frames), next(frames)):
                producer.produce(sent.topic, sent.value, sent.key, 0, headers=list(sent.headers))
            producer.flush(30)
            if is_aborted:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)
        wait_until(lambda: on.ends() == {0: 6}, "there are two frames, two that are aborted, and two marks")
        with WarmWorker(settings_of(on, guarantee, protocol), tmp_path) as worker:
            wait_until(lambda: on.checkpoint(0) == Checkpoint(6), "the committed offset is the end")
            assert worker.stop() == 0
        assert offsets(on) == [0, 1]


@the_newer_way
def test_a_worker_that_restores_accuracy_stops_when_it_is_told_to(
    bootstrap_servers: str, tmp_path: Path, guarantee: str, protocol: str
) -> None:
    """An open transaction on the topic of accuracy holds it up, for as long as the transaction may last."""
    with stage(bootstrap_servers, partitions=1) as on:
        Cameras(on).send(2)
        producer = Producer({"bootstrap.servers": on.servers, "transactional.id": on.name})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(on.accuracy, b"", b"never committed", 0)
        producer.flush(30)
        with WarmWorker(settings_of(on, guarantee, protocol), tmp_path) as worker:
            wait_until(lambda: bool(said(worker, "partitions assigned")), "the worker begins to restore")
            began = time.monotonic()
            assert worker.stop() == 0
            print(f"stopped within {time.monotonic() - began:.1f} s")  # noqa: T201 a figure to read
        producer.abort_transaction(30)  # it was open until here
        assert on.committed() == {0: 0}
        assert offsets(on) == []
