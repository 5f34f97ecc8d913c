"""A recurrent model on a real Kafka: whatever befalls its workers, they say what one says that is never interrupted."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path

import numpy as np
import pytest

import worker.models.preparation  # noqa: F401 loads libraries that set variables of the environment
from tests.chaos.load import Load
from tests.kafka.test_check import check_here
from tests.support.executors import Inline
from tests.support.pictures import PNG
from tests.support.recurrent import moving_pictures, write_recurrent_model
from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.adapters.memory import Assign
from worker.app.workers import memory_worker
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.models.build import load_model
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups

PARTITIONS = 2
CAMERAS = ("gate", "hall", "yard", "roof", "door")
RATE = 100
"""Frames a second of all cameras."""
INTERVAL = 50
"""Milliseconds of capture time between two frames of a camera."""
SILENCE = 1_000
"""Milliseconds of capture time after which a camera begins anew."""
LABELS = ("calm", "wave", "no such class", None)

Place = tuple[int, int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recurrent_model(tmp_path_factory.mktemp("recurrent"), silence_ms=SILENCE)


@cache
def pictures(camera: int) -> list[bytes]:
    return [PNG(pixels) for pixels in moving_pictures(40, seed=camera)]


def frames(on: Stage) -> Iterator[OutboundRecord]:
    """Shoot without end. One frame in 41 is damaged, one in 53 comes twice, and each camera is silent now and then."""
    for number in count():
        camera, nth = number % len(CAMERAS), number // len(CAMERAS)
        at = 1_700_000_000_000 + INTERVAL * nth + 2 * SILENCE * ((nth + 7 * camera) // 60)
        picture = b"no picture" if number % 41 == 40 else pictures(camera)[nth % 40]
        frame = CapturedFrame(CAMERAS[camera], picture, EventMillis(at), "image/png", label=LABELS[number % 4])
        sent = wire.render_frame(on.frames, frame)
        record = OutboundRecord(sent.topic, camera % on.partitions, sent.key, sent.value, sent.headers)
        yield record
        if number % 53 == 52:
            yield record


@dataclass(frozen=True, slots=True)
class Said:
    """What a prediction says.

    Attributes:
        probabilities: by class index.
    """

    steps: int
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, message: wire.Message) -> "Said":
        assert isinstance(message, wire.RecurrentMessage)
        ordered = sorted(message.classes, key=lambda each: each.index)
        return cls(message.steps, tuple(each.probability for each in ordered))


def uninterrupted(model: Path, records: list[Record]) -> Mapping[Place, Said]:
    """Run one worker in memory over all frames."""
    found = list[OutboundRecord]()
    group = ModelGroup(path=model, threads=1, profile="off", top_k=4)
    names = sorted({record.position.partition for record in records})
    polls = [records[first : first + 16] for first in range(0, len(records), 16)]
    with memory_worker(
        chain([Assign(names)], polls),
        found.append,
        Inline(),
        loaded=load_model(group),
        groups=Groups(group, WindowGroup(max_frames=8), Limits()),
    ) as worker:
        worker.run()
    messages = [wire.decode_message(each.value or b"") for each in found if each.topic == "predictions"]
    return {place_of(each): Said.of(each) for each in messages}


def place_of(message: wire.Message) -> Place:
    return message.frame.partition, message.frame.offset


@dataclass(frozen=True, slots=True)
class Ordeal:
    """Of two workers one is killed and a third one comes; the first one leaves, and the last one reads to the end.

    Attributes:
        guarantee: the mode of delivery.
        frames: all that were sent.
        predictions: all that were published.
        skipped: the reason of each skipped frame.
        states: all records of the state topic.
        expected: what an uninterrupted worker says.
    """

    guarantee: str
    frames: list[Record]
    predictions: list[wire.Message]
    skipped: list[tuple[Place, str]]
    states: list[Record]
    expected: Mapping[Place, Said]


@pytest.fixture(scope="module", params=["exactly_once", pytest.param("at_least_once", marks=pytest.mark.thorough)])
def ordeal(
    request: pytest.FixtureRequest, bootstrap_servers: str, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ordeal]:
    folder = tmp_path_factory.mktemp("ordeal")
    with (
        stage(bootstrap_servers, partitions=PARTITIONS, notes_skipped=True, keeps_states=True) as on,
        ExitStack() as ending,
    ):
        settings = _settings(on, model, request.param)
        # What is published and not committed yet is read again.
        rarely = _settings(
            on, model, request.param, commit_interval_ms=200 if request.param == "exactly_once" else 3000
        )
        first, victim = (ending.enter_context(WarmWorker(each, folder)) for each in (settings, rarely))
        load = Load(on, RATE, frames(on))
        ending.callback(load.close)
        _wait_until_shared(on, first, victim)
        _wait_for_more(on)
        victim.kill()
        last = ending.enter_context(WarmWorker(settings, folder))
        _wait_until_shared(on, first, last)
        _wait_for_more(on)
        assert first.stop() == 0
        _wait_until_shared(on, last)
        _wait_for_more(on)
        load.stop()
        on.wait_until_done()
        assert last.stop() == 0

        skipped = [wire.decode_skipped(record.value or b"") for record in on.read(on.skipped)]
        sent = on.read(on.frames)
        yield Ordeal(
            request.param,
            sent,
            [wire.decode_message(record.value or b"") for record in on.read(on.predictions)],
            [((each.frame.partition, each.frame.offset), each.reason) for each in skipped],
            on.read(on.state),
            uninterrupted(model, sent),
        )


def _settings(on: Stage, model: Path, guarantee: str, *, commit_interval_ms: int = 200) -> dict[str, dict[str, object]]:
    consumer = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200}
    return on.settings(
        kafka=on.settings()["kafka"] | {"consumer": consumer, "group_protocol": "classic"},
        delivery={"guarantee": guarantee, "commit_interval_ms": commit_interval_ms},
        model={"path": str(model), "top_k": 4},
    )


def _wait_until_shared(on: Stage, *workers: WarmWorker) -> None:
    for each in workers:
        each.wait_until_ready()

    def shared() -> bool:
        held = [each.partitions() for each in workers]
        return all(held) and sorted(chain(*held)) == list(range(on.partitions))

    wait_until(shared, f"{len(workers)} workers share the partitions", every=0.2)


def _wait_for_more(on: Stage) -> None:
    """Wait until each partition has many more predictions."""

    def published() -> Counter[int]:
        return Counter(record.position.partition.partition for record in on.read(on.predictions))

    before = published()
    wait_until(
        lambda: all(published()[partition] >= before[partition] + 60 for partition in range(on.partitions)),
        "each partition has more predictions",
        every=0.2,
    )


def test_each_frame_says_what_an_uninterrupted_worker_says(ordeal: Ordeal) -> None:
    differences = [0.0]
    for message in ordeal.predictions:
        found, expected = Said.of(message), ordeal.expected[place_of(message)]
        assert found.steps == expected.steps, place_of(message)
        differences.append(float(np.abs(np.subtract(found.probabilities, expected.probabilities)).max()))
    print(f"{ordeal.guarantee}: {len(differences)} predictions differ by {max(differences):.2g}")  # noqa: T201 worth reading
    assert max(differences) < 1e-4
    assert {place_of(message) for message in ordeal.predictions} == ordeal.expected.keys()
    assert len(ordeal.expected) > 400


def test_exactly_once_each_frame_has_one_outcome(ordeal: Ordeal) -> None:
    times = Counter(place_of(message) for message in ordeal.predictions)
    reasons = Counter(reason for _, reason in ordeal.skipped)
    print(f"{ordeal.guarantee}: {sum(times.values()) - len(times)} twice, {dict(reasons)}")  # noqa: T201 worth reading

    if ordeal.guarantee == "exactly_once":
        assert set(times.values()) == {1}
        assert reasons.keys() == {"duplicate"}
    else:
        assert reasons["published-before"] + sum(times.values()) > len(times)
    assert reasons.keys() <= {"duplicate", "published-before"}


def test_sequences_are_long_and_begin_anew(ordeal: Ordeal) -> None:
    """Else the other tests would show less."""
    steps = [said.steps for said in ordeal.expected.values()]
    assert max(steps) > 40
    assert steps.count(1) > 2 * len(CAMERAS)


def test_the_last_states_include_all_frames(ordeal: Ordeal) -> None:
    newest = {state.key.camera: state for state in wire.newest_states(ordeal.states)}
    last: dict[str, Place] = {}
    for place in ordeal.expected:
        camera = next(each.frame.camera for each in ordeal.predictions if place_of(each) == place)
        last[camera] = max(place, last.get(camera, place))
    assert {camera: state.next_offset - 1 for camera, state in newest.items()} == {
        camera: offset for camera, (_, offset) in last.items()
    }


# ----- what is wrong


def test_a_state_that_cannot_be_read_stops_the_worker_and_is_named(
    bootstrap_servers: str, model: Path, tmp_path: Path
) -> None:
    with stage(bootstrap_servers, partitions=1, keeps_states=True) as on:
        good = OutboundRecord(on.state, 0, b"frames/other@0123456789ab/gate", None, ())
        on.send([good, OutboundRecord(on.state, 0, b"key", b'{"some": "thing"}', ())])
        with WarmWorker(_settings(on, model, "exactly_once"), tmp_path) as worker:
            wait_until(lambda: not worker.alive, "the worker stops", every=0.1)
            *_, last = worker.said()
        assert worker.stop() == 1
        place = TopicPartition(on.state, 0)
        assert f"{place}@1 is no hidden state" in last["error"]
        assert "topics.state" in last["error"]
        assert on.committed() == {0: 0}


def test_a_state_topic_that_is_missing_or_not_set_is_found_at_the_start(
    bootstrap_servers: str, model: Path, tmp_path: Path
) -> None:
    with stage(bootstrap_servers, partitions=3) as on:
        settings = _settings(on, model, "at_least_once")
        unset = check_here(settings, tmp_path)
        missing = check_here(settings | {"topics": settings["topics"] | {"state": on.state}}, tmp_path)
        drawn = {"state": on.state, "annotated": f"{on.predictions}-drawn"}
        with WarmWorker(settings, tmp_path) as refused:
            wait_until(lambda: not refused.alive, "the worker stops", every=0.1)
            *_, last = refused.said()
        both = check_here(settings | {"topics": settings["topics"] | drawn}, tmp_path)

    assert (unset.status, missing.status, both.status) == (2, 2, 2)
    (fault,) = unset.faults
    assert fault.startswith("topics.state is not set: a recurrent model saves its hidden states there")
    assert (refused.stop(), last["error"]) == (2, fault)
    assert missing.faults == [
        (
            f"topics.state: topic '{on.state}' does not exist; create it with 3 partitions and cleanup.policy=compact, "
            "as vision-worker topics apply does"
        )
    ]
    assert any(
        fault.startswith("topics.annotated: a recurrent model's classes are known after") for fault in both.faults
    )
