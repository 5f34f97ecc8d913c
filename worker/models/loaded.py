"""A model that is loaded: an engine, together with what the manifest says of its input and its answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine, join
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelContractBroken, ModelFailed, ModelOutOfMemory
from worker.domain.parts import cut, cut_to_sizes, sizes
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import ModelIdentity
from worker.models.allocator import release_freed_memory
from worker.ports import Recurrent, Task


class LoadedModel:
    """A model together with its task and the preprocessing that belongs to its weights; implements `ports.Model`.

    `run` may be called from `streams` threads at a time; others wait.

    Args:
        identity: name and version.
        task: what it is asked.
        preprocessing: what becomes of a picture before the model sees it.
        clip: what it takes together; None for a model of single pictures.
        engine: runs the graph whose head belongs to the task.
        recurrent: its part that goes from frame to frame, of the task `recurrent`; None for all others.
        streams: calls that run at once.
        largest: samples in a call of the engine. CPUs are fastest with calls that fit into their caches. With it, the
            engine sees only a few sizes (`worker.domain.parts.sizes`); None where only the whole batch is fast.
    """

    def __init__(
        self,
        *,
        identity: ModelIdentity,
        task: Task,
        preprocessing: Preprocessing,
        clip: ClipShape | None = None,
        engine: Engine,
        recurrent: Recurrent | None = None,
        streams: int,
        largest: int | None,
    ) -> None:
        self.identity = identity
        self.task = task
        self.preprocessing = preprocessing
        self.clip = clip
        self.recurrent = recurrent
        self.frame_shape = preprocessing.picture_shape
        self.input_shape: tuple[int, ...] = (clip.frames, *self.frame_shape) if clip else self.frame_shape
        self.streams = streams
        self._largest = largest
        self.engine = engine

    def parts(self, samples: int) -> Sequence[slice]:
        """Cut a batch into the parts that run best as a call each, from `streams` threads."""
        return cut(samples, threads=self.streams, largest=self._largest)

    def run(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch, or a part of one, through the model in the caller's thread.

        Args:
            pixels: prepared as `preprocessing` says, (batch, *input_shape), uint8, batch at least 1.
                Clips may have fewer frames, where the network is no program and its engine is torch, uncompiled.

        Raises:
            ModelFailed: the network raised.
            ModelOutOfMemory: there was no memory for this batch.
            ModelContractBroken: the network's output does not fit the batch, the labels, or what it is said to be.
        """
        largest = self._largest or len(pixels)
        try:
            calls = [pixels[call] for call in cut_to_sizes(len(pixels), largest=largest)]
            return join([self.task.check(self.engine(call), len(call)) for call in calls])
        except ModelContractBroken as error:
            raise ModelContractBroken(f"{self.identity}: {error}") from error
        except Exception as error:
            kind = ModelOutOfMemory if isinstance(error, MemoryError) else ModelFailed
            raise kind(f"{self.identity} failed on a batch of {len(pixels)}: {error}") from error

    def run_by(self, threads: Executor, pixels: NDArray[np.uint8]) -> Arrays:
        """Run a batch part by part, at once as far as there are threads; as `run` otherwise."""
        return join(list(threads.map(lambda part: self.run(pixels[part]), self.parts(len(pixels)))))

    def warm_up(self, batch_size: int) -> None:
        """Run black pictures, so that the first real ones neither wait for lazy set-up nor are the first to fail."""
        for count in self._sizes(batch_size)[:2]:  # an engine may take full parts another way than all others
            for _ in range(self.streams):  # they take turns
                self._run_black(count)

    def fill_memory(self, batch_size: int, in_each_thread: Callable[[Callable[[], object]], object]) -> None:
        """Run black pictures in calls of every size, so that later calls find all memory that they need.

        An engine keeps something for every size that it has seen. Where that lies between two layers, the layers of the
        next call need new memory. So the first round is for what is kept, and the second one for the layers. Memory
        that only the first round needed goes back to the system. The largest calls come first: others fit into theirs.

        Args:
            batch_size: the most samples in a batch.
            in_each_thread: runs a call once in each of the `streams` threads of the model: each has its own heap.
        """
        for _ in range(2):
            release_freed_memory()
            for count in self._sizes(batch_size):
                in_each_thread(partial(self._run_black, count))

    def _sizes(self, batch_size: int) -> Sequence[int]:
        """Return the sizes that occur in batches, the largest first; where batches stay whole, only the largest two."""
        if self._largest is None:
            return [batch_size, *([batch_size - 1] if batch_size > 1 else [])]
        part = self.parts(batch_size)[0]
        return [each for each in sizes(self._largest) if each <= part.stop - part.start]

    def _run_black(self, count: int) -> None:
        self.run(np.zeros((count, *self.input_shape), np.uint8))
