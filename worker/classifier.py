"""The worker's model: an engine, held together with what the manifest says of its input and its output."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelContractBroken, ModelFailed, ModelOutOfMemory
from worker.domain.preprocessing import Output, Preprocessing
from worker.domain.ranking import Engine, Ranked, judge
from worker.domain.results import ModelIdentity


class Classifier:
    """A classifier together with the preprocessing that belongs to its weights; implements `ports.Model`.

    `classify` may be called from one thread at a time.

    Args:
        identity: name and version.
        labels: class names by index.
        output: what the network returns. It is said, never guessed.
        preprocessing: what becomes of a picture before it is classified.
        engine: runs the network; told to return the `top_k` most likely classes.
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
        top_k: int,
    ) -> None:
        self.identity = identity
        self.labels = tuple(labels)
        self.preprocessing = preprocessing
        self.input_shape = (preprocessing.crop, preprocessing.crop, 3)
        self._output = output
        self._engine = engine
        self._top_k = top_k

    def classify(self, pixels: NDArray[np.uint8]) -> Ranked:
        """Run one batch through the network.

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

    def warm_up(self, batch_size: int) -> None:
        """Run one black batch, so that the first real one neither waits for lazy set-up nor is the first to fail."""
        self.classify(np.zeros((batch_size, *self.input_shape), np.uint8))
