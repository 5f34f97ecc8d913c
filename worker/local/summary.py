"""Summarise a demo from the contents of its topics: figures for programs, and what was wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.local.cuts import VideoRow, VideoSummary, expected_cuts, summarise_video
from worker.local.scoreboard import Scoreboard
from worker.wire import AccuracyMessage, PredictionMessage

TORCHVISION_SAME: Final = 0.99
"""Share of the frames: about one pixel value in 50,000 differs, which may decide between two equal classes."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The numbers of frames with the same most likely class, and the largest differences of its probability.

    Attributes:
        replay_correct: right answers counted by the replay, for comparison with the accuracy topic.
    """

    frames: int
    replay_same: int
    replay_difference: float
    replay_correct: int
    torchvision_same: int
    torchvision_difference: float

    @property
    def complete(self) -> bool:
        """Whether all agree: replay on every frame, torchvision on all but a few nearly undecided frames."""
        return self.frames == self.replay_same and self.torchvision_same >= TORCHVISION_SAME * self.frames


@dataclass(frozen=True, slots=True)
class ValueAgreement:
    """The number of the video's frames whose value is that of the replay, and the largest difference of all."""

    frames: int
    replay_same: int
    replay_difference: float

    @property
    def complete(self) -> bool:
        """Whether all agree."""
        return self.frames == self.replay_same


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run. Those without `cuts` or `video` in their name are of the classified cameras only.

    Attributes:
        lost: number of frames that were sent and have neither a prediction nor a dead letter.
        predicted_twice: number of predictions beyond the first of a frame.
        counted_twice: number of frames that the accuracy topic counts beyond those that can have a prediction.
        seen: number of predictions that the accuracy topic counts.
        accuracy: correct divided by labelled; None if no frame is labelled.
        frames_per_second: rate of predictions, from the first capture to the last publication.
        latency_ms: percentiles of the time from capture to the prediction's arrival at a consumer.
        cuts_found: number of cuts found in the video, right or wrong.
        cuts_expected: number of cuts that the frames sent of the video have.
        agreement: agreement with replay and torchvision, if requested.
        video_agreement: agreement of the video's values with replay, if requested.
        workers_killed: number of workers that the demo killed.
    """

    frames_sent: int
    predictions: int
    dead_letters: int
    lost: int
    predicted_twice: int
    counted_twice: int
    seen: int
    labelled: int
    correct: int
    accuracy: float | None
    accuracy_by_camera: Mapping[str, float | None]
    frames_per_second: float | None
    latency_ms: Mapping[str, float]
    cuts_found: int
    cuts_expected: int
    video: VideoSummary
    broker: str
    agreement: Agreement | None = None
    video_agreement: ValueAgreement | None = None
    workers_killed: int = 0

    def faults(self) -> list[str]:
        """Return a text for each fault of the run; none if all was processed, counted and found."""
        faults = []
        if not self.predictions or self.predictions + self.dead_letters != self.frames_sent:
            faults.append(
                f"{self.frames_sent} frames were sent, but there are {self.predictions} predictions and "
                f"{self.dead_letters} dead letters"
            )
        if self.lost:
            faults.append(f"{self.lost} of {self.frames_sent} frames have neither a prediction nor a dead letter")
        if self.predicted_twice:
            faults.append(f"there are {self.predicted_twice} predictions beyond the first of a frame")
        if self.counted_twice:
            faults.append(f"the accuracy topic counts {self.counted_twice} frames twice")
        if self.seen != self.predictions or not self.labelled:
            faults.append(f"accuracy counts {self.seen} of {self.predictions} predictions, {self.labelled} labelled")
        if self.agreement and not self.agreement.complete:
            faults.append(f"predictions differ from replay or torchvision: {self.agreement}")
        if self.agreement and self.agreement.replay_correct != self.correct:
            faults.append(
                f"replay counts {self.agreement.replay_correct} right answers, the accuracy topic {self.correct}"
            )
        faults += self.video.faults()
        if self.video_agreement and not self.video_agreement.complete:
            faults.append(f"the video's values differ from replay: {self.video_agreement}")
        return faults


def summarise(
    *,
    sent: Mapping[str, int],
    predictions: Sequence[PredictionMessage],
    tallies: Sequence[AccuracyMessage],
    dead_letters: Iterable[tuple[str, str]],
    latencies: Sequence[int],
    video: VideoRow,
    broker: str,
    workers_killed: int = 0,
) -> Summary:
    """Compute the summary.

    Args:
        sent: number of frames to classify of each camera, counted by the cameras.
        predictions: all predictions of these frames.
        tallies: the last message of each key of the accuracy topic.
        dead_letters: camera and frame id of each message of the dead-letters topic.
        latencies: milliseconds from capture to arrival, one per prediction.
        video: the number of the video's frames sent, and all their values.
        broker: address of the broker.
        workers_killed: number of workers that the demo killed.
    """
    board, rejected = Scoreboard(), list(dead_letters)
    board.sent(sent)
    for camera, frame in rejected:
        board.rejected(camera, frame)
    for prediction in predictions:
        board.predicted(prediction, now=0.0, arrived_at=0)
    for tally in tallies:
        board.counted(tally)
    labelled, correct = sum(t.labelled for t in tallies), sum(t.correct.top1 for t in tallies)
    span = max((p.published_at_ms for p in predictions), default=0) - min(
        (p.captured_at_ms for p in predictions), default=0
    )
    return Summary(
        frames_sent=board.total("sent"),
        predictions=len(predictions),
        dead_letters=len(rejected),
        lost=board.total("lag"),
        predicted_twice=board.total("predicted_twice"),
        counted_twice=board.total("counted_twice"),
        seen=sum(tally.seen for tally in tallies),
        labelled=labelled,
        correct=correct,
        accuracy=round(correct / labelled, 4) if labelled else None,
        accuracy_by_camera={t.camera: t.accuracy.top1 for t in sorted(tallies, key=lambda tally: tally.camera)},
        frames_per_second=round(len(predictions) / span * 1000, 2) if span else None,
        latency_ms={f"p{p}": round(float(np.percentile(latencies, p)), 1) for p in (50, 99) if latencies},
        cuts_found=len(video.found),
        cuts_expected=len(expected_cuts(video.sent)),
        video=summarise_video(video),
        broker=broker,
        workers_killed=workers_killed,
    )
