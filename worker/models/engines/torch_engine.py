"""Run the graph with torch itself, on a CPU or a GPU: uncompiled, or compiled ahead of time."""

import platform
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch._inductor import aoti_compile_and_package
from torch._inductor.package.package import load_package
from torch._inductor.utils import fresh_cache
from torch.export import ExportedProgram

from worker.domain.arrays import Arrays
from worker.domain.errors import ModelUnavailable
from worker.domain.preprocessing import Precision
from worker.models.engines.child import crash_of

_CPU_SUPPORT: Final = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith"),
}


class TorchEngine:
    """Implements `domain.arrays.Engine`.

    Args:
        run: takes uint8, (batch, height, width, channels), or clips of such pictures, on the device, and returns
            tensors.
        device: the device that it runs on.
        outputs: names of the tensors, in order.
    """

    def __init__(
        self, run: Callable[[torch.Tensor], Sequence[torch.Tensor]], device: torch.device, outputs: Sequence[str]
    ) -> None:
        self._run = run
        self._device = device
        self._outputs = outputs

    def __call__(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run one batch in one call."""
        pictures = torch.from_numpy(pixels)
        try:
            with torch.inference_mode():
                if self._device.type == "cuda":
                    # From pinned memory the copy can be asynchronous; torch keeps that memory until it is done.
                    pictures = pictures.pin_memory().to(self._device, non_blocking=True)
                # Copying the result waits for the device, so errors on the device are raised here.
                found = (each.cpu().numpy() for each in self._run(pictures))
                return dict(zip(self._outputs, found, strict=True))
        except Exception as error:
            if _is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise


_TRY: Final = f"""
import sys
from pathlib import Path
import torch
from {__name__} import load_compiled
load_compiled(Path(sys.argv[1]), torch.device(sys.argv[2]), streams=1, outputs=())
"""


def write_compiled(program: ExportedProgram, file: Path, device: torch.device) -> None:
    """Compile a traced graph for this machine, which takes about a minute; on a CPU it needs a C++ compiler.

    For a GPU the file is loaded once in a process of its own: torch 2.11 crashed there.

    Raises:
        ModelUnavailable: torch cannot compile it, or crashes when it loads what it has compiled.
    """
    try:
        with fresh_cache(dir=str(file.parent)):  # its leftovers are not needed
            aoti_compile_and_package(program, package_path=str(file))
    except Exception as error:
        raise ModelUnavailable(
            f"torch {torch.__version__} cannot compile this network ({error}); on a CPU it needs g++: install it, or "
            "set model.engine: eager"
        ) from error
    if device.type == "cuda" and (signal := crash_of(_TRY, file, device)) is not None:
        raise ModelUnavailable(
            f"torch {torch.__version__} crashes when it loads this network, compiled for {device} (signal {signal}): "
            "set model.engine: eager"
        )


def load_compiled(file: Path, device: torch.device, *, streams: int, outputs: Sequence[str]) -> TorchEngine:
    """Load a file that `write_compiled` wrote.

    Args:
        file: a .pt2 package, which contains native code.
        device: the device that it was compiled for.
        streams: number of calls that may run in parallel.
        outputs: names of its outputs, in order.
    """
    index = int(str(device).partition(":")[2] or -1)  # -1 is the current device
    return TorchEngine(load_package(str(file), num_runners=streams, device_index=index), device, outputs)


def find_device(name: str, precision: Precision) -> torch.device:
    """Return the device, if it exists and computes in that precision at a useful speed.

    Raises:
        ModelUnavailable: there is no such device, or it would be too slow in that precision.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelUnavailable(f"device {name!r} is not known: use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelUnavailable(f"device {name!r} is not supported: use cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelUnavailable(
            f"device {name!r}: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here; use cpu, "
            "or check that nvidia-smi lists the GPU and that torch is a CUDA build"
        )
    needs = _CPU_SUPPORT.get(precision, ())
    if device.type == "cpu" and needs and not any(torch.cpu.get_capabilities().get(each) for each in needs):
        raise ModelUnavailable(
            f"precision {precision}: this CPU has none of {', '.join(needs)} and would be slower than with fp32; "
            "set model.precision: fp32"
        )
    return device


def limit_torch_threads(threads: int) -> None:
    """Set how many threads torch uses for one operation, in the whole process."""
    torch.set_num_threads(threads)


def take_one_thread_here() -> None:
    """Let torch use one thread for an operation, but only where this is called from: other threads stay as they are.

    torch keeps the number for each thread. A thread that begins gets the number that was set last, wherever that was.
    """
    usual = torch.get_num_threads()
    if usual == 1:
        return
    torch.set_num_threads(1)
    later = threading.Thread(target=torch.set_num_threads, args=(usual,))
    later.start()
    later.join()


def describe_machine(device: torch.device) -> str:
    """Return a text with all that compiled code depends on: torch, its threads and the processor."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else dict(torch.cpu.get_capabilities())
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}, {processor}"


def describe_processor(device: str) -> tuple[str, tuple[str, ...]]:
    """Return the name of the CPU (and of the GPU if that is the device), and the CPU's features.

    Raises:
        ModelUnavailable: there is no such device.
    """
    capabilities = torch.cpu.get_capabilities()
    name = str(capabilities.get("cpu_name") or platform.machine())
    gpu = find_device(device, "fp32")
    names = [name, torch.cuda.get_device_name(gpu)] if gpu.type == "cuda" else [name]
    return " and ".join(names), tuple(sorted(feature for feature, present in capabilities.items() if present is True))


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA raises its own error class; on the CPU and in compiled code, only the error's text tells."""
    words = ("DefaultCPUAllocator", "CUDA out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in str(error) for each in words)
