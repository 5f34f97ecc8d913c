from collections import Counter
from dataclasses import replace
from random import Random
from statistics import mean

import pytest
from prometheus_client import CollectorRegistry

from tests.support.frames import a_frame, a_prediction
from worker import wire
from worker.domain.records import TopicPartition
from worker.domain.results import Classification, ScoredClass, Verdict
from worker.domain.sizing import (
    ACCURACY_BYTES,
    MOST_MEMBERS,
    MOST_REPLICAS,
    PREDICTION_BYTES,
    SERIES_A_CAMERA,
    SERIES_A_WORKER,
    Cameras,
    Plan,
    Speed,
    limits_of,
    most_on_one,
    size_of,
)
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.ops.telemetry import Telemetry
from worker.settings import Limits

SOME = Cameras(count=500, fps=5, frame_bytes=40_000, answers=5)
SPEED = Speed(answers=400, cores=2, memory=1_250_000_000)


def test_workers_follow_from_rate_speed_and_headroom() -> None:
    size = size_of(SOME, SPEED, Plan(headroom=0.6))

    assert size.frames == size.answers == 2_500
    assert size.needed == pytest.approx(2_500 / 240)
    assert (size.evenly, size.workers, size.cores, size.memory) == (11, 11, 22, 11 * SPEED.memory)
    assert size.partitions == 22


def test_a_few_cameras_need_one_worker_and_room_to_grow() -> None:
    size = size_of(replace(SOME, count=1), SPEED, Plan())

    assert (size.workers, size.partitions, size.most_cameras, size.mean_cameras) == (1, 4, 1, 1)


def test_the_busiest_worker_follows_too() -> None:
    slow = replace(SPEED, answers=47)
    size = size_of(SOME, slow, Plan())

    assert size.workers > size.evenly == 89
    assert size.busiest == size.most_cameras * SOME.answers / slow.answers <= 0.9
    assert most_on_one(SOME.count, size.workers - 1) * SOME.answers / slow.answers > 0.9


def test_there_are_no_more_workers_than_cameras() -> None:
    size = size_of(Cameras(count=10, fps=25, frame_bytes=1, answers=25), replace(SPEED, answers=20), Plan())

    assert size.workers == 10
    assert size.busiest > 1


@pytest.mark.parametrize(("cameras", "workers"), [(10, 3), (100, 7), (500, 11), (500, 186), (5_000, 40)])
def test_the_busiest_gets_about_as_many_cameras_as_by_chance(cameras: int, workers: int) -> None:
    random = Random(0)  # noqa: S311 no secret depends on it
    most = [max(Counter(random.randrange(workers) for _ in range(cameras)).values()) for _ in range(200)]

    assert mean(most) <= most_on_one(cameras, workers) + 1
    assert most_on_one(cameras, workers) <= 1.3 * mean(most) + 1


def test_one_worker_has_all_cameras() -> None:
    assert most_on_one(300, 1) == 300
    assert most_on_one(0, 4) == 0


def test_disk_is_rate_times_time_times_copies() -> None:
    size = size_of(SOME, SPEED, Plan(retention=60, results_retention=120, replication=2))

    assert size.disk.frames == 2_500 * 40_000 * 60 * 2
    assert size.disk.predictions == 2_500 * PREDICTION_BYTES * 120 * 2
    assert size.disk.total == size.disk.frames + size.disk.predictions + size.disk.accuracy


def test_accuracy_does_not_grow_beyond_its_segments() -> None:
    few = size_of(replace(SOME, count=1, answers=0.001), SPEED, Plan(replication=1)).disk.accuracy
    many = size_of(SOME, SPEED, Plan(replication=1))

    assert few == pytest.approx(0.001 * ACCURACY_BYTES * 7 * 86_400)
    assert many.disk.accuracy == many.partitions * 2**26


def test_brokers_send_and_receive_every_copy() -> None:
    size = size_of(SOME, SPEED, Plan(replication=3))
    produced = sum(size.produced)

    assert produced == 2_500 * (40_000 + PREDICTION_BYTES + ACCURACY_BYTES)
    assert size.broker_in == 3 * produced
    assert size.broker_out == 2 * produced + produced


@pytest.mark.parametrize(
    ("plan", "brokers"),
    [
        (Plan(replication=3), 3),
        (Plan(replication=1), 1),
        (Plan(replication=3, network=1e8), 6),  # 311 MB/s of 60 MB/s each
    ],
)
def test_brokers_are_as_many_as_copies_and_network_need(plan: Plan, brokers: int) -> None:
    assert size_of(SOME, SPEED, plan).brokers == brokers


def test_brokers_have_no_more_partitions_than_they_should() -> None:
    size = size_of(
        replace(SOME, count=100_000, fps=0.5, answers=0.5, frame_bytes=1), replace(SPEED, answers=20), Plan()
    )

    assert size.replicas <= MOST_REPLICAS
    assert size.brokers > 3


def test_frames_that_are_left_out_cost_brokers_and_no_workers() -> None:
    sampled = size_of(replace(SOME, answers=1), SPEED, Plan())
    every = size_of(SOME, SPEED, Plan())

    assert sampled.workers < every.workers
    assert sampled.disk.frames == every.disk.frames
    assert sampled.disk.predictions == every.disk.predictions / 5


def test_transactions_write_markers_only_exactly_once() -> None:
    assert size_of(SOME, SPEED, Plan()).markers == 0
    # Ten a second of eleven workers, each in two partitions of two topics, and in one of the offsets.
    assert size_of(SOME, SPEED, Plan(transactions=10)).markers == 11 * 10 * (2 * 2 + 1)


def test_the_limit_of_cameras_is_raised_where_it_bites() -> None:
    calm = replace(SOME, fps=0.1, answers=0.1)
    size = size_of(calm, SPEED, Plan())
    first, *_ = limits_of(calm, SPEED, Plan(), size)

    assert (size.workers, size.max_cameras) == (1, 500)
    assert (first.used, first.limit, first.share) == (500, 200, 2.5)
    assert "limits.max_cameras to 500" in first.remedy
    assert size_of(SOME, SPEED, Plan()).max_cameras == 200


def test_a_camera_that_is_too_fast_breaks_first() -> None:
    fast, slow = Cameras(count=10, fps=25, frame_bytes=1, answers=25), replace(SPEED, answers=20)
    first, *_ = limits_of(fast, slow, Plan(), size_of(fast, slow, Plan()))

    assert first.what.startswith("predictions/s of one camera")
    assert first.share > 1


def test_very_many_workers_are_too_many_for_a_group() -> None:
    many = replace(SOME, count=100_000)
    first, *rest = limits_of(many, SPEED, Plan(), size_of(many, SPEED, Plan()))

    assert (first.what, first.limit) == ("workers in one consumer group", MOST_MEMBERS)
    assert [each.share for each in rest] == sorted((each.share for each in rest), reverse=True)


def test_records_are_about_as_large_as_is_counted_with() -> None:
    frame = a_frame(
        10**9, partition=100, captured_at=1_700_000_000_000, camera="building-7-gate-north", label="Egyptian cat"
    )
    classes = tuple(ScoredClass(number, "a class of things", 0.123456789) for number in range(5))
    predicted = replace(
        a_prediction(frame, Verdict(top1=True, top5=True)), result=Classification(classes, (285, 282, 281, 287, 283))
    )
    at = EventMillis(1_700_000_000_310)
    prediction = wire.render_prediction("predictions", predicted, published_at=at)
    key = TallyKey(TopicPartition("frames", 100), "building-7-gate-north", predicted.model)
    tally = Tally(key, at, seen=10**6, labelled=10**6, correct_top1=10**5, correct_top5=10**6, topic_id="x" * 22)
    accuracy = wire.render_accuracy("accuracy", tally, published_at=at)

    for record, counted in ((prediction, PREDICTION_BYTES), (accuracy, ACCURACY_BYTES)):
        headers = sum(len(name) + len(value or b"") for name, value in record.headers)
        assert counted / 2 < len(record.key or b"") + len(record.value or b"") + headers <= counted


def test_series_are_about_as_many_as_is_counted_with() -> None:
    def series(cameras: int) -> int:
        registry = CollectorRegistry()
        telemetry = Telemetry(registry, max_cameras=cameras + 1)
        for number in range(cameras):
            predicted = a_prediction(a_frame(camera=f"camera-{number}", label="cat"), Verdict(top1=True, top5=True))
            telemetry.delivered([predicted], published_at=EventMillis(1_250))
        telemetry.stages_took([(stage, 0.1) for stage in ("poll", "restore", "parse", "gather", "decode")])
        telemetry.stages_took([(stage, 0.1) for stage in ("classify", "score", "publish", "settle", "commit")])
        return sum(len(family.samples) for family in registry.collect())

    assert series(20) - series(0) == 20 * SERIES_A_CAMERA
    assert 0.7 * SERIES_A_WORKER < series(0) <= SERIES_A_WORKER


def test_the_plan_has_the_defaults_of_the_settings() -> None:
    assert Plan().max_cameras == Limits().max_cameras
