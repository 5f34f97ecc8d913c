"""Workers of one group come, go and die in mid-stream: nothing is lost, and accuracy counts every frame once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cameras import Cameras, expected_counts, last_tallies, places, published_counts, times_predicted
from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.domain.records import Record

PARTITIONS = 4
FRAME_INTERVAL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies in the topics at one moment."""

    frames: list[Record]
    predictions: list[wire.PredictionMessage]
    accuracy: list[Record]

    @classmethod
    def now(cls, on: Stage) -> "Seen":
        return cls(on.read(on.frames), on.read_predictions(), on.read(on.accuracy))

    def assert_counted_once(self) -> None:
        """Hold running accuracy against a count by hand over all frames."""
        expected = expected_counts(self.frames, self.predictions)
        assert published_counts(last_tallies(self.accuracy).values()) == expected
        assert 0 < expected["chelsea", "top1"] <= expected["chelsea", "labelled"] < expected["chelsea", "seen"]


class Group:
    """The workers of one consumer group and the cameras they watch."""

    def __init__(self, on: Stage, protocol: str, guarantee: str, folder: Path, workers: ExitStack) -> None:
        self.stage = on
        self.cameras = Cameras(on)
        self._folder = folder
        self._workers = workers
        self._guarantee = guarantee
        self._consumer: dict[str, str | int] = {}
        self._protocol = protocol
        if protocol == "classic":  # the member says how long it may be silent; with the newer protocol the broker does
            self._consumer |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200}

    def start(self, *, commit_interval_ms: int = 500) -> WarmWorker:
        kafka = self.stage.settings()["kafka"] | {"consumer": self._consumer, "group_protocol": self._protocol}
        settings = self.stage.settings(
            kafka=kafka, delivery={"commit_interval_ms": commit_interval_ms, "guarantee": self._guarantee}
        )
        return self._workers.enter_context(WarmWorker(settings, self._folder))

    def share(self, one: WarmWorker, other: WarmWorker) -> None:
        """Send until each of two workers has read from its half of the partitions."""
        one.wait_until_ready()
        other.wait_until_ready()

        def shared() -> bool:
            self.cameras.send(PARTITIONS + 1)
            self.stage.wait_until_done()
            return len(one.partitions()) == len(other.partitions()) == PARTITIONS // 2

        wait_until(shared, "each worker reads half of the partitions")


# ----- one leaves in order


@dataclass(frozen=True, slots=True)
class Leaving:
    """A worker reads all partitions; a second one takes half of them over, and gives them back in mid-stream.

    Attributes:
        alone: how many frames the first one had counted in each partition before the second came.
        one: the partitions of the first while there were two.
        other: those of the second.
        status: the second's exit status.
        meanwhile: how many frames were sent while it ended.
    """

    alone: dict[int, int]
    one: set[int]
    other: set[int]
    status: int
    meanwhile: int
    seen: Seen


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("classic", "at_least_once"), marks=pytest.mark.thorough),
        ("consumer", "exactly_once"),
    ],
    ids="-".join,
)
def leaving(
    request: pytest.FixtureRequest, bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Leaving]:
    protocol, guarantee = request.param
    with stage(bootstrap_servers, partitions=PARTITIONS) as on, ExitStack() as workers:
        group = Group(on, protocol, guarantee, tmp_path_factory.mktemp("leaving"), workers)
        first = group.start()
        group.cameras.send(20)
        on.wait_until_done()
        alone = on.committed()
        second = group.start()
        group.share(first, second)
        one, other = first.partitions(), second.partitions()

        group.cameras.send(60)
        meanwhile = 0
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(second.stop)
            while wait([stopping], timeout=FRAME_INTERVAL).not_done:
                group.cameras.send(1)
                meanwhile += 1
        group.cameras.send(20)
        on.wait_until_done()
        yield Leaving(alone, one, other, stopping.result(), meanwhile, Seen.now(on))


def test_two_workers_share_the_partitions(leaving: Leaving) -> None:
    assert min(leaving.alone.values()) > 0
    assert len(leaving.one) == len(leaving.other) == PARTITIONS // 2
    assert leaving.one | leaving.other == set(range(PARTITIONS))


def test_a_worker_that_leaves_loses_and_repeats_nothing(leaving: Leaving) -> None:
    assert leaving.status == 0
    assert leaving.meanwhile > 0
    assert times_predicted(leaving.seen.predictions) == dict.fromkeys(places(leaving.seen.frames), 1)


def test_accuracy_is_right_though_partitions_went_and_came_back(leaving: Leaving) -> None:
    leaving.seen.assert_counted_once()


# ----- one is killed


@dataclass(frozen=True, slots=True)
class Dying:
    """Of two workers one is killed, and the other takes over; then a new one replaces both.

    Attributes:
        exactly_once: whether outputs and offsets were one transaction.
        victims: the partitions of the one that was killed.
        committed: the group's next offsets right after that.
        after: once the survivor had caught up.
        restarted: once the new worker had answered one more frame of each camera.
    """

    exactly_once: bool
    victims: set[int]
    committed: dict[int, int]
    after: Seen
    restarted: Seen


@pytest.fixture(scope="module", params=[pytest.param("at_least_once", marks=pytest.mark.thorough), "exactly_once"])
def dying(
    request: pytest.FixtureRequest, bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dying]:
    exactly_once = request.param == "exactly_once"
    with stage(bootstrap_servers, partitions=PARTITIONS) as on, ExitStack() as workers:
        group = Group(on, "classic", request.param, tmp_path_factory.mktemp("dying"), workers)
        survivor, victim = group.start(), group.start(commit_interval_ms=200 if exactly_once else 3000)
        group.share(survivor, victim)
        victims = victim.partitions()

        known = _predicted(on, victims)
        group.cameras.send(80)
        if exactly_once:
            wait_until(lambda: len(_predicted(on, victims) - known) >= 5, "the victim is in the middle of its work")
        else:
            wait_until(lambda: len(_uncommitted(on, victims)) >= 5, "frames are predicted and not yet committed")
        victim.kill()
        committed = on.committed()
        group.cameras.send(40)
        on.wait_until_done()
        after = Seen.now(on)

        assert survivor.stop() == 0
        group.start().wait_until_ready()
        group.cameras.send(PARTITIONS + 1)
        on.wait_until_done()
        yield Dying(exactly_once, victims, committed, after, Seen.now(on))


def _predicted(on: Stage, partitions: set[int]) -> set[tuple[int, int]]:
    return {place for place in times_predicted(on.read_predictions()) if place[0] in partitions}


def _uncommitted(on: Stage, partitions: set[int]) -> set[tuple[int, int]]:
    committed = on.committed()
    return {(partition, offset) for partition, offset in _predicted(on, partitions) if offset >= committed[partition]}


def test_a_killed_worker_loses_nothing(dying: Dying) -> None:
    assert times_predicted(dying.after.predictions).keys() == places(dying.after.frames)


def test_only_what_it_had_not_committed_is_predicted_twice(dying: Dying) -> None:
    counts = times_predicted(dying.after.predictions)
    twice = {place for place, count in counts.items() if count > 1}
    print(f"{len(twice)} of {len(counts)} frames were predicted twice")  # noqa: T201 worth reading, and no fault

    assert set(counts.values()) <= ({1} if dying.exactly_once else {1, 2})
    assert all(partition in dying.victims and offset >= dying.committed[partition] for partition, offset in twice)


def test_accuracy_counts_every_frame_once_though_some_are_predicted_twice(dying: Dying) -> None:
    dying.after.assert_counted_once()


def test_a_new_worker_predicts_nothing_again(dying: Dying) -> None:
    known = times_predicted(dying.after.predictions)
    new = times_predicted(dying.restarted.predictions) - known

    assert new == dict.fromkeys(places(dying.restarted.frames) - places(dying.after.frames), 1)
    assert len(new) == PARTITIONS + 1


def test_a_new_worker_continues_the_count(dying: Dying) -> None:
    dying.restarted.assert_counted_once()
