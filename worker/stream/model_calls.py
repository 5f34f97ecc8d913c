"""Where frames are decoded and classified while the loop goes on: beside it, in order, and only so many at a time.

A call is cut into parts, as the model likes them (`worker/stream/model_threads.py` runs them). Full calls are begun
ahead, so that no thread of the model ever waits for the loop. A smaller one is begun only once a thread is free: until
then it grows, so that calls become larger, and cheaper a frame, just as far as the model does not keep up. (Triton's
dynamic batcher does the same.)

While there is room for another call, frames are decoded one by one as they come, before their batch is closed: what a
machine that is not busy does while they linger, nobody waits for afterwards.

decode              of call N+3        one by one, by the threads that decode anyway
decode, classify    calls N+1, N+2     by the threads of the model
publish             call N             by the loop's own thread, which alone owns state
"""

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np

from worker.domain.batches import FrameBatch
from worker.domain.frames import EncodedFrame
from worker.domain.records import Position, TopicPartition
from worker.domain.results import Outcome
from worker.domain.times import Monotonic
from worker.ports import MonotonicClock
from worker.stream.breaker import FailureBreaker
from worker.stream.call_size import CallSize
from worker.stream.model_threads import Done, Early, Part, Threads
from worker.stream.pipeline import BatchedFrame, Pipeline

CALLS: Final = 3
"""Calls begun and not collected: enough that no thread waits while the loop publishes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came out of one call.

    Attributes:
        outcomes: of the frames whose partitions have not gone since it began.
        answered: of each part, the frames that the model took.
        failed: frames that break the model.
        fits: frames that may fit into the device's memory, if it was too small for a part.
        took: seconds from when a thread of the model began with the first part until the last was done; decoding is in
            it where those threads do that too, also what they decoded before.
        seconds: stages, and what each took; gathering is there once for every batch, decoding and the model for every
            part.
    """

    outcomes: Sequence[Outcome]
    answered: Sequence[int]
    failed: int
    fits: int | None
    took: float
    seconds: Sequence[tuple[str, float]]


@dataclass(slots=True)
class _Call:
    began: Monotonic
    waits: Sequence[tuple[str, float]]
    parts: Sequence["Future[Done]"]
    gone: set[TopicPartition] = field(default_factory=set)

    @property
    def unfinished(self) -> int:
        """Parts that are not done."""
        return sum(not part.done() for part in self.parts)

    def finished(self) -> Finished:
        """Wait for all parts, and put them together."""
        parts = [part.result() for part in self.parts]
        outcomes = chain.from_iterable(part.outcomes for part in parts)
        return Finished(
            outcomes=[outcome for outcome in outcomes if outcome.position.partition not in self.gone],
            answered=[part.answered for part in parts],
            failed=sum(part.failed for part in parts),
            fits=min((part.fits for part in parts if part.fits is not None), default=None),
            took=max(part.ended for part in parts) - min(part.began for part in parts),
            seconds=[*self.waits, *chain.from_iterable(part.seconds for part in parts)],
        )


class Lane:
    """Takes batches, and gives back what became of their frames, first in, first out.

    A call belongs to the assignment it was begun in: of a partition that goes meanwhile nothing comes out, even if the
    partition has come back by then and its frames are read again.

    Every method is for the loop's thread.

    Args:
        decoders: decodes frames, several at once; None leaves that to the threads of the model.
        inference: runs the model, in order, as many parts at once as it has threads.
        max_batch: frames in one call of the model.
        max_failed_share: share of the last frames that the model may fail on.

    Attributes:
        most: frames in one call, as far as that is not for memory to say.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        decoders: Executor | None,
        inference: Executor,
        max_batch: int,
        max_failed_share: float,
        monotonic: MonotonicClock,
    ) -> None:
        self._pipeline = pipeline
        self._threads = Threads(pipeline, decoders=decoders, inference=inference, monotonic=monotonic)
        self._monotonic = monotonic
        self.most = max_batch
        self._call_size = CallSize(max_batch)
        self._breaker = FailureBreaker(max_failed_share)
        self._early: dict[Position, Future[Early]] = {}
        self._waiting: deque[BatchedFrame] = deque()
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
        return len(self._calls) >= CALLS and len(self._waiting) >= self.call_size

    @property
    def takes_more(self) -> bool:
        """Whether frames have waited for a thread that is free now, and are fewer than a call takes."""
        return 0 < len(self._waiting) < self.call_size and self._has_room

    def expect(self, frame: EncodedFrame) -> None:
        """Decode a frame whose batch is still open, if there is time for that."""
        if len(self._calls) < CALLS and len(self._early) < self.call_size:
            self._early[frame.position] = self._threads.decode_early(frame)

    def add(self, batches: Collection[FrameBatch]) -> None:
        """Take batches in, if any, and begin what calls there is room for now."""
        self._waiting.extend(BatchedFrame(frame, batch) for batch in batches for frame in batch.frames)
        while self._waiting and self._has_room:
            frames, now = self._next_frames(), self._monotonic()
            early = [self._early.pop(each.frame.position, None) for each in frames]
            pixels = np.empty((len(frames), *self._pipeline.input_shape), np.uint8)
            call = Part(frames, early, pixels, gathered=now)
            parts = [self._threads.begin(call.some(which)) for which in self._pipeline.parts(len(frames))]
            waits = [("gather", now - each.frame.arrived) for each in frames if each.frame is each.batch.frames[0]]
            self._calls.append(_Call(now, waits, parts))

    def collect(self, *, wait: bool = False) -> Finished | None:
        """Return what came of the oldest call; None if there is none, or it is not over and nobody waits for it.

        Raises:
            WorkerError: whatever ended the call; among others
            TooManyRejected: the model fails on so many frames that it must be broken.
        """
        if not self._calls or (self._calls[0].unfinished and not wait):
            return None
        finished = self._calls[0].finished()  # it counts as begun while it is waited for
        self._calls.popleft()
        self._breaker.note(failed=finished.failed, answered=sum(finished.answered))
        if finished.fits is None:
            self._call_size.went_well()
        else:
            self._call_size.ran_out(finished.fits)
        return finished

    def forget(self, partition: TopicPartition) -> None:
        """Drop what waits of a partition that has gone, and what calls already begun will say of it."""
        self._waiting = deque(each for each in self._waiting if each.batch.partition != partition)
        for position in [each for each in self._early if each.partition == partition]:
            self._early.pop(position).cancel()
        for call in self._calls:
            call.gone.add(partition)

    @property
    def _has_room(self) -> bool:
        if len(self._calls) >= CALLS:
            return False
        return (
            len(self._waiting) >= self.call_size
            or sum(call.unfinished for call in self._calls) < self._pipeline.streams
        )

    def _next_frames(self) -> list[BatchedFrame]:
        """Take as many as one call takes, of whatever batches: while others wait, no call is smaller than it may be."""
        return [self._waiting.popleft() for _ in range(min(self.call_size, len(self._waiting)))]
