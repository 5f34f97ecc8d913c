"""The part of a CNN + RNN that goes from frame to frame: on the CPU, a few cameras at a time."""

import threading

import numpy as np
import torch
from numpy.typing import NDArray

from worker.domain.errors import ModelFailed
from worker.domain.networks import Recurrence
from worker.domain.results import Classification
from worker.models.cnn_rnn import CnnRnn
from worker.models.engines.torch_engine import take_one_thread_here
from worker.models.heads import ClassifyHead
from worker.ports import Stepped
from worker.tasks.recurrent import Recurrent


class RecurrentPart:
    """Implements `ports.Recurrent` with the RNN and the classifier of a network, in float32.

    The backbone is not run here, and may be on another device.

    Args:
        network: the whole network, with its weights; the RNN is on the CPU.
        task: what it is asked.
        recurrence: what the manifest says.

    Attributes:
        recurrence: as above.
        state_size: numbers that are remembered of a camera.
    """

    def __init__(self, network: CnnRnn, task: Recurrent, recurrence: Recurrence) -> None:
        self.recurrence = recurrence
        self.state_size = network.state_size
        self._network = network.eval()
        self._scores = task.scores
        self._head = ClassifyHead(task.scores)
        self._prepared = threading.local()

    def step(self, features: NDArray[np.float32], states: NDArray[np.float32]) -> Stepped:
        """Go one frame on, each row for a camera of its own.

        Args:
            features: of the frames, (cameras, features).
            states: what is remembered of the frames before, (cameras, state_size).

        Raises:
            ModelFailed: torch raised.
        """
        try:
            # Steps are too small to share, and other threads would have to wait for a core that the model uses.
            if not hasattr(self._prepared, "done"):
                take_one_thread_here()
                self._prepared.done = True
            with torch.inference_mode():
                scores, after = self._network.step(torch.from_numpy(features), torch.from_numpy(states))
            return Stepped(scores.numpy(), after.numpy())
        except Exception as error:
            raise ModelFailed(f"the RNN failed on {len(features)} frames: {error}") from error

    def classify(self, scores: NDArray[np.float32]) -> list[Classification]:
        """Name the most likely classes after each step.

        Raises:
            ModelContractBroken: the scores are not finite, or not what the manifest says.
        """
        with torch.inference_mode():
            found = self._head(torch.from_numpy(scores), scores.shape)
        outputs = dict(zip(self._head.outputs, (each.numpy() for each in found), strict=True))
        return self._scores.named(self._scores.check(outputs, len(scores)))
