"""Faults of workers and brokers under load; each scenario is a function of a run."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

from tests.chaos.memory import growth
from tests.chaos.run import PARTITIONS, Run
from tests.support.workers import WorkerProcess, persistently, wait_until
from worker.local.guarded import GuardedProcess

LOADS: Final = (0.1, 0.5, 0.8, 1.2)
"""Loads of the soak test, one after the other, as shares of a worker's capacity."""
MAX_GROWTH: Final = 10.0
"""MiB by which memory may grow after the warm-up of the soak test."""
QUEUES: Final = 8 * 2**20
"""Bytes for encoded frames in the soak test. Queues fill when a worker is behind, up to this limit. It is low, so that
the backlog before the warm-up fills them."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario's name, its number of Kafka nodes, and its function."""

    name: str
    nodes: int
    play: Callable[[Run], None]


def kill_loop(run: Run) -> None:
    """Kill a random one of three workers at a random time and replace it, repeatedly."""
    run.begin(workers=3)
    run.figures["kills"] = 2 if run.quick else 20
    for _ in range(int(run.figures["kills"])):
        time.sleep(run.random.uniform(0.2, 4.0))
        _kill_and_replace(run)


def clips(run: Run) -> None:
    """Kill workers and let others come and go, at random times, while the model sees clips that overlap.

    No broker is restarted: while it is away no camera is heard, and `sampling.idle_ms` closes clips that are open.
    """
    run.film()
    run.begin(workers=2)
    run.figures["kills"] = run.figures["rebalances"] = 2 if run.quick else 10
    faults = [_kill_and_replace, _come_and_go] * int(run.figures["kills"])
    run.random.shuffle(faults)
    for fault in faults:
        time.sleep(run.random.uniform(0.2, 4.0))
        fault(run)
    run.wait_until_shared()
    run.steady()


def zombie(run: Run) -> None:
    """Pause a worker until another one has done its work, then resume it."""
    run.begin(workers=2)
    run.figures["sleeps"] = 1 if run.quick else 5
    for _ in range(int(run.figures["sleeps"])):
        run.wait_until_shared()
        time.sleep(run.random.uniform(0.2, 2.0))
        _pause_beyond_session(run)
        run.wait_until_shared()
    run.steady()
    refused = [sum(worker.metrics("refused_transactions_total").values()) for worker in run.workers]
    run.figures["refused_transactions"] = sum(refused)


def scale(run: Run) -> None:
    """Scale from one worker to four, then to two."""
    upper, lower = (2, 1) if run.quick else (4, 2)
    run.begin(workers=1)
    run.steady()
    run.start(upper - 1)
    run.wait_until_shared()
    run.steady()
    for worker in run.workers[: upper - lower]:
        run.stop(worker)
    run.wait_until_shared()
    run.steady()


def outage(run: Run) -> None:
    """Kill the only broker, and start it again."""
    run.begin(workers=1)
    run.may_end = True
    run.figures["outage_s"] = 10 if run.quick else 60
    run.wait_until_shared()
    with run.disturbance(), _broker_down(run, 1, run.kafka.kill_node):
        time.sleep(run.figures["outage_s"])
    run.wait_until_caught_up()
    run.steady()


def brokers(run: Run) -> None:
    """Stop and start each of three brokers, one after the other."""
    run.begin(workers=2)
    run.wait_until_shared()
    numbers = [run.random.randint(1, 3)] if run.quick else [1, 2, 3]
    run.figures["stopped_brokers"] = len(numbers)
    for number in numbers:
        _restart_broker(run, number)


def mixed(run: Run) -> None:
    """Pause a worker beyond its session, then restart a broker: what `tests/kafka` does nowhere else."""
    run.begin(workers=2)
    run.wait_until_shared()
    _pause_beyond_session(run)
    run.wait_until_shared()
    _restart_broker(run, run.random.randint(1, 3))


def soak(run: Run) -> None:
    """Run one worker at changing load; its memory must stay at its highest value of the warm-up.

    Memory is measured from the first backlog on. The warm-up is a fifth of the time, and at least 15 seconds. It
    contains each of the loads. A load that leaves more than a second's frames waiting is followed by the lowest one.
    """
    (worker,) = run.start(limits={"memory": QUEUES})
    capacity = _capacity(run)
    duration = run.seconds or (30 if run.quick else 600)
    warm = max(15.0, duration / 5)
    seconds, memory, behind = list[float](), list[float](), list[float]()
    began, loads = time.monotonic(), cycle(LOADS)
    for change in range(round(duration / warm * len(LOADS))):
        late = bool(behind) and behind[-1] > capacity  # such as on a machine that has other work
        run.load((LOADS[0] if late else next(loads)) * capacity)
        while time.monotonic() < began + (change + 1) * warm / len(LOADS):
            time.sleep(0.5)
            seconds.append(time.monotonic() - began)
            memory.append(worker.metrics("process_resident_memory_bytes")[()] / 2**20)
        behind.append(sum(worker.metrics("lag_records").values()))
    grown = growth(seconds, memory, warm=warm)
    run.figures |= {
        "soak_s": duration,
        "capacity_fps": round(capacity, 1),
        "behind_frames_at_most": max(behind),
        "rss_highest_mib": round(grown.highest),
        "rss_beyond_warm_up_mib": round(grown.beyond, 1),
        "rss_steadily_mib": round(grown.steady, 1),
    }
    for fault in grown.faults(MAX_GROWTH):
        run.expect(False, fault)


SCENARIOS: Final = (
    Scenario("kill_loop", 1, kill_loop),
    Scenario("clips", 1, clips),
    Scenario("zombie", 1, zombie),
    Scenario("scale", 1, scale),
    Scenario("outage", 1, outage),
    Scenario("soak", 1, soak),
    Scenario("brokers", 3, brokers),
)


def _capacity(run: Run) -> float:
    """Return the frames per second at which a worker processes a backlog."""
    backlog = 300 if run.quick else 1500
    run.send(PARTITIONS + 1)
    run.wait_until_caught_up()  # it has its partitions
    run.send(backlog)
    began = time.monotonic()
    run.wait_until_caught_up()
    return backlog / (time.monotonic() - began)


def _kill_and_replace(run: Run) -> None:
    victim = run.random.choice(run.workers)
    with run.disturbance():
        victim.kill()
    run.workers.remove(victim)
    run.start()


def _come_and_go(run: Run) -> None:
    """Start a worker, and stop another one a moment after it is ready."""
    leaving = run.random.choice(run.workers)
    run.start()
    time.sleep(run.random.uniform(0.2, 2.0))
    run.stop(leaving)


def _pause_beyond_session(run: Run) -> None:
    """Pause one of two workers until the other has done its work, and wait until it learns of its lost partitions."""
    run.may_end = True  # because the broker has aborted its open transaction meanwhile
    paused, other = run.random.sample(run.workers, 2)
    before = _times_lost(paused)
    wait_until(lambda: paused.metrics("in_flight_bytes")[()] > 0, "the worker to be paused has frames in flight")
    with run.disturbance():  # after it resumes, it reads more frames until the group tells it
        with _suspended(paused):
            run.wait_until_shared(other)
            run.wait_until_caught_up()
        wait_until(
            lambda: not paused.alive or _times_lost(paused) > before,
            "the resumed worker learns that it has lost its partitions",
        )
    run.replace_ended()


def _restart_broker(run: Run, number: int) -> None:
    """Stop and start a broker; return when all frames sent meanwhile are predicted."""
    with run.disturbance():
        with _broker_down(run, number, run.kafka.stop_node):
            run.steady()
            run.wait_until_caught_up()
        _wait_until_in_sync(run)
    run.wait_until_caught_up()


def _times_lost(worker: WorkerProcess) -> float:
    try:
        return worker.metrics("rebalances_total")["lost",]
    except OSError:  # it is ending
        return 0


@contextmanager
def _suspended(worker: WorkerProcess) -> Iterator[None]:
    assert isinstance(worker._process, GuardedProcess)
    supervisor = worker._process.pid
    (pid,) = map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _broker_down(run: Run, number: int, end: Callable[[int], None]) -> Iterator[None]:
    end(number)
    try:
        yield
    finally:
        run.kafka.start_node(number)


def _wait_until_in_sync(run: Run) -> None:
    """Wait until all partitions are in sync, including Kafka's internal ones, so that another broker may stop."""
    admin = run.with_new_client().admin

    def in_sync() -> bool:
        topics = admin.list_topics(timeout=10).topics.values()
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return bool(partitions) and all(len(each.isrs) == len(each.replicas) for each in partitions)

    wait_until(lambda: persistently(in_sync), "all replicas are in sync")
