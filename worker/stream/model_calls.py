"""Calls of the model: which samples share one, when it begins, and in which order results come back.

Other threads decode and classify samples while the loop continues. A call is cut into parts, as the model likes
them (`worker/stream/model_threads.py` runs them). A full call begins ahead of time, so that no thread of the model ever
waits for the loop. A smaller call begins only when a thread is free. Until then it grows, so calls become larger, and
cheaper a frame, exactly as far as the model does not keep up. (Triton's dynamic batcher does the same.)

While there is room for another call, frames are decoded as they arrive, before their batch is closed. On a machine that
is not busy this work is then done while they linger, and nobody waits for it later.

decode              of call N+3        one by one, by the threads that decode
decode, classify    calls N+1, N+2     by the threads of the model
publish             call N             by the loop's own thread, which alone owns state
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from worker.domain.batches import Batch, ClosedBy
from worker.domain.frames import EncodedFrame
from worker.domain.records import TopicPartition
from worker.domain.results import Outcome
from worker.domain.samples import Picture, Sample
from worker.domain.times import Monotonic
from worker.ports import MonotonicClock
from worker.stream.breaker import FailureBreaker
from worker.stream.call_size import CallSize
from worker.stream.model_threads import ModelThreads, Part, PartResult
from worker.stream.partition import Partition
from worker.stream.pipeline import BatchedSample, Pipeline

CALLS: Final = 3
"""Calls begun and not collected: enough that no thread waits while the loop publishes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came out of one call.

    Attributes:
        outcomes: each with its partition; those of partitions that have gone are left out.
        answered: of each part, the samples that the model took.
        failed: frames that break the model.
        fitting: samples that may fit into the device's memory, if it was too small for a part.
        took: seconds from when a thread of the model began with the first part until the last was done; decoding is
            included where those threads do that too, also what they decoded before.
        seconds: stages, and what each took; gathering is there once for every batch, decoding and the model for every
            part.
    """

    outcomes: Sequence[tuple[Partition, Outcome]]
    answered: Sequence[int]
    failed: int
    fitting: int | None
    took: float
    seconds: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class _Call:
    began: Monotonic
    samples: int
    waits: Sequence[tuple[str, float]]
    parts: Sequence["Future[PartResult]"]
    partitions: Mapping[TopicPartition, Partition]

    @property
    def unfinished(self) -> int:
        """Parts that are not done."""
        return sum(not part.done() for part in self.parts)

    def result(self) -> Finished:
        """Wait for all parts, and put them together."""
        parts = [part.result() for part in self.parts]
        outcomes = chain.from_iterable(part.outcomes for part in parts)
        owned = ((self.partitions[outcome.position.partition], outcome) for outcome in outcomes)
        return Finished(
            outcomes=[(partition, outcome) for partition, outcome in owned if partition.current],
            answered=[part.answered for part in parts],
            failed=sum(part.failed for part in parts),
            fitting=min((part.fitting for part in parts if part.fitting is not None), default=None),
            took=max(part.ended for part in parts) - min(part.began for part in parts),
            seconds=[*self.waits, *chain.from_iterable(part.seconds for part in parts)],
        )


class ModelCalls:
    """Takes batches, and gives back what became of their frames, first in, first out.

    Every method is for the loop's thread; none blocks but `collect(wait=True)`.

    Args:
        decoders: decodes frames, several at once; None leaves that to the threads of the model.
        inference: runs the model, in order, as many parts at once as it has threads.
        max_call: samples in one call of the model.
        max_failed_share: share of the last frames that the model may fail on.

    Attributes:
        max_call: samples in one call, as far as memory allows.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        decoders: Executor | None,
        inference: Executor,
        max_call: int,
        max_failed_share: float,
        monotonic: MonotonicClock,
    ) -> None:
        self._pipeline = pipeline
        self._threads = ModelThreads(pipeline, decoders=decoders, inference=inference, monotonic=monotonic)
        self._monotonic = monotonic
        self.max_call = max_call
        self._call_size = CallSize(max_call)
        self._breaker = FailureBreaker(max_failed_share)
        self._decoded_early = 0
        self._waiting: deque[BatchedSample] = deque()
        self._calls: deque[_Call] = deque()

    @property
    def call_size(self) -> int:
        """Samples that one call takes at most, for now."""
        return min(self.max_call, self._call_size.now)

    @property
    def busy_since(self) -> Monotonic | None:
        """When the oldest call began that is not collected; None if there is none."""
        return self._calls[0].began if self._calls else None

    @property
    def backlogged(self) -> bool:
        """Whether all calls are begun and more samples wait than the next one takes."""
        return len(self._calls) >= CALLS and len(self._waiting) >= self.call_size

    @property
    def has_room_for_more(self) -> bool:
        """Whether samples have waited for a thread that is free now, and do not fill a call."""
        return 0 < len(self._waiting) < self.call_size and self._can_begin

    @property
    def ahead(self) -> int:
        """Samples that were submitted and are not answered."""
        return len(self._waiting) + self.begun

    @property
    def begun(self) -> int:
        """Samples whose calls have begun and are not collected."""
        return sum(call.samples for call in self._calls)

    def prepare(self, frame: EncodedFrame) -> "Future[Picture]":
        """Begin to decode a frame that clips will show."""
        return self._threads.prepare(frame)

    def decode_early(self, sample: Sample) -> Sample:
        """Begin to decode a sample whose batch is still open, if there is time for that; return it with its picture."""
        if sample.pictures or len(self._calls) >= CALLS or self._decoded_early >= self.call_size:
            return sample
        self._decoded_early += 1
        return Sample(sample.frames, sample.answers, (self._threads.prepare(sample.newest),))

    def submit(self, partition: Partition, batch: Batch) -> None:
        """Take a batch of a partition in; its samples wait until `begin`."""
        self._waiting.extend(BatchedSample(partition, batch, sample) for sample in batch.samples)

    def leave_out(self, is_outdated: Callable[[Partition, Sample], bool]) -> None:
        """Ask of the samples of the call that begins next, if one can, which of them need no call any more."""
        kept = list[BatchedSample]()
        while self._can_begin and self._waiting and len(kept) < self.call_size:
            each = self._waiting.popleft()
            if is_outdated(each.partition, each.sample):
                self._decoded_early -= _decoded_early([each.sample])
            else:
                kept.append(each)
        self._waiting.extendleft(reversed(kept))

    def begin(self) -> None:
        """Begin the calls that there is room for now."""
        while self._waiting and self._can_begin:
            # While others wait, no call is smaller than it may be.
            samples = [self._waiting.popleft() for _ in range(min(self.call_size, len(self._waiting)))]
            now = self._monotonic()
            self._decoded_early -= _decoded_early(each.sample for each in samples)
            pixels = np.empty((len(samples), *self._pipeline.input_shape), np.uint8)
            call = Part(samples, pixels, gathered=now)
            parts = [self._threads.begin(call.slice(which)) for which in self._pipeline.parts(len(samples))]
            waits = [
                ("gather", now - each.sample.newest.frame.arrived)
                for each in samples
                if each.sample is each.batch.samples[0]
            ]
            partitions = {each.partition.name: each.partition for each in samples}
            self._calls.append(_Call(now, len(samples), waits, parts, partitions))

    def collect(self, *, wait: bool = False) -> Finished | None:
        """Return what came of the oldest call; None if there is none, or it is not over and `wait` is false.

        Raises:
            WorkerError: whatever ended the call; among others
            TooManyRejected: the model fails on too many frames; it must be broken.
        """
        if not self._calls or (self._calls[0].unfinished and not wait):
            return None
        finished = self._calls[0].result()  # it counts as begun while it is waited for
        self._calls.popleft()
        self._breaker.note(failed=finished.failed, answered=sum(finished.answered))
        if finished.fitting is None:
            self._call_size.went_well()
        else:
            self._call_size.ran_out(finished.fitting)
        return finished

    def forget(self, partition: Partition) -> None:
        """Drop what waits of a partition that has gone; of calls that have begun, `collect` leaves it out."""
        leaving = [each.sample for each in self._waiting if each.partition is partition]
        leaving += [sample for batch in partition.windows.drain(ClosedBy.DRAIN) for sample in batch.samples]
        self._waiting = deque(each for each in self._waiting if each.partition is not partition)
        self._decoded_early -= _decoded_early(leaving)
        for picture in chain.from_iterable(each.pictures for each in leaving):
            picture.cancel()

    @property
    def _can_begin(self) -> bool:
        if len(self._calls) >= CALLS:
            return False
        return (
            len(self._waiting) >= self.call_size
            or sum(call.unfinished for call in self._calls) < self._pipeline.streams
        )


def _decoded_early(samples: Iterable[Sample]) -> int:
    """Count the samples of single frames whose pictures were begun early; clips have theirs always."""
    return sum(bool(each.pictures) and each.clip is None for each in samples)
