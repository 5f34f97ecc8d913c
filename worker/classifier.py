"""The worker's model: preprocessing and an engine, held together by what the manifest says of them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelContractBroken, ModelFailed, ModelOutOfMemory
from worker.domain.frames import Image
from worker.domain.preprocessing import Output
from worker.domain.ranking import Engine, Ranked, judge
from worker.domain.results import ModelIdentity


class Classifier:
    """A classifier together with the preprocessing that belongs to its weights; implements `ports.Model`.

    `prepare` may be called from several threads at once, `classify` from one at a time.

    Args:
        identity: name and version.
        labels: class names by index.
        output: what the network returns. It is said, never guessed.
        input_shape: (height, width, 3) of a prepared picture.
        prepare: resizes and crops a picture into an array of `input_shape`.
        engine: runs the network; told to return the `top_k` most likely classes.
        top_k: at most the number of classes.
    """

    def __init__(
        self,
        *,
        identity: ModelIdentity,
        labels: Sequence[str],
        output: Output,
        input_shape: tuple[int, int, int],
        prepare: Callable[[Image, NDArray[np.uint8]], None],
        engine: Engine,
        top_k: int,
    ) -> None:
        self.identity = identity
        self.labels = tuple(labels)
        self.input_shape = input_shape
        self._output = output
        self._prepare = prepare
        self._engine = engine
        self._top_k = top_k

    def prepare(self, image: Image, out: NDArray[np.uint8]) -> None:
        """Resize and crop one picture as the weights want it.

        Args:
            image: the whole picture.
            out: where to, `input_shape`, uint8: a slot of a batch.

        Raises:
            ImageUnsupported: so long and thin that resizing its shorter side would take any amount of memory.
        """
        self._prepare(image, out)

    def classify(self, pixels: NDArray[np.uint8]) -> Ranked:
        """Run one batch through the network.

        Args:
            pixels: what `prepare` wrote, (batch, height, width, 3), uint8; the batch may be empty.

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

    def warm_up(self, batch_size: int) -> None:
        """Run one black batch, so that the first real one neither waits for lazy set-up nor is the first to fail."""
        self.classify(np.zeros((batch_size, *self.input_shape), np.uint8))
