"""Collect the demo's results by camera: from messages to the rows of a table and a summary."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from worker.local.cuts import number_of
from worker.wire import AccuracyMessage, PredictionMessage

RECENT = 5.0
"""Seconds over which the rate is computed."""


@dataclass(slots=True)
class Row:
    """The table row of one camera. Its frames are numbered from 0, and their ids have the number.

    Attributes:
        predicted: number of predictions of each frame.
        rejected: the frames with a dead letter.
        latencies: all latencies, in milliseconds from capture to the prediction's arrival here.
        arrivals: arrival times of the last predictions, in seconds.
        arrived: arrival time of the newest prediction, in seconds.
    """

    sent: int = 0
    predicted: Counter[int] = field(default_factory=Counter)
    rejected: set[int] = field(default_factory=set)
    last: PredictionMessage | None = None
    latencies: list[int] = field(default_factory=list)
    arrivals: deque[float] = field(default_factory=deque)
    arrived: float = 0.0
    tallies: dict[int, AccuracyMessage] = field(default_factory=dict)

    @property
    def predictions(self) -> int:
        """Number of predictions, a second one of a frame included."""
        return self.predicted.total()

    @property
    def lag(self) -> int:
        """Frames sent whose outcome has not arrived."""
        return self.sent - len(self.predicted.keys() | self.rejected)

    @property
    def lost(self) -> int:
        """Frames without an outcome, although a later one has its own: a camera's outcomes come in order."""
        known = self.predicted.keys() | self.rejected
        return max(known, default=-1) + 1 - len(known)

    @property
    def predicted_twice(self) -> int:
        """Predictions beyond the first of a frame."""
        return self.predictions - len(self.predicted)

    @property
    def counted_twice(self) -> int:
        """Frames that the accuracy topic has counted, beyond those that can have a prediction.

        A count may arrive before its prediction. So this is complete when every outcome has arrived.
        """
        return max(0, self.seen - (self.sent - len(self.rejected)))

    @property
    def labelled(self) -> int:
        """Labelled frames, according to the accuracy topic."""
        return sum(tally.labelled for tally in self.tallies.values())

    @property
    def correct(self) -> int:
        """Right predictions of labelled frames, according to the accuracy topic."""
        return sum(tally.correct.top1 for tally in self.tallies.values())

    @property
    def seen(self) -> int:
        """Frames predicted, according to the accuracy topic."""
        return sum(tally.seen for tally in self.tallies.values())

    def frames_per_second(self, now: float) -> float:
        """Return the recent rate of predictions."""
        while self.arrivals and self.arrivals[0] < now - RECENT:
            self.arrivals.popleft()
        return len(self.arrivals) / RECENT

    def mean_rate(self, began: float) -> float:
        """Return the predictions in a second since the cameras began, up to the newest prediction."""
        return self.predictions / (self.arrived - began) if self.arrived > began else 0.0

    def latency(self, percentile: float) -> float | None:
        """Return a percentile of the latency in milliseconds, or None before the first prediction."""
        return float(np.percentile(self.latencies, percentile)) if self.latencies else None


class Scoreboard:
    """The results of all cameras."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def row(self, camera: str) -> Row:
        """Return a camera's row; create it at the first call."""
        return self.rows.setdefault(camera, Row())

    def sent(self, counts: Mapping[str, int]) -> None:
        """Record the number of frames that each camera has sent."""
        for camera, count in counts.items():
            self.row(camera).sent = count

    def predicted(self, message: PredictionMessage, *, now: float, arrived_at: int) -> None:
        """Record a prediction that arrived at `now`, with wall-clock time `arrived_at`."""
        row = self.row(message.frame.camera)
        row.predicted[number_of(message.frame.id)] += 1
        row.last = message
        row.latencies.append(arrived_at - message.captured_at_ms)
        row.arrivals.append(now)
        row.arrived = now

    def counted(self, message: AccuracyMessage) -> None:
        """Record the newest tally of a camera in a partition."""
        self.row(message.camera).tallies[message.partition] = message

    def rejected(self, camera: str, frame: str) -> None:
        """Record a dead letter of the frame with this id."""
        self.row(camera).rejected.add(number_of(frame))

    @property
    def settled(self) -> bool:
        """Whether every sent frame has its outcome and is counted."""
        return all(row.lag == 0 and row.seen >= len(row.predicted) for row in self.rows.values())

    def total(self, name: str) -> int:
        """Return the sum of one count over all cameras."""
        return sum(int(getattr(row, name)) for row in self.rows.values())

    def latencies(self) -> Sequence[int]:
        """Return all latencies in milliseconds."""
        return [each for row in self.rows.values() for each in row.latencies]
