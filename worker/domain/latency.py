"""How long frames wait in open batches, so that results come in time and calls of the model are worth their cost.

A wait only pays if it saves work, and it may take only the time that the target leaves.

- Work comes in calls that cost some seconds, and more for each frame (`LinearCost`): calls of the model, and
  publications. At r frames a second, batches of n keep a worker busy for r * (base + n * each) / n of the time. The
  linger is the time in which, at r, the least n comes that keeps this within UTILISATION. So an idle machine hardly
  lingers: the target is a limit, not a goal. Nexus (SOSP '19) chooses batches from such a profile under a limit.
- Feed-forward: linger + call(1 + r * linger) + everything else, at a high quantile, stays below the target less a
  margin. "Everything else" is measured from capture to the broker's confirmation, without gathering and without the
  call. It also grows when the machine is full, and smaller batches would make that worse: so a share of the target
  stays for the linger where the rate needs it.
- The linger only saves work, and no queue grows by it: once a model thread is free, all open batches are sent
  (`worker/stream/model_calls.py`), so calls grow with the queue up to the largest batch. A smaller limit would
  finish no frame sooner: the frames behind wait for the work before them, and small calls mean more work.
- With or without a target, no call takes so long that the group removes the worker: `max.poll.interval.ms`.

Limits change at most once a tick, in bounded steps, and not for a small difference.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.batches import BatchLimits
from worker.domain.cost import LinearCost
from worker.domain.times import Monotonic

TICK: Final = 0.25
"""Seconds between two changes."""
RATE_MEMORY: Final = 3.0
"""Seconds after which an arrival's weight in the rate has fallen to a third."""
UTILISATION: Final = 0.6
"""Share of the time that the model, and the loop in publishing, may work before frames linger to share calls."""
OVERHEAD: Final = 0.1
"""Share of the work that may be overhead; below it, larger batches are not worth a wait. Batches also save work of
librdkafka and of the broker, which nothing here measures: hence no more than a tenth."""
USED: Final = 0.8
"""Share of the target that is planned with; the rest is for what no measurement predicts."""
THRIFT: Final = 0.25
"""Share of the target that frames may linger if the rate needs it, however long everything else takes."""
START: Final = 0.05
"""Share of the target that frames linger before anything is known."""
LEAST_STEP: Final = 0.002
"""Seconds of linger that make a difference, and that it can always change by."""
HIGH: Final = 0.99
RECENT: Final = 1000
"""Frames whose delays are looked back on."""
FEWEST: Final = 20
"""Frames before which nothing is known."""
A_POLL: Final = 12
"""Calls that fit between two polls: three are begun at a time, and the frames of a whole poll may wait behind them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits move within these bounds.

    Attributes:
        target: seconds from capture to a confirmed result; None keeps the linger as it is.
        linger: seconds without a target.
        max_frames: in a batch, and in one call of the model.
        max_poll_interval: seconds that the group waits for a poll.
    """

    target: float | None
    linger: float
    max_frames: int
    max_poll_interval: float


class LatencyControl:
    """Is told what happened, and says how to batch. It reads no clock and uses no randomness.

    Attributes:
        model: what a call of the model costs.
        publication: what a publication costs.
        rate: frames a second that come.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.model, self.publication = LinearCost(), LinearCost()
        self.rate = 0.0
        self._bounds = bounds
        linger = bounds.linger if bounds.target is None else START * bounds.target
        self._now = BatchLimits(linger, bounds.max_frames)
        self._since: Monotonic | None = None
        self._arrived = 0
        self._others: deque[float] = deque(maxlen=RECENT)

    @property
    def target(self) -> float | None:
        """Seconds from capture to a confirmed result, if there is such a target."""
        return self._bounds.target

    def arrived(self, samples: int) -> None:
        """Samples have come for the model."""
        self._arrived += samples

    def called(self, frames: int, seconds: float) -> None:
        """A call of the model took `seconds`."""
        if frames:
            self.model.note(frames, seconds)

    def published(self, delays: Sequence[float], seconds: float) -> None:
        """Results were confirmed.

        Args:
            delays: of each result, the seconds since capture that were neither gathering nor the model.
            seconds: that publishing took.
        """
        self._others.extend(max(0.0, delay) for delay in delays)
        if delays:
            self.publication.note(len(delays), seconds)

    def until_published(self, ahead: int, call: int) -> float:
        """Return the seconds until the result of a sample is published that waits for no others.

        Args:
            ahead: samples that the model takes before it.
            call: samples that one call takes.
        """
        calls = ahead // call + 1
        return calls * self.model.base + (ahead + 1) * self.model.each + self.publication.of(call)

    def limits(self, now: Monotonic) -> BatchLimits:
        """Return the limits in force; a new object once a tick."""
        if self._since is None:
            self._since = now
        if (elapsed := now - self._since) >= TICK:
            self._since = now
            self.rate += (self._arrived / elapsed - self.rate) * (1 - math.exp(-elapsed / RATE_MEMORY))
            self._arrived = 0
            self._now = self._next()
        return self._now

    def _next(self) -> BatchLimits:
        target, most = self._bounds.target, self._bounds.max_frames
        if self.model.known:
            most = int(min(most, self.model.within(self._bounds.max_poll_interval / A_POLL)))
        if target is None:
            return BatchLimits(self._bounds.linger, most)
        if len(self._others) < FEWEST:
            return BatchLimits(self._now.linger, most)
        return BatchLimits(_towards(self._now.linger, self._linger(target)), most)

    def _needed(self) -> float:
        costs = (self.model, self.publication)
        return max(each.sustains(self.rate, utilisation=UTILISATION, overhead=OVERHEAD) for each in costs)

    def _linger(self, target: float) -> float:
        """Return the seconds in which the needed frames come, or those that the target has room for."""
        needed = self._needed()
        others = sorted(self._others)[math.ceil(HIGH * len(self._others)) - 1]
        room = (USED * target - others - self.model.of(1)) / (1 + self.rate * self.model.each)
        wanted = (needed - 1) / self.rate if needed > 1 else 0.0
        return min(wanted, max(room, THRIFT * target))


def _towards(now: float, wanted: float) -> float:
    """Return the next linger: at most half more or half less; the same if the difference is small."""
    if abs(wanted - now) < max(LEAST_STEP, 0.2 * now):
        return now
    return min(max(wanted, min(now / 2, now - LEAST_STEP)), max(now * 1.5, now + LEAST_STEP))
