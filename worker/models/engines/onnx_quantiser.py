"""Quantise a float32 ONNX file to 8 bits after training, calibrated with the activations of sample pictures."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ModelUnavailable

# Telemetry must be disabled before ONNX Runtime is imported; see onnxruntime_engine.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static

_LAYERS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_CALL_SIZE: Final = 8
"""Pictures per call, or a clip: the activations of all layers are in memory at the same time."""


def write_int8(file: Path, quantised: Path, pixels: NDArray[np.uint8]) -> None:
    """Quantise weights and activations; normalisation and ranking stay in float32.

    The file marks where values are converted to 8 bits and back, and each engine computes the part between in 8 bits.
    Weights have one scale per channel and 7 bits: with 8 bits, sums of products overflow on CPUs without VNNI, and the
    answers are wrong.

    Args:
        file: the ONNX file in float32, from uint8 pictures to ranked classes.
        quantised: the file to write.
        pixels: sample pictures or clips, prepared as the model's input.

    Raises:
        ModelUnavailable: the network has nothing to quantise, or ONNX Runtime cannot quantise it.
    """
    with tempfile.TemporaryDirectory(dir=quantised.parent) as scratch:
        prepared = Path(scratch, "prepared.onnx")
        try:
            quant_pre_process(file, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            nodes = _nodes_to_quantise(graph)
            if nodes:
                quantize_static(
                    prepared,
                    quantised,
                    _CalibrationPictures(graph.input[0].name, pixels),
                    nodes_to_quantize=nodes,
                    per_channel=True,
                    reduce_range=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    # OpenVINO can fold biases only if they stay in float32: see openvino_engine.py.
                    extra_options={"QuantizeBias": False},
                )
        except Exception as error:
            raise ModelUnavailable(
                f"ONNX Runtime cannot quantise this network ({error}); set model.precision: fp32"
            ) from error
    if not nodes:
        raise ModelUnavailable("this network has no layer that int8 could speed up; set model.precision: fp32")


class _CalibrationPictures(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Returns the pictures in parts."""

    def __init__(self, name: str, pixels: NDArray[np.uint8]) -> None:
        size = _CALL_SIZE if pixels.ndim == 4 else 1
        parts = range(0, len(pixels), size)
        self._parts: Iterator[dict[str, NDArray[np.uint8]]] = iter(
            [{name: pixels[first : first + size]} for first in parts]
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next part; None after the last one."""
        return next(self._parts, None)


def _nodes_to_quantise(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes from the first layer with weights to the last, without normalisation and ranking.

    Args:
        graph: a graph whose nodes are in the order in which they run.
    """
    after, before = set[str](), set[str]()
    for node in graph.node:
        if node.op_type in _LAYERS or after.intersection(node.input):
            after.update(node.output)
    nodes = list[str]()
    for node in reversed(graph.node):
        if node.op_type in _LAYERS or before.intersection(node.output):
            before.update(node.input)
            if after.intersection(node.output):
                nodes.append(node.name)
    return nodes
