"""What can happen to workers and brokers under load, each as a function of a run."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.memory import growth
from tests.chaos.run import PARTITIONS, Run
from tests.support.workers import WorkerProcess, persistently, wait_until

LOAD: Final = 0.8
"""Share of a worker's capacity that it is soaked at."""
WARM: Final = 15.0
"""Seconds in which caches and buffers fill; only after them does its memory count."""
MAX_GROWTH: Final = 10.0
"""MiB by which its memory may grow meanwhile."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name for what is played, and how many Kafka nodes it needs."""

    name: str
    nodes: int
    play: Callable[[Run], None]


def kill_loop(run: Run) -> None:
    """Of three workers a random one is killed at a random moment and replaced, again and again."""
    run.begin(workers=3)
    run.figures["kills"] = 2 if run.quick else 20
    for _ in range(int(run.figures["kills"])):
        time.sleep(run.random.uniform(0.2, 4.0))
        _kill_and_replace(run)


def zombie(run: Run) -> None:
    """A worker is stopped until another one has done its work, and then goes on as if nothing had happened."""
    run.begin(workers=2)
    run.figures["sleeps"] = 1 if run.quick else 5
    for _ in range(int(run.figures["sleeps"])):
        run.wait_until_shared()
        time.sleep(run.random.uniform(0.2, 2.0))
        _oversleep(run)
        run.wait_until_shared()
    run.steady()
    refused = [sum(worker.metrics("refused_transactions_total").values()) for worker in run.workers]
    run.figures["refused_transactions"] = sum(refused)


def scale(run: Run) -> None:
    """One worker becomes four, and four become two."""
    most, least = (2, 1) if run.quick else (4, 2)
    run.begin(workers=1)
    run.steady()
    run.start(most - 1)
    run.wait_until_shared()
    run.steady()
    for worker in run.workers[: most - least]:
        run.stop(worker)
    run.wait_until_shared()
    run.steady()


def outage(run: Run) -> None:
    """The only broker is killed, and comes back."""
    run.begin(workers=1)
    run.may_end = True
    run.figures["outage_s"] = 10 if run.quick else 60
    run.wait_until_shared()
    with run.disturbance(), _away(run, 1, run.kafka.kill_node):
        time.sleep(run.figures["outage_s"])
    run.wait_until_caught_up()
    run.steady()


def brokers(run: Run) -> None:
    """Each of three brokers stops and comes back, one after the other."""
    run.begin(workers=2)
    run.wait_until_shared()
    numbers = [run.random.randint(1, 3)] if run.quick else [1, 2, 3]
    run.figures["stopped_brokers"] = len(numbers)
    for number in numbers:
        _bounce(run, number)


def mixed(run: Run) -> None:
    """With the same workers, first a long sleep, then a broker's leave: what `tests/kafka` plays nowhere else."""
    run.begin(workers=2)
    run.wait_until_shared()
    _oversleep(run)
    run.wait_until_shared()
    _bounce(run, run.random.randint(1, 3))


def soak(run: Run) -> None:
    """One worker at 80 % of what it can do; its memory must not grow."""
    (worker,) = run.start()
    capacity = _capacity(run)
    run.load(LOAD * capacity)
    seconds, memory = list[float](), list[float]()
    began, soaking = time.monotonic(), 30 if run.quick else 600
    while time.monotonic() < began + soaking:
        time.sleep(1)
        if time.monotonic() > began + max(WARM, soaking / 5):
            seconds.append(time.monotonic() - began)
            memory.append(worker.metrics("process_resident_memory_bytes")[()] / 2**20)
    found = growth(seconds, memory)
    run.figures |= {
        "soak_s": soaking,
        "capacity_fps": round(capacity, 1),
        "load_fps": round(LOAD * capacity, 1),
        "behind_frames": sum(worker.metrics("lag_records").values()),
        "rss_mib": round(memory[-1]),
        "rss_slope_mib_per_minute": round(found.slope * 60, 2),
        "rss_grown_mib": round(found.whole, 1),
        "rss_steadily_mib": round(found.steady, 1),
    }
    grown = max(found.whole, found.slope * (seconds[-1] - seconds[0]))
    text = f"memory grew by {grown:.1f} MiB, more than {MAX_GROWTH:.0f}; steadily by {found.steady:.1f}"
    run.expect(grown <= MAX_GROWTH, text)


SCENARIOS: Final = (
    Scenario("kill_loop", 1, kill_loop),
    Scenario("zombie", 1, zombie),
    Scenario("scale", 1, scale),
    Scenario("outage", 1, outage),
    Scenario("soak", 1, soak),
    Scenario("brokers", 3, brokers),
)


def _capacity(run: Run) -> float:
    """Return the frames a second at which a worker catches up."""
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


def _oversleep(run: Run) -> None:
    """Return when one of two has done the other's work, and the sleeper, awake, knows that its part is lost."""
    run.may_end = True  # with an open transaction, which the broker has ended meanwhile
    sleeper, other = run.random.sample(run.workers, 2)
    before = _times_lost(sleeper)
    wait_until(lambda: sleeper.metrics("in_flight_bytes")[()] > 0, "the sleeper has frames in hand")
    with run.disturbance():  # awake, it reads on, and not only what it had seen, until the group tells it
        with _asleep(sleeper):
            run.wait_until_shared(other)
            run.wait_until_caught_up()
        wait_until(lambda: not sleeper.alive or _times_lost(sleeper) > before, "the sleeper learns what it has missed")
    run.replace_ended()


def _bounce(run: Run, number: int) -> None:
    """Stop a broker, and return when it is back and all that came meanwhile is predicted."""
    with run.disturbance():
        with _away(run, number, run.kafka.stop_node):
            run.steady()
            run.wait_until_caught_up()
        _wait_until_in_sync(run)
    run.wait_until_caught_up()


def _times_lost(worker: WorkerProcess) -> float:
    try:
        return worker.metrics("rebalances_total")["lost",]
    except OSError:  # it is ending right now
        return 0


@contextmanager
def _asleep(worker: WorkerProcess) -> Iterator[None]:
    supervisor = worker._process.pid
    (pid,) = map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _away(run: Run, number: int, end: Callable[[int], None]) -> Iterator[None]:
    end(number)
    try:
        yield
    finally:
        run.kafka.start_node(number)


def _wait_until_in_sync(run: Run) -> None:
    """Return when no partition would miss another broker's leave: those behind groups and transactions count too."""
    admin = run.asking_anew().admin

    def in_sync() -> bool:
        topics = admin.list_topics(timeout=10).topics.values()
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return bool(partitions) and all(len(each.isrs) == len(each.replicas) for each in partitions)

    wait_until(lambda: persistently(in_sync), "all replicas are in sync")
