"""Is a worker alive, is it ready, and what keeps it from its work? The pages, the log and the metrics ask."""

from typing import Final

import structlog

from worker.adapters.kafka import Unreached
from worker.domain.times import Monotonic
from worker.ops.counts import Counts
from worker.ops.watchdog import Pulse, Watchdog
from worker.ports import MonotonicClock
from worker.settings import Ops
from worker.stream.worker import Worker

STANDBY_AFTER: Final = 15.0
"""Seconds after which a worker that was given no partitions counts as a standby: the newer group protocol does not
tell a member that there is nothing for it."""
SLOW_AFTER: Final = 5.0
"""Seconds after which a step of the loop is said to take long: it is far from a stall."""
_DOING: Final = {
    "restore": "it has read back what was saved of its partitions",
    "classify": "its model has worked on one call",
    "publish": "the brokers have not confirmed its outputs",
}
_STARTING: Final = "the worker is starting: its model is not ready yet; wait, and read its log"


class Health:
    """What is known of a worker's health.

    Args:
        ops: after which times something counts as a fault.
        group: the worker's consumer group.
        clock: the worker's; the brokers have answered shortly before.

    Attributes:
        worker: None until it is built.
        watchdog: logs when the loop stalls.
    """

    def __init__(self, ops: Ops, *, group: str, clock: MonotonicClock) -> None:
        self.worker: Worker | None = None
        self.watchdog = Watchdog(self._pulse, limit=ops.stalled_after_s)
        self._limit = ops.unreachable_after_s
        self._group = group
        self._unreached: Unreached | None = None
        self._clock = clock
        self._answered_at = clock()
        self._is_told = False
        self._log = structlog.get_logger("worker")

    def unhealthy(self) -> str | None:
        """Return why the worker must be started again; None if it need not."""
        return _STARTING if self.worker is None else self.watchdog.fault()

    def unready(self) -> str | None:
        """Return why the worker takes no frames; None if it does, or stands by."""
        now = self._clock()
        if self.worker is None:
            return _STARTING
        if self.unreachable_for() > self._limit:
            return self._unreachable(now)
        return self._joining(self.worker, now)

    def trouble(self, counts: Counts) -> str | None:
        """Return why nothing happens, the most serious reason first; None if the worker only waits for frames."""
        now, worker = self._clock(), self.worker
        if worker is None:
            return _STARTING
        return (
            self.watchdog.fault()
            or self._unreachable(now)
            or self._slow()
            or self._joining(worker, now)
            or self._without_partitions(counts)
        )

    def heard(self, unreached: Unreached | None) -> None:
        """Note who did not answer when the brokers were asked; say in the log when an outage is long, and its end."""
        now = self._clock()
        if unreached is None:
            if self._is_told:
                self._log.warning("the brokers answer again", after_s=round(now - self._answered_at))
            self._answered_at, self._is_told = now, False
        self._unreached = unreached
        if not self._is_told and self.unreachable_for() > self._limit:
            self._is_told = True
            self._log.error(self._unreachable(now))

    def unreachable_for(self) -> float:
        """Return for how many seconds brokers have not answered; 0 if they do."""
        return self._clock() - self._answered_at if self._unreached else 0.0

    def _unreachable(self, now: Monotonic) -> str | None:
        unreached = self._unreached  # another thread may set it to None
        return unreached and f"no answer for {now - self._answered_at:.0f} s from {unreached.whom}: {unreached.cause}"

    def _slow(self) -> str | None:
        pulse = self._pulse()
        if pulse.in_step < SLOW_AFTER:
            return None
        doing = _DOING.get(pulse.stage, f"it has been in stage {pulse.stage!r}")
        return f"{doing} for {pulse.in_step:.0f} s"

    def _joining(self, worker: Worker, now: Monotonic) -> str | None:
        """A worker is ready once it has its partitions, or is known to have none for now: a standby is ready too."""
        began = worker.subscribed_at
        if worker.joined or (began is not None and now - began > STANDBY_AFTER):
            return None
        return f"group {self._group!r} has not assigned any partitions yet; wait some seconds"

    def _without_partitions(self, counts: Counts) -> str | None:
        if counts.assigned:
            return None
        if counts.waiting:
            return "none of its partitions is read, because an output has too few: vision-worker topics apply adds some"
        return f"standby: group {self._group!r} has no partition for this worker; it takes over when another one stops"

    def _pulse(self) -> Pulse:
        now, worker = self._clock(), self.worker
        if worker is None:
            return Pulse(0.0, 0.0, 0.0, "start")
        busy_since = worker.busy_since
        if busy_since is not None and busy_since < worker.last_step:
            return Pulse(now - busy_since, now - busy_since, now - worker.last_poll, "classify")
        silent = now - max(worker.last_step, worker.last_read_back)
        return Pulse(silent, now - worker.last_step, now - worker.last_poll, worker.stages.current)
