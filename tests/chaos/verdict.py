"""Judge a run by the contents of its topics."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.support.cameras import expected_counts, last_tallies, places, published_counts, times_predicted
from tests.support.clip_cameras import Filmed, place_of
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
        wrong: number of clips that a count by hand over all frames does not find, or finds in addition, and of
            duplicates that differ.
        figures: more counts.
    """

    produced: int
    predicted: int
    lost: int
    duplicated: int
    unexcused: int
    accuracy_equal: bool
    longest_pause: float
    wrong: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)

    def faults(self, mode: str, sent: int | None) -> list[str]:
        """Return a text for each violated guarantee."""
        forbidden = self.duplicated if mode == "exactly_once" else self.unexcused
        wrong = {
            f"{sent} frames were sent, but {self.produced} are in the topic": sent not in (None, self.produced),
            "no frame was sent": self.produced == 0,
            f"{self.lost} frames are lost": self.lost != 0,
            f"there are {forbidden} forbidden duplicates of predictions": forbidden != 0,
            f"{self.wrong} clips are not those counted by hand": self.wrong != 0,
            "accuracy does not agree with the predictions": not self.accuracy_equal,
        }
        return [fault for fault, holds in wrong.items() if holds]


def judge(on: Stage, excuses: Sequence[Excuse]) -> Verdict:
    """Read all topics completely, and count."""
    frames, predictions = on.read(on.frames), on.read_predictions()
    times = times_predicted(predictions)
    answered = [frame for frame in frames if places([frame]) <= times.keys()]
    published = published_counts(last_tallies(on.read(on.accuracy)).values())
    return Verdict(
        produced=len(frames),
        predicted=len(times),
        lost=len(frames) - len(answered),
        duplicated=times.total() - len(times),
        unexcused=_unexcused(times, excuses),
        accuracy_equal=published == expected_counts(answered, predictions),
        longest_pause=_longest_pause(predictions),
    )


def judge_clips(on: Stage, excuses: Sequence[Excuse]) -> Verdict:
    """Read all topics of a run with clips completely, and count.

    A prediction is one of a clip. A frame is lost if nothing has become of it, or more than one thing.
    """
    seen = Filmed.now(on)
    times, fates = Counter(place_of(each) for each in seen.clips), seen.fates()
    wrong = set(seen.found()) ^ set(seen.expected())
    return Verdict(
        produced=len(seen.frames),
        predicted=len(times),
        lost=len(seen.unaccounted()),
        duplicated=times.total() - len(times),
        unexcused=_unexcused(times, excuses),
        accuracy_equal=seen.accuracy_published() == seen.accuracy_by_hand(),
        longest_pause=_longest_pause(seen.clips),
        wrong=len(wrong) + len(seen.differing_duplicates()),
        figures={kind: len(places) for kind, places in fates.items() if kind != "predicted"},
    )


def _unexcused(times: Mapping[tuple[int, int], int], excuses: Sequence[Excuse]) -> int:
    """Count the duplicates that no disturbance explains."""
    excused = {place: sum(excuse.covers(*place) for excuse in excuses) for place in times}
    return sum(max(0, count - 1 - excused[place]) for place, count in times.items())


def _longest_pause(predictions: Iterable[wire.PredictionMessage]) -> float:
    published: dict[str, list[int]] = defaultdict(list)
    for prediction in predictions:
        published[prediction.frame.camera].append(prediction.published_at_ms)
    pauses = (later - earlier for times in published.values() for earlier, later in pairwise(sorted(times)))
    return max(pauses, default=0) / 1000
