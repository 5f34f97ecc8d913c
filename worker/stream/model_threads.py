"""What the threads of the model and the decoders do with a part of a call: decode, classify, score.

They touch no state of the loop: immutable values come in, a future comes back. A part goes through one thread, so that
its pixels stay in that core's cache and no thread waits for another. Where the model has fewer threads than there are
cores, decoders work ahead of it.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.frames import EncodedFrame
from worker.domain.results import Outcome
from worker.domain.samples import Picture
from worker.domain.times import Monotonic
from worker.ports import MonotonicClock
from worker.stream.pipeline import BatchedSample, Pipeline, Prepared

DECODED_TOGETHER: Final = 4
"""Frames of a large part that a decoder takes at once: handing over each costs a twentieth of decoding it."""

Pixels = NDArray[np.uint8]


class Part(NamedTuple):
    """Work for one thread of the model.

    Attributes:
        samples: some of those of a call.
        pixels: where their pictures are written to, (samples, *input_shape).
        gathered: when the call began.
    """

    samples: Sequence[BatchedSample]
    pixels: Pixels
    gathered: Monotonic

    def slice(self, which: slice) -> "Part":
        """Return a part of it."""
        return self._replace(samples=self.samples[which], pixels=self.pixels[which])


class PartResult(NamedTuple):
    """What became of a part.

    Attributes:
        outcomes: of its frames.
        answered: samples that the model took.
        failed: frames that break the model.
        fitting: samples that may fit into the device's memory, if it was too small for all of them.
        began: when the thread of the model began; where it decodes as well, earlier by what was decoded before.
        ended: when the model had answered.
        seconds: stages, and what each took.
    """

    outcomes: Sequence[Outcome]
    answered: int
    failed: int
    fitting: int | None
    began: Monotonic
    ended: Monotonic
    seconds: Sequence[tuple[str, float]]


class _Decoded(NamedTuple):
    found: Sequence[Prepared]
    began: Monotonic
    ended: Monotonic


class ModelThreads:
    """The threads that decode, and those of the model.

    Args:
        decoders: decodes frames, several at once; None leaves that to the threads of the model.
        inference: runs the model, in order, as many parts at once as it has threads.
    """

    def __init__(
        self, pipeline: Pipeline, *, decoders: Executor | None, inference: Executor, monotonic: MonotonicClock
    ) -> None:
        self._pipeline = pipeline
        self._decoders = decoders
        self._inference = inference
        self._monotonic = monotonic

    def prepare(self, encoded: EncodedFrame) -> "Future[Picture]":
        """Begin to decode a frame before it is known which part it belongs to."""
        return (self._decoders or self._inference).submit(self._prepare, encoded)

    def begin(self, part: Part) -> "Future[PartResult]":
        """Begin a part."""
        if self._decoders is None:
            return self._inference.submit(self._decode_and_classify, part)
        count = len(part.samples)
        together = min(DECODED_TOGETHER, 1 + count // (2 * DECODED_TOGETHER))  # a few frames go to all decoders
        slices = [part.slice(slice(start, start + together)) for start in range(0, count, together)]
        decoding = [self._decoders.submit(self._decode, each) for each in slices]
        return self._inference.submit(self._classify_decoded, part, decoding)

    def _prepare(self, encoded: EncodedFrame) -> Picture:
        began, pixels = self._monotonic(), np.empty(self._pipeline.frame_shape, np.uint8)
        found = self._pipeline.decode(encoded, pixels)
        return Picture(pixels, found, self._monotonic() - began)

    def _decode(self, part: Part) -> _Decoded:
        """Write the input of each sample; what was decoded before counts as if it were done now."""
        began, before, found = self._monotonic(), 0.0, list[Prepared]()
        for each, slot in zip(part.samples, part.pixels, strict=True):
            prepared = self._pipeline.prepare(each, slot)
            before += prepared.before
            found.append(prepared)
        return _Decoded(found, Monotonic(began - before), self._monotonic())

    def _decode_and_classify(self, part: Part) -> PartResult:
        decoded = self._decode(part)
        return self._classify(part, [decoded], began=decoded.began)

    def _classify_decoded(self, part: Part, decoding: Sequence["Future[_Decoded]"]) -> PartResult:
        decoded = [each.result() for each in decoding]
        return self._classify(part, decoded, began=self._monotonic())

    def _classify(self, part: Part, decoded: Sequence[_Decoded], *, began: Monotonic) -> PartResult:
        prepared = list(chain.from_iterable(each.found for each in decoded))
        settled = [outcome for each in prepared for outcome in each.settled]
        samples, pixels = [each for each in prepared if each.places], part.pixels
        if len(samples) < len(prepared):
            pixels = pixels[[number for number, each in enumerate(prepared) if each.places]]
        decoding_ended = self._monotonic()
        answered = self._pipeline.classify(samples, pixels)
        ended = self._monotonic()
        seconds = {
            "decode": max(each.ended for each in decoded) - min(each.began for each in decoded),
            "classify": ended - decoding_ended,
        }
        predictions = self._pipeline.score(answered, seconds, gathered=part.gathered, took=ended - began)
        return PartResult(
            outcomes=[*settled, *answered.rejected, *predictions],
            answered=len(answered.samples),
            failed=answered.failed,
            fitting=answered.fitting,
            began=began,
            ended=ended,
            seconds=[*seconds.items(), ("score", self._monotonic() - ended)],
        )
