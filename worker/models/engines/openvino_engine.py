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
from worker.domain.preprocessing import Precision

# Importing OpenVINO reports to Google Analytics, under an id that it keeps in the user's home, unless that user has
# refused. A worker tells nobody that it runs: without this package, OpenVINO takes a stand-in that sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402 - see above

_PRECISIONS: Final = {
    "fp32": openvino.Type.f32,
    "bf16": openvino.Type.bf16,
    "fp16": openvino.Type.f16,
    "int8": openvino.Type.f32,  # the file says what is in 8 bits; this is for the rest
}
_FITTED_BYTES: Final = 256 * 2**20
"""Of weights, in all streams together, for numbers of pictures that they are compiled for; for one they are anyway."""


def load_openvino(
    file: Path, *, streams: int, threads: int | None, precision: Precision, usual: int, outputs: Sequence[str]
) -> Sequence[Engine]:
    """Compile an ONNX file for this CPU.

    Compiled for just so many pictures, MobileNetV3-Small takes two thirds of the time for one, three quarters for three
    and four fifths for eight of what it takes compiled for any number; ResNet-50 a twenty-fifth less. Each stream has
    the model for any number, for the usual one, and for small ones, as far as weights are light and streams few.

    Args:
        file: in float32, OpenVINO lowers the precision by itself; or quantised.
        streams: parts that run at once; each has weights of its own.
        threads: of each of them; None leaves it to OpenVINO.
        precision: of convolutions and matrix products.
        usual: pictures in a full part.
        outputs: names of what the graph puts out, in order.

    Returns:
        An engine for each stream; each may be called by one thread at a time.

    Raises:
        ModelUnavailable: OpenVINO does not understand the file, or this CPU does not have the precision.
    """
    options: dict[str, object] = {
        # A model of one stream runs in its caller's thread. One of several has threads of its own, and handing over to
        # them and back leaves a core idle for a tenth of the time.
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        # Pinned threads of two workers on one machine would sit on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    numbers = [usual, *range(1, usual)][: max(1, _FITTED_BYTES // (streams * file.stat().st_size))]
    try:
        core = openvino.Core()
        any_number = core.read_model(file)
        _fold_biases(any_number)
        models = [any_number, *(_fitted(any_number, number) for number in numbers)]
        compiled = [_compile(core, models, options) for _ in range(streams)]
        used = compiled[0][0].get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError as error:
        raise ModelUnavailable(f"OpenVINO {openvino.__version__} cannot run {file}: {error}") from error
    if used != _PRECISIONS[precision]:
        raise ModelUnavailable(f"precision {precision}: OpenVINO takes {used} on this CPU; set model.precision: fp32")
    # Its first use fills a table behind a lock of its own: two threads that come to it at once wait for each other for
    # ever, one with the lock and one with the GIL.
    openvino.Type.u8.to_dtype()
    requests = [[each.create_infer_request() for each in of_stream] for of_stream in compiled]
    return [_Stream(for_any, dict(zip(numbers, fitted, strict=True)), outputs) for for_any, *fitted in requests]


def _compile(
    core: openvino.Core, models: Sequence[openvino.Model], options: Mapping[str, object]
) -> Sequence[openvino.CompiledModel]:
    with ThreadPoolExecutor() as threads:
        return list(threads.map(partial(core.compile_model, device_name="CPU", config=options), models))


def _fitted(model: openvino.Model, number: int) -> openvino.Model:
    """Return a copy for just so many pictures."""
    fitted = model.clone()
    fitted.reshape([number, *model.input(0).get_partial_shape()[1:]])
    return fitted


def _fold_biases(model: openvino.Model) -> None:
    """Give constants their final shape now.

    Where a batch may have any size, OpenVINO 2026.4 works the shape of a convolution's bias out at run time. In 8 bits
    every picture then got the same wrong answer: as its graph at run time shows, without the first convolution's bias.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape" and node.get_output_partial_shape(0).is_static:
            source = node.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                shaped = openvino.op.Constant(source.data.reshape(tuple(node.get_output_shape(0))))
                openvino.utils.replace_node(node, shaped)


class _Stream:
    def __init__(
        self, for_any: openvino.InferRequest, fitted: Mapping[int, openvino.InferRequest], outputs: Sequence[str]
    ) -> None:
        self._for_any = for_any
        self._fitted = fitted
        self._outputs = outputs

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        request = self._fitted.get(len(pixels), self._for_any)
        try:
            found = request.infer({0: pixels}, share_inputs=True)
        except RuntimeError as error:
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        return {name: found[number] for number, name in enumerate(self._outputs)}
