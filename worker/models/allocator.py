"""The C library's memory allocator: keep freed memory, use one heap per thread, and when to give memory back."""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_MAX_INT: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let each thread reuse memory that it has freed, instead of returning it to the system after every layer.

    By default, glibc maps memory for each large activation and unmaps it again, and the kernel clears every page. This
    takes half of the time of MobileNetV2 in batches of 32 on a CPU. Peak memory does not change: the process keeps its
    peak.

    By default, from the ninth thread per core on, threads also share heaps. An object that such a thread keeps for
    long, such as a frame in progress, then lies between blocks that a model's layers have freed, and the layers need
    new memory when the next call has another size. A worker with MobileNetV2, in calls of 1 to 8 frames, grew by 66 MiB
    within ten minutes, and by 17 MiB with one heap for all threads. Heaps that are already shared stay shared, so call
    this before that many threads exist. (`worker/app/main_thread.py` explains which heap is best for a model.)

    Returns:
        Whether the C library has these options and accepted all of them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc: musl, macOS
        return False
    settings = ((_M_ARENA_MAX, _MAX_INT), (_M_MMAP_THRESHOLD, _MAX_INT // 2), (_M_TRIM_THRESHOLD, _MAX_INT))
    return all(mallopt(name, value) for name, value in settings)


def release_freed_memory() -> None:
    """Return the memory that all threads have freed to the system; without glibc, nothing happens."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
