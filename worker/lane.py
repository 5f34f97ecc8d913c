"""Where frames are decoded and classified while the loop goes on: beside it, in order, and only so many at a time.

decode      call N+2
classify    call N+1
publish     call N      by the loop's own thread, which alone owns state
"""

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.batcher import FrameBatch
from worker.domain.breaker import FailureBreaker
from worker.domain.call_size import CallSize
from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.results import DeadLetter, Outcome
from worker.domain.times import Monotonic
from worker.pipeline import BatchedFrame, Pipeline
from worker.ports import MonotonicClock

CALLS: Final = 3
"""Calls begun and not collected: one is decoded, one is in the model, and one waits for either."""
DECODED_TOGETHER: Final = 4
"""Frames of a large call that a decoder takes at once: handing over each costs a twentieth of decoding it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came out of one call.

    Attributes:
        outcomes: of the frames whose partitions have not gone since it began.
        answered: frames that the model took.
        failed: frames that break the model.
        fits: frames that fitted into the device's memory.
        seconds: stages, and what each took; gathering is there once for every batch.
    """

    outcomes: Sequence[Outcome]
    answered: int
    failed: int
    fits: int
    seconds: Sequence[tuple[str, float]]


class _Decoded(NamedTuple):
    letters: Sequence[DeadLetter | None]
    began: Monotonic
    ended: Monotonic


@dataclass(slots=True)
class _Call:
    began: Monotonic
    finished: "Future[Finished]"
    gone: set[TopicPartition] = field(default_factory=set)


class Lane:
    """Takes batches, and gives back what became of their frames, first in, first out.

    A call belongs to the assignment it was begun in: of a partition that goes meanwhile nothing comes out, even if the
    partition has come back by then and its frames are read again.

    Every method is for the loop's thread. What runs on the executors takes immutable values and touches no state.

    Args:
        decoders: decodes frames, several at once.
        inference: runs the model, one call at a time and in order.
        max_batch: frames in one call of the model.
        max_failed_share: share of the last frames that the model may fail on.

    Attributes:
        most: frames in one call, as far as that is not for memory to say.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        decoders: Executor,
        inference: Executor,
        max_batch: int,
        max_failed_share: float,
        monotonic: MonotonicClock,
    ) -> None:
        self._pipeline = pipeline
        self._decoders = decoders
        self._inference = inference
        self._monotonic = monotonic
        self.most = max_batch
        self._call_size = CallSize(max_batch)
        self._breaker = FailureBreaker(max_failed_share)
        self._waiting: deque[FrameBatch] = deque()
        self._calls: deque[_Call] = deque()

    @property
    def call_size(self) -> int:
        """Frames that one call takes at most, for now."""
        return min(self.most, self._call_size.now)

    @property
    def busy_since(self) -> Monotonic | None:
        """When the oldest call began that is not collected; None if there is none."""
        return self._calls[0].began if self._calls else None

    @property
    def crowded(self) -> bool:
        """Whether more waits than the next call takes."""
        return len(self._calls) >= CALLS and sum(len(each.frames) for each in self._waiting) >= self.call_size

    def add(self, batches: Collection[FrameBatch]) -> None:
        """Begin calls of these batches, now or once there is room."""
        self._waiting.extend(batches)
        self._begin()

    def collect(self, *, wait: bool = False) -> Finished | None:
        """Return what came of the oldest call; None if there is none, or it is not over and nobody waits for it.

        Raises:
            WorkerError: whatever ended the call; among others
            TooManyRejected: the model fails on so many frames that it must be broken.
        """
        if not self._calls or not (wait or self._calls[0].finished.done()):
            return None
        call = self._calls[0]  # it counts as begun while it is waited for
        finished = call.finished.result()
        self._calls.popleft()
        self._breaker.note(failed=finished.failed, answered=finished.answered)
        if finished.fits < self._call_size.now:
            self._call_size.ran_out(finished.fits)
        else:
            self._call_size.went_well()
        self._begin()
        ours = [outcome for outcome in finished.outcomes if outcome.position.partition not in call.gone]
        return replace(finished, outcomes=ours)

    def forget(self, partition: TopicPartition) -> None:
        """Drop what waits of a partition that has gone, and what calls already begun will say of it."""
        self._waiting = deque(batch for batch in self._waiting if batch.partition != partition)
        for call in self._calls:
            call.gone.add(partition)

    def _begin(self) -> None:
        while self._waiting and len(self._calls) < CALLS:
            batches, now = self._next_batches(), self._monotonic()
            frames = [frame for batch in batches for frame in batch.frames]
            pixels = np.empty((len(frames), *self._pipeline.input_shape), np.uint8)
            together = min(DECODED_TOGETHER, 1 + len(frames) // (2 * DECODED_TOGETHER))  # few are spread over all
            parts = [slice(start, start + together) for start in range(0, len(frames), together)]
            decoding = [self._decoders.submit(self._decode, frames[part], pixels[part]) for part in parts]
            finished = self._inference.submit(self._classify, batches, pixels, decoding, now, self._call_size.now)
            self._calls.append(_Call(now, finished))

    def _next_batches(self) -> list[FrameBatch]:
        """Take neighbouring batches as long as one call takes them all; one that is larger is split by the model."""
        together = [self._waiting.popleft()]
        frames = len(together[0].frames)
        while self._waiting and frames + len(self._waiting[0].frames) <= self.call_size:
            together.append(self._waiting.popleft())
            frames += len(together[-1].frames)
        return together

    def _decode(self, frames: Sequence[EncodedFrame], out: NDArray[np.uint8]) -> _Decoded:
        began = self._monotonic()
        letters = [self._pipeline.decode(frame, slot) for frame, slot in zip(frames, out, strict=True)]
        return _Decoded(letters, began, self._monotonic())

    def _classify(
        self,
        batches: Sequence[FrameBatch],
        pixels: NDArray[np.uint8],
        decoding: Sequence["Future[_Decoded]"],
        gathered: Monotonic,
        at_once: int,
    ) -> Finished:
        frames = [BatchedFrame(frame, batch) for batch in batches for frame in batch.frames]
        decoded = [each.result() for each in decoding]
        letters = [letter for each in decoded for letter in each.letters]
        bad = [letter for letter in letters if letter is not None]
        if bad:
            good = [number for number, letter in enumerate(letters) if letter is None]
            frames, pixels = [frames[number] for number in good], pixels[good]
        began = self._monotonic()
        classified = self._pipeline.classify(frames, pixels, at_once=at_once)
        ended = self._monotonic()
        seconds = {
            "decode": max(each.ended for each in decoded) - min(each.began for each in decoded),
            "classify": ended - began,
        }
        predictions = self._pipeline.score(classified, seconds, gathered)
        waits = [("gather", gathered - batch.frames[0].arrived) for batch in batches]
        return Finished(
            outcomes=[*bad, *classified.rejected, *predictions],
            answered=len(classified.frames),
            failed=len(classified.rejected),
            fits=classified.fits,
            seconds=[*waits, *seconds.items(), ("score", self._monotonic() - ended)],
        )
