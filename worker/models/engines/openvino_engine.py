"""Run the graph with OpenVINO on a CPU."""

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine
from worker.domain.errors import ModelUnavailable
from worker.domain.parts import sizes
from worker.domain.preprocessing import Precision
from worker.models.engines.child import crash_of

# Importing OpenVINO sends telemetry to Google Analytics, with an id that it keeps in the user's home, unless the user
# has opted out. A worker must not report to third parties that it runs: without this package, OpenVINO uses a stub that
# sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402 - see above

_PRECISIONS: Final = {
    "fp32": openvino.Type.f32,
    "bf16": openvino.Type.bf16,
    "fp16": openvino.Type.f16,
    "int8": openvino.Type.f32,  # the file marks what runs in 8 bits; this is for the rest
}
_FIXED_SIZE_BYTES: Final = 256 * 2**20
"""Limit for all streams together: weights of models compiled for a fixed number of pictures. One such model is always
compiled."""


_TRY: Final = f"""
import sys
from pathlib import Path
from {__name__} import load_openvino
load_openvino(Path(sys.argv[1]), streams=1, threads=1, precision="int8", usual=int(sys.argv[2]), outputs=())
"""


def check_survives(file: Path, *, usual: int) -> None:
    """Load a quantised file in a process of its own: OpenVINO 2026.4 crashes on some, that of TransNetV2 among them.

    Raises:
        ModelUnavailable: the process has crashed, as this one would.
    """
    if (signal := crash_of(_TRY, file, usual)) is not None:
        raise ModelUnavailable(
            f"OpenVINO {openvino.__version__} crashes on this network in 8 bits (signal {signal}): set "
            "model.precision: fp32, or model.engine: onnxruntime"
        )


def load_openvino(
    file: Path, *, streams: int, threads: int | None, precision: Precision, usual: int, outputs: Sequence[str]
) -> Sequence[Engine]:
    """Compile an ONNX file for this CPU.

    A model compiled for a fixed number of pictures is faster than one compiled for any number: MobileNetV3-Small takes
    two thirds of the time for one picture, three quarters for three and four fifths for eight; ResNet-50 takes a
    twenty-fifth less. Each stream has the model compiled for any number, for the usual number, and for smaller numbers
    as long as all weights together stay within the limit.

    Args:
        file: the ONNX file: in float32 (OpenVINO itself lowers the precision), or quantised.
        streams: number of parts that run in parallel; each has its own weights.
        threads: threads of each stream; None takes OpenVINO's default.
        precision: precision of convolutions and matrix products.
        usual: number of pictures in a full part.
        outputs: names of the graph's outputs, in order.

    Returns:
        An engine for each stream; each may be called by one thread at a time.

    Raises:
        ModelUnavailable: OpenVINO cannot read the file, or this CPU does not support the precision.
    """
    options: dict[str, object] = {
        # A model with one stream runs in its caller's thread. A model with several streams has its own threads, and the
        # switches to them and back leave a core idle for a tenth of the time.
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        # Pinned threads of two workers on one machine would share the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    largest, *smaller = sizes(usual)
    fixed = [largest, *reversed(smaller)][: max(1, _FIXED_SIZE_BYTES // (streams * file.stat().st_size))]
    try:
        core = openvino.Core()
        any_size = core.read_model(file)
        _fold_biases(any_size)
        models = [any_size, *(_with_fixed_size(any_size, size) for size in fixed)]
        compiled = [_compile(core, models, options) for _ in range(streams)]
        used = compiled[0][0].get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError as error:
        raise ModelUnavailable(
            f"OpenVINO {openvino.__version__} cannot run {file}: {error}; set model.engine: eager"
        ) from error
    if used != _PRECISIONS[precision]:
        raise ModelUnavailable(f"precision {precision}: OpenVINO uses {used} on this CPU; set model.precision: fp32")
    # The first use fills a table under OpenVINO's own lock. If two threads did this at the same time, they would
    # deadlock: one holds the lock, the other the GIL.
    openvino.Type.u8.to_dtype()
    requests = [[each.create_infer_request() for each in of_stream] for of_stream in compiled]
    return [_Stream(first, dict(zip(fixed, others, strict=True)), outputs) for first, *others in requests]


def _compile(
    core: openvino.Core, models: Sequence[openvino.Model], options: Mapping[str, object]
) -> Sequence[openvino.CompiledModel]:
    with ThreadPoolExecutor() as threads:
        return list(threads.map(partial(core.compile_model, device_name="CPU", config=options), models))


def _with_fixed_size(model: openvino.Model, size: int) -> openvino.Model:
    """Return a copy with a fixed number of pictures."""
    fixed = model.clone()
    fixed.reshape([size, *model.input(0).get_partial_shape()[1:]])
    return fixed


def _fold_biases(model: openvino.Model) -> None:
    """Reshape constants to their final shape now.

    If a batch may have any size, OpenVINO 2026.4 computes the shape of a convolution's bias at run time. In 8 bits,
    every picture then got the same wrong answer: its run-time graph shows that the first convolution's bias was
    missing.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape" and node.get_output_partial_shape(0).is_static:
            source = node.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                shaped = openvino.op.Constant(source.data.reshape(tuple(node.get_output_shape(0))))
                openvino.utils.replace_node(node, shaped)


class _Stream:
    def __init__(
        self, any_size: openvino.InferRequest, by_size: Mapping[int, openvino.InferRequest], outputs: Sequence[str]
    ) -> None:
        self._any_size = any_size
        self._by_size = by_size
        self._outputs = outputs

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        request = self._by_size.get(len(pixels), self._any_size)
        try:
            found = request.infer({0: pixels}, share_inputs=True)
        except RuntimeError as error:
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        return {name: found[number] for number, name in enumerate(self._outputs)}
