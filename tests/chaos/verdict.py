"""Judge a run by the contents of its topics."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tests.support.cameras import expected_counts, last_tallies, places, published_counts, times_predicted
from tests.support.workers import Stage
from worker import wire


class Excuse(NamedTuple):
    """The frames that were uncommitted at a disturbance: with at least once, each may be predicted once more.

    Attributes:
        committed: the group's next offset of each partition at the start of the disturbance.
        ends: the end offset of each partition after the disturbance.
    """

    committed: Mapping[int, int]
    ends: Mapping[int, int]

    def covers(self, partition: int, offset: int) -> bool:
        return self.committed[partition] <= offset < self.ends[partition]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The contents of the topics after a run, as seen by readers of committed records.

    Attributes:
        predicted: number of frames that have a prediction.
        duplicated: number of predictions beyond the first of their frame.
        unexcused: number of duplicates that no disturbance explains.
        accuracy_equal: whether the accuracy topic agrees with an independent count of frames and predictions.
        longest_pause: longest time in seconds between two predictions of the same camera.
    """

    produced: int
    predicted: int
    lost: int
    duplicated: int
    unexcused: int
    accuracy_equal: bool
    longest_pause: float

    def faults(self, mode: str, sent: int | None) -> list[str]:
        """Return a text for each violated guarantee."""
        forbidden = self.duplicated if mode == "exactly_once" else self.unexcused
        wrong = {
            f"{sent} frames were sent, but {self.produced} are in the topic": sent not in (None, self.produced),
            "no frame was sent": self.produced == 0,
            f"{self.lost} frames have no prediction": self.lost != 0,
            f"there are {forbidden} forbidden duplicates of predictions": forbidden != 0,
            "accuracy does not agree with the predictions": not self.accuracy_equal,
        }
        return [fault for fault, holds in wrong.items() if holds]


def judge(on: Stage, excuses: Sequence[Excuse]) -> Verdict:
    """Read all topics completely, and count."""
    frames, predictions = on.read(on.frames), on.read_predictions()
    times = times_predicted(predictions)
    answered = [frame for frame in frames if places([frame]) <= times.keys()]
    published = published_counts(last_tallies(on.read(on.accuracy)).values())
    duplicates = {place: count - 1 for place, count in times.items()}
    excused = {place: sum(excuse.covers(*place) for excuse in excuses) for place in duplicates}
    return Verdict(
        produced=len(frames),
        predicted=len(times),
        lost=len(frames) - len(answered),
        duplicated=sum(duplicates.values()),
        unexcused=sum(max(0, count - excused[place]) for place, count in duplicates.items()),
        accuracy_equal=published == expected_counts(answered, predictions),
        longest_pause=_longest_pause(predictions),
    )


def _longest_pause(predictions: Iterable[wire.PredictionMessage]) -> float:
    published: dict[str, list[int]] = defaultdict(list)
    for prediction in predictions:
        published[prediction.frame.camera].append(prediction.published_at_ms)
    pauses = (later - earlier for times in published.values() for earlier, later in pairwise(sorted(times)))
    return max(pauses, default=0) / 1000
