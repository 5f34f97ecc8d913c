"""What a demo came to, counted from the topics themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.wire import AccuracyMessage, PredictionMessage

TORCHVISION_SAME: Final = 0.99
"""Share of the frames: one pixel value in some 50,000 is another, which may decide between two equals."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many of the frames got the same most likely class, and the largest difference of its probability.

    Attributes:
        replay_correct: right answers by the accuracy that the replay counted, to be held against the topic's.
    """

    frames: int
    replay_same: int
    replay_difference: float
    replay_correct: int
    torchvision_same: int
    torchvision_difference: float

    @property
    def complete(self) -> bool:
        """Whether all three agree: replay on every frame, torchvision on all that are not as good as undecided."""
        return self.frames == self.replay_same and self.torchvision_same >= TORCHVISION_SAME * self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run.

    Attributes:
        seen: predictions that the accuracy topic counts.
        accuracy: correct over labelled, None while nothing is labelled.
        frames_per_second: predictions, from the first capture to the last publication.
        latency_ms: percentiles of the time from capture to the prediction's arrival at a consumer.
        agreement: with replay and torchvision, if it was asked for.
    """

    frames_sent: int
    predictions: int
    dead_letters: int
    seen: int
    labelled: int
    correct: int
    accuracy: float | None
    accuracy_by_camera: Mapping[str, float | None]
    frames_per_second: float | None
    latency_ms: Mapping[str, float]
    broker: str
    agreement: Agreement | None = None

    def faults(self) -> list[str]:
        """Say what is wrong with the run: nothing, if every frame came out and was counted."""
        faults = []
        if not self.predictions or self.predictions + self.dead_letters != self.frames_sent:
            faults.append(
                f"{self.frames_sent} frames went in; {self.predictions} predictions and {self.dead_letters} dead "
                "letters came out"
            )
        if self.seen != self.predictions or not self.labelled:
            faults.append(f"accuracy counts {self.seen} of {self.predictions} predictions, {self.labelled} labelled")
        if self.agreement and not self.agreement.complete:
            faults.append(f"predictions differ from replay or torchvision: {self.agreement}")
        if self.agreement and self.agreement.replay_correct != self.correct:
            faults.append(
                f"replay counts {self.agreement.replay_correct} right answers, the accuracy topic {self.correct}"
            )
        return faults


def summarise(
    *,
    frames_sent: int,
    predictions: Sequence[PredictionMessage],
    tallies: Sequence[AccuracyMessage],
    dead_letters: int,
    latencies: Sequence[int],
    broker: str,
) -> Summary:
    """Put the figures together.

    Args:
        frames_sent: by the cameras' own count.
        predictions: every message of the predictions topic.
        tallies: the last message of each key of the accuracy topic.
        dead_letters: messages of their topic.
        latencies: milliseconds from capture to arrival, one a prediction.
        broker: where it ran.
    """
    labelled, correct = sum(t.labelled for t in tallies), sum(t.correct.top1 for t in tallies)
    span = max((p.published_at_ms for p in predictions), default=0) - min(
        (p.captured_at_ms for p in predictions), default=0
    )
    return Summary(
        frames_sent=frames_sent,
        predictions=len(predictions),
        dead_letters=dead_letters,
        seen=sum(tally.seen for tally in tallies),
        labelled=labelled,
        correct=correct,
        accuracy=round(correct / labelled, 4) if labelled else None,
        accuracy_by_camera={t.camera: t.accuracy.top1 for t in sorted(tallies, key=lambda tally: tally.camera)},
        frames_per_second=round(len(predictions) / span * 1000, 2) if span else None,
        latency_ms={f"p{p}": round(float(np.percentile(latencies, p)), 1) for p in (50, 99) if latencies},
        broker=broker,
    )
