"""Run the graph with ONNX Runtime, on a CPU or a GPU."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.domain.arrays import Arrays, Engine
from worker.domain.errors import ModelUnavailable

# Since 1.29 ONNX Runtime sends telemetry to Microsoft, with an id that it keeps in the user's cache, unless this
# variable is set before the import. A worker must not report to third parties that it runs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime


def load_onnxruntime(
    file: Path, *, device: str, streams: int, threads: int | None, outputs: Sequence[str]
) -> Sequence[Engine]:
    """Open sessions on an ONNX file.

    Args:
        file: the ONNX file, in the precision in which it will run.
        device: `cpu`, `cuda` or `cuda:N`.
        streams: number of parts that run in parallel; each has its own session with its own weights.
        threads: threads of each session; None takes ONNX Runtime's default.
        outputs: names of the graph's outputs, in order.

    Returns:
        An engine for each stream.

    Raises:
        ModelUnavailable: ONNX Runtime cannot read the file, or has no such device.
    """
    provider, options = _provider(device)
    session_options = onnxruntime.SessionOptions()
    # Spinning threads would take CPU time from the threads that decode the next frames.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        session_options.intra_op_num_threads = threads
    try:
        sessions = [
            onnxruntime.InferenceSession(file, session_options, providers=[provider], provider_options=[options])
            for _ in range(streams)
        ]
    except Exception as error:
        raise ModelUnavailable(
            f"ONNX Runtime {onnxruntime.__version__} cannot run {file}: {error}; set model.engine: eager"
        ) from error
    used = sessions[0].get_providers()
    if used[0] != provider:  # it falls back silently if CUDA's libraries are missing
        raise ModelUnavailable(f"device {device!r}: ONNX Runtime could not start {provider}, only {', '.join(used)}")
    return [_Stream(session, outputs) for session in sessions]


def _provider(device: str) -> tuple[str, dict[str, str]]:
    if device == "cpu":
        return "CPUExecutionProvider", {}
    has = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in has:
        raise ModelUnavailable(
            f"device {device!r}: this ONNX Runtime has {', '.join(has)}; use cpu, or install onnxruntime-gpu instead"
        )
    return "CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}


class _Stream:
    def __init__(self, session: onnxruntime.InferenceSession, outputs: Sequence[str]) -> None:
        self._session = session
        self._outputs = outputs
        (self._input,) = (each.name for each in session.get_inputs())

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        try:
            found = self._session.run(None, {self._input: pixels})
            return dict(zip(self._outputs, found, strict=True))
        except Exception as error:
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
