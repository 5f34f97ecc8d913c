"""Where the time goes between the worker on Kafka and a bare loop with the same settings: by thread, and by cause."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.cores import BROKER, CLIENT, LOOP, MODEL, Cores, Moment, Used, moment
from tests.benchmarks.frames import USUAL, name_of
from tests.benchmarks.limit import BareLoop
from tests.benchmarks.measure import alternate, ratio
from tests.benchmarks.models import light
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.processes import Contestant, worker

WORKER: Final = "this worker"
BARE: Final = "bare loop"
OWN: Final = (MODEL, LOOP, CLIENT)
WORKS: Final = 0.05
"""Share of the time that a thread must have a core to count as one that works: others sleep for good reasons."""
ROUNDS: Final = 3


def _nothing() -> Used:
    return Used()


@dataclass(slots=True)
class Spent:
    """What a contestant's rounds have used, summed up.

    Attributes:
        frames: frames that it answered meanwhile.
        cores: seconds of all cores.
        used: by user.
        asleep: by user, seconds in which threads that work neither ran nor waited for a core.
        own: in each round, CPU seconds of the contestant's threads for a frame; `broker`, `idle` and `all` are the same
            for the broker, of idle cores, and of all cores.
    """

    frames: float = 0
    cores: Cores = field(default_factory=lambda: Cores(0, 0, 0))
    used: defaultdict[str, Used] = field(default_factory=lambda: defaultdict(_nothing))
    asleep: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    own: list[float] = field(default_factory=list)
    broker: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    all: list[float] = field(default_factory=list)

    def add(self, before: Moment, after: Moment, *, seconds: float, rate: float) -> None:
        """Add a round, with its seconds and its frames per second."""
        frames = rate * seconds
        self.frames += frames
        cores = Cores(*(b - a for a, b in zip(before.cores, after.cores, strict=True)))
        self.cores = Cores(*(s + c for s, c in zip(self.cores, cores, strict=True)))
        ran = defaultdict[str, float](float)
        for task, now in after.tasks.items():
            used = now.since(before.tasks.get(task, Used()))
            self.used[task.user] = self.used[task.user].plus(used)
            ran[task.user] += used.ran
            if used.ran >= WORKS * seconds:
                self.asleep[task.user] += max(0.0, seconds - used.ran - used.waited)
        self.own.append(sum(ran[user] for user in OWN) / frames)
        self.broker.append(ran[BROKER] / frames)
        self.idle.append(cores.idle / frames)
        self.all.append(cores.all / frames)

    def shares(self) -> Mapping[str, float]:
        """Return who had the cores, in milliseconds a frame; together, all the time of all cores."""
        ran = {user: self.used[user].ran for user in (*OWN, BROKER)}
        others = self.cores.all - self.cores.idle - self.cores.stolen - sum(ran.values())
        all_users = {**ran, _OTHERS: others, _STOLEN: self.cores.stolen, _IDLE: self.cores.idle, _ALL: self.cores.all}
        return {user: seconds / self.frames * 1000 for user, seconds in all_users.items()}

    def causes(self, user: str) -> Sequence[float]:
        """Return one figure for each of `CAUSES`, for a frame."""
        used = self.used[user]
        seconds = (used.user, used.kernel, used.waited, self.asleep[user])
        return [each / self.frames for each in (*(1000 * each for each in seconds), *used[3:])]


_TEXT: Final = (
    "The first table has all the time of all cores. The second table is about threads. A thread waits for a core when "
    "other threads have all of them. It is asleep when it waits for work, for a lock (such as Python's), or for a "
    "broker. Only threads that work at least a twentieth of the time count as asleep."
)
_OTHERS: Final = "other processes and the kernel"
_STOLEN: Final = "stolen by the hypervisor"
_IDLE: Final = "idle"
_ALL: Final = "all cores"
_THREADS: Final = {
    f"{BARE}: {MODEL}": (BARE, MODEL),
    **{f"{WORKER}: {user}": (WORKER, user) for user in OWN},
    BROKER: (WORKER, BROKER),
}
CAUSES: Final = (
    "in programs, ms",
    "in the kernel, ms",
    "waited for a core, ms",
    "asleep, ms",
    "pages mapped",
    "gave the core up",
    "lost the core",
)


def gap(bench: Bench) -> Outcome:
    """Compare the tuned worker with a bare loop on the same engine, precision, preparation, streams and threads."""
    model, loop = light(), BareLoop(bench.engine)
    bench.fill_for(model, USUAL)
    bare, ours = Spent(), Spent()
    start = bench.loop(USUAL, loop, cores=bench.cores)
    runs = {
        BARE: partial(_measured, bare, partial(bench.measure_bare, model, start)),
        WORKER: partial(_measured, ours, partial(bench.measure, model, USUAL, worker(bench.profile))),
    }
    rates = alternate(runs, ROUNDS, lambda *each: bench.tell("gap, round {}, {}: {:.1f} frames/s".format(*each)))
    return Outcome(
        "Gap between the worker and a bare loop",
        f"Both have the same settings ({loop}), and a backlog of frames of {name_of(USUAL)}, "
        f"in {ROUNDS} rounds. {_TEXT}",
        [
            Table(("user of the cores, ms a frame", BARE, WORKER, "difference"), list(_shares(bare, ours))),
            Table(("threads, a frame", *_THREADS), list(_causes({BARE: bare, WORKER: ours}))),
        ],
        {
            "of_loop_same_settings": ratio(rates[WORKER], rates[BARE]),
            "of_loop_without_broker": ratio(bare.all, [a - b for a, b in zip(ours.all, ours.broker, strict=True)]),
            "own_cpu_over_bare": ratio(ours.own, bare.own),
            "broker_share": ratio(ours.broker, ours.all),
            "idle_share": ratio(ours.idle, ours.all),
        },
    )


def _measured(spent: Spent, run: Callable[..., float]) -> float:
    """Measure a round, and add what it has used; return its frames per second."""
    found: list[tuple[float, Moment]] = []

    @contextmanager
    def watched(_: Sequence[Contestant]) -> Iterator[None]:
        found.append((time.monotonic(), moment()))
        yield
        found.append((time.monotonic(), moment()))

    rate = run(during=watched)
    (began, before), (ended, after) = found[-2:]
    spent.add(before, after, seconds=ended - began, rate=rate)
    return rate


def _shares(bare: Spent, ours: Spent) -> Iterator[Sequence[str]]:
    theirs = bare.shares()
    for user, each in ours.shares().items():
        yield [user, f"{theirs[user]:.3f}", f"{each:.3f}", f"{each - theirs[user]:+.3f}"]


def _causes(spent: Mapping[str, Spent]) -> Iterator[Sequence[str]]:
    columns = [spent[contestant].causes(user) for contestant, user in _THREADS.values()]
    for cause, *figures in zip(CAUSES, *columns, strict=True):
        yield [cause, *(f"{each:.3f}" for each in figures)]
