"""A float32 ONNX file in 8 bits: quantised after training, by what sample pictures give between the layers."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelUnavailable

# ONNX Runtime is told before it is imported that it reports to nobody; see onnxruntime_engine.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static

_LAYERS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_AT_ONCE: Final = 8
"""Pictures in a call: what lies between all layers is held at once."""


def write_int8(file: Path, quantised: Path, pixels: NDArray[np.uint8]) -> None:
    """Quantise weights and what lies between the layers; normalisation and ranking stay as they are.

    The file says where to go to 8 bits and back, and each engine computes in 8 bits what lies between. Weights take a
    scale a channel and 7 bits: with 8, sums of products overflow on CPUs without VNNI, and answers are nonsense.

    Args:
        file: in float32, from uint8 pictures to ranked classes.
        quantised: where to.
        pixels: pictures as the model will see them, (pictures, height, width, 3).

    Raises:
        ModelUnavailable: the network has nothing to quantise, or ONNX Runtime cannot.
    """
    with tempfile.TemporaryDirectory(dir=quantised.parent) as scratch:
        prepared = Path(scratch, "prepared.onnx")
        try:
            quant_pre_process(file, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            inside = _between_layers(graph)
            if inside:
                quantize_static(
                    prepared,
                    quantised,
                    _Pictures(graph.input[0].name, pixels),
                    nodes_to_quantize=inside,
                    per_channel=True,
                    reduce_range=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    # OpenVINO can only fold biases that are left in float32: see openvino_engine.py.
                    extra_options={"QuantizeBias": False},
                )
        except Exception as error:
            raise ModelUnavailable(
                f"ONNX Runtime cannot quantise this network ({error}); set model.precision: fp32"
            ) from error
    if not inside:
        raise ModelUnavailable("this network has no layer that int8 could speed up; set model.precision: fp32")


class _Pictures(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Hands out the pictures, some at a time."""

    def __init__(self, name: str, pixels: NDArray[np.uint8]) -> None:
        parts = range(0, len(pixels), _AT_ONCE)
        self._parts: Iterator[dict[str, NDArray[np.uint8]]] = iter(
            [{name: pixels[first : first + _AT_ONCE]} for first in parts]
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next; None when all are out."""
        return next(self._parts, None)


def _between_layers(graph: onnx.GraphProto) -> list[str]:
    """Name the nodes from the first layer with weights to the last: that leaves out normalisation and ranking.

    Args:
        graph: its nodes stand in the order in which they are run.
    """
    after, before = set[str](), set[str]()
    for node in graph.node:
        if node.op_type in _LAYERS or after.intersection(node.input):
            after.update(node.output)
    inside = list[str]()
    for node in reversed(graph.node):
        if node.op_type in _LAYERS or before.intersection(node.output):
            before.update(node.input)
            if after.intersection(node.output):
                inside.append(node.name)
    return inside
