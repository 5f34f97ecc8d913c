"""The worker's model: an engine, held together with what the manifest says of its input and its output."""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelContractBroken, ModelFailed, ModelOutOfMemory
from worker.domain.parts import cut
from worker.domain.preprocessing import Output, Preprocessing
from worker.domain.ranking import Engine, Ranked, join, judge
from worker.domain.results import ModelIdentity


class Classifier:
    """A classifier together with the preprocessing that belongs to its weights; implements `ports.Model`.

    `classify` may be called from `streams` threads at a time; others wait.

    Args:
        identity: name and version.
        labels: class names by index.
        output: what the network returns. It is said, never guessed.
        preprocessing: what becomes of a picture before it is classified.
        engine: runs the network; told to return the `top_k` most likely classes.
        streams: calls that run side by side.
        largest: pictures in a call. CPUs are fastest with calls that fit into their caches, and an engine that prepares
            itself for every size it has not seen then sees few; None where only the whole batch is fast.
        top_k: at most the number of classes.
    """

    def __init__(
        self,
        *,
        identity: ModelIdentity,
        labels: Sequence[str],
        output: Output,
        preprocessing: Preprocessing,
        engine: Engine,
        streams: int,
        largest: int | None,
        top_k: int,
    ) -> None:
        self.identity = identity
        self.labels = tuple(labels)
        self.preprocessing = preprocessing
        self.input_shape = (preprocessing.crop, preprocessing.crop, 3)
        self._output = output
        self.streams = streams
        self._largest = largest
        self._engine = engine
        self._top_k = top_k

    def parts(self, frames: int) -> Sequence[slice]:
        """Cut a batch into what is best classified by a call each, from `streams` threads."""
        return cut(frames, threads=self.streams, largest=self._largest)

    def classify(self, pixels: NDArray[np.uint8]) -> Ranked:
        """Run one batch, or a part of one, through the network in the caller's thread.

        Args:
            pixels: resized and cropped as `preprocessing` says, RGB, (batch, height, width, 3), uint8; the batch may
                be empty.

        Raises:
            ModelFailed: the network raised.
            ModelOutOfMemory: there was no memory for so many.
            ModelContractBroken: the network's output does not fit the batch, the labels, or what it is said to be.
        """
        if not len(pixels):
            return Ranked(np.empty((0, self._top_k), np.intp), np.empty((0, self._top_k), np.float32))
        try:
            return judge(self._engine(pixels), frames=len(pixels), output=self._output)
        except ModelContractBroken as error:
            raise ModelContractBroken(f"{self.identity}: {error}") from error
        except Exception as error:
            kind = ModelOutOfMemory if isinstance(error, MemoryError) else ModelFailed
            raise kind(f"{self.identity} failed on a batch of {len(pixels)}: {error}") from error

    def classify_by(self, threads: Executor, pixels: NDArray[np.uint8]) -> Ranked:
        """Run a batch part by part, side by side as far as there are threads; as `classify` otherwise."""
        return join(list(threads.map(lambda part: self.classify(pixels[part]), self.parts(len(pixels)))))

    def warm_up(self, batch_size: int) -> None:
        """Run black pictures, so that the first real ones neither wait for lazy set-up nor are the first to fail."""
        part = self.parts(batch_size)[0]
        full = part.stop - part.start
        # An engine may take full parts another way than all others.
        for frames in dict.fromkeys((full, max(1, full - 1))):
            for _ in range(self.streams):  # they take turns
                self.classify(np.zeros((frames, *self.input_shape), np.uint8))
