"""The sizes of the networks that are built from parts, as a manifest states them."""

from dataclasses import dataclass
from typing import Final, Literal

CNN_RNN: Final = "cnn_rnn"
"""The manifest's `architecture` for the network of `worker/models/cnn_rnn.py`."""

TRANSFORMING: Final = frozenset({"googlenet", "inception_v3"})
"""Networks of torchvision that normalise pixels once more if they are built so (`transform_input`). Their weights do
not say whether they were trained so."""
HALF: Final = (0.5, 0.5, 0.5)
"""The mean and the std to which `transform_input` brings pixels."""

Cell = Literal["gru", "lstm"]


@dataclass(frozen=True, slots=True)
class CnnRnnShape:
    """The parts of a CNN + RNN.

    Attributes:
        backbone: torchvision's name of a classifier of pictures, which looks at each frame.
        rnn: what looks at the sequence of frames.
        hidden: numbers that each layer of the RNN remembers.
        layers: of the RNN.
        layer: the backbone's layer whose output the RNN sees, under the name that
            `torchvision.models.feature_extraction.get_graph_node_names` gives it; None takes what the backbone's
            classifier would see.
        grid: what `layer` puts out is averaged to this many rows and columns. With 1, it is lost where in the picture
            something was; motion needs more.
    """

    backbone: str
    rnn: Cell = "gru"
    hidden: int = 128
    layers: int = 1
    layer: str | None = None
    grid: int = 1


@dataclass(frozen=True, slots=True)
class Recurrence:
    """How a model of the task `recurrent` goes from frame to frame of a camera.

    Attributes:
        rate: frames a second that the weights were trained with; None takes every frame.
        silence_ms: milliseconds of capture time without a frame after which the hidden state begins anew.
    """

    rate: float | None
    silence_ms: int
