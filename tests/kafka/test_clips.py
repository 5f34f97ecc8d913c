"""Clips of real workers on a real Kafka are those of a count by hand, whatever befalls the workers in mid-stream.

Cameras send disordered frames for as long as it takes. What is open at the end is closed by `sampling.idle_ms`, while a
worker runs. A worker that is told to stop leaves it to its successor, so here none stops before that. The idle time is
shorter than the pause after a worker was killed, which must not matter: nobody listens to its cameras meanwhile.

This is also the short form of the scenario `clips` of `make chaos`.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random
from threading import Event

import pytest

from tests.chaos.load import Load
from tests.support.clip_cameras import LAST, SPEEDS, Filmed, clip_settings, longest_pause, shuffled
from tests.support.clip_program import write_clip_model
from tests.support.workers import Stage, WarmWorker, stage, wait_until

PARTITIONS = 2
IDLE = 1.5  # seconds


@dataclass(frozen=True, slots=True)
class Ordeal:
    """Of two workers one is killed, and a third one comes. The first one leaves, and the last one reads to the end.

    Shortly before the end one camera falls silent, while another one of its partition goes on.

    Attributes:
        pause: seconds without a prediction of the killed worker's cameras.
        sent: how many frames.
        silenced: the last offset of the camera that falls silent.
        committed: what was committed of its partition from then on: (milliseconds, next offset).
    """

    guarantee: str
    pause: float
    sent: int
    silenced: int
    committed: list[tuple[float, int]]
    seen: Filmed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip_model(tmp_path_factory.mktemp("clip-model"))


@pytest.fixture(scope="module", params=[pytest.param("at_least_once", marks=pytest.mark.thorough), "exactly_once"])
def ordeal(
    request: pytest.FixtureRequest, bootstrap_servers: str, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ordeal]:
    folder, random, silent = tmp_path_factory.mktemp("ordeal"), Random(request.param), Event()  # noqa: S311 no secret
    with stage(bootstrap_servers, partitions=PARTITIONS, notes_skipped=True) as on, ExitStack() as ending:
        settings = _settings(on, model, request.param)
        first, victim = (ending.enter_context(WarmWorker(settings, folder)) for _ in range(2))
        load = Load(on, sum(SPEEDS), shuffled(on, random, silent))
        ending.callback(load.close)
        _wait_until_shared(on, first, victim)
        _wait_for_more_clips(on)

        wait_until(lambda: bool(victim.partitions()), "its lag is known, as it is while all brokers answer")
        victims = victim.partitions()
        time.sleep(random.uniform(0, 0.5))
        victim.kill()
        last = ending.enter_context(WarmWorker(settings, folder))
        _wait_until_shared(on, first, last)
        _wait_for_more_clips(on)
        assert first.stop() == 0
        _wait_until_shared(on, last)
        _wait_for_more_clips(on)

        silent.set()
        silenced, committed = _wait_until_committed(on, LAST)
        sent = load.stop()
        on.wait_until_done()
        assert last.stop() == 0
        seen = Filmed.now(on)
        yield Ordeal(request.param, _longest_pause(seen, victims), sent, silenced, committed, seen)


def _settings(on: Stage, model: Path, guarantee: str) -> dict[str, dict[str, object]]:
    consumer = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200}
    return on.settings(
        kafka=on.settings()["kafka"] | {"consumer": consumer, "group_protocol": "classic"},
        delivery={"guarantee": guarantee, "commit_interval_ms": 200},
        **clip_settings(model, idle_ms=round(1000 * IDLE)),
    )


def _wait_until_shared(on: Stage, *workers: WarmWorker) -> None:
    """Wait until all of them read some partitions, and together all."""
    for worker in workers:
        worker.wait_until_ready()

    def shared() -> bool:
        held = [worker.partitions() for worker in workers]
        return all(held) and sorted(chain(*held)) == list(range(on.partitions))

    wait_until(shared, f"{len(workers)} workers share the partitions", every=0.2)


def _wait_for_more_clips(on: Stage) -> None:
    """Wait until each partition has some more."""
    before = Counter(clip.frame.partition for clip in on.read_clips())

    def more() -> bool:
        now = Counter(clip.frame.partition for clip in on.read_clips())
        return all(now[partition] >= before[partition] + 4 for partition in range(on.partitions))

    wait_until(more, "each partition has more clips", every=0.2)


def _wait_until_committed(on: Stage, camera: str) -> tuple[int, list[tuple[float, int]]]:
    """Wait until the last frame of a silent camera is committed; return its offset, and what was committed before."""
    time.sleep(0.3)  # what it had captured is sent
    partition, offset = max(
        (record.position.partition.partition, record.position.offset)
        for record in on.read(on.frames)
        if record.key == camera.encode()
    )
    committed = list[tuple[float, int]]()

    def moved_on() -> bool:
        committed.append((1000 * time.time(), on.committed()[partition]))
        return committed[-1][1] > offset

    wait_until(moved_on, f"the last frame of {camera} is committed", every=0.05)
    return offset, committed


def _longest_pause(seen: Filmed, partitions: set[int]) -> float:
    published: dict[str, list[int]] = {}
    for clip in seen.clips:
        if clip.frame.partition in partitions:
            published.setdefault(clip.frame.camera, []).append(clip.published_at_ms)
    return longest_pause(published.values())


def test_the_idle_time_is_over_while_nobody_listens_and_before_any_camera_is_silent(ordeal: Ordeal) -> None:
    """Else the other tests would show less, or expect too much."""
    assert ordeal.pause > 2 * IDLE
    assert ordeal.seen.longest_silence() < IDLE


def test_clips_are_those_counted_from_all_frames(ordeal: Ordeal) -> None:
    found, expected = Counter(ordeal.seen.found()), Counter(ordeal.seen.expected())

    assert found.keys() == expected.keys()
    if ordeal.guarantee == "exactly_once":
        assert found == expected


def test_a_clip_that_is_published_twice_is_the_same(ordeal: Ordeal) -> None:
    assert ordeal.seen.differing_duplicates() == []


def test_something_becomes_of_every_frame_and_only_one_thing(ordeal: Ordeal) -> None:
    seen = ordeal.seen
    sizes = {kind: len(places) for kind, places in seen.fates().items()}
    print(f"{ordeal.guarantee}: {sizes}, twice {len(seen.clips) - sizes['predicted']}")  # noqa: T201 worth reading

    assert seen.unaccounted() == set()
    assert sum(sizes.values()) == len(seen.frames) == ordeal.sent
    assert all(sizes.values())
    assert {reason for _, reason in seen.skipped} <= {"over-rate", "duplicate", "gap"}
    if ordeal.guarantee == "exactly_once":
        assert len(seen.skipped) == sizes["skipped"]
        assert len(seen.dead) == sizes["dead_letters"]


def test_accuracy_counts_each_clip_once(ordeal: Ordeal) -> None:
    by_hand = ordeal.seen.accuracy_by_hand()

    assert ordeal.seen.accuracy_published() == by_hand
    top1, top5, labelled, seen = (
        sum(number for (_, what), number in by_hand.items() if what == counted)
        for counted in ("top1", "top5", "labelled", "seen")
    )
    assert 0 < top1 < top5 < labelled < seen


def test_the_last_clip_of_a_silent_camera_comes_after_the_idle_time_and_holds_nobody_back(ordeal: Ordeal) -> None:
    *_, closed = (clip for clip in ordeal.seen.clips if clip.frame.camera == LAST)
    at = closed.published_at_ms
    assert IDLE - 0.2 < (at - closed.arrived_at_ms) / 1000 < IDLE + 3

    # What is open of it keeps the offset below it, and not for long. Its neighbour's results come without delay.
    assert all(offset <= ordeal.silenced for when, offset in ordeal.committed if when < at)
    assert ordeal.committed[-1][0] < at + 2000
    beyond = [
        clip
        for clip in ordeal.seen.clips
        if clip.frame.partition == closed.frame.partition
        and clip.frame.offset > ordeal.silenced
        and clip.published_at_ms < at
    ]
    assert len(beyond) >= 3
    assert max(clip.published_at_ms - clip.arrived_at_ms for clip in beyond) < 1000 * IDLE
