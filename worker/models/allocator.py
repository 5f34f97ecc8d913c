"""The C library's memory allocator, told to keep what a model frees, and a heap for every thread."""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let memory that a thread used once be used again by it, instead of returning it after every layer.

    By default glibc maps each large activation anew and unmaps it again, and the kernel clears every page of it:
    half of the time of MobileNetV2 in batches of 32 on a CPU. The peak stays as it is; what is kept is the peak.

    By default, too, the ninth thread a core begins to share another one's heap. What it keeps for long, such as a frame
    on its way, then comes to lie between what a model's layers have left, and these need new room when the next call is
    of another size: within ten minutes a worker with MobileNetV2, in calls of 1 to 8 frames, was seen to grow by
    66 MiB, and by 17 with one heap for all. Heaps that are shared already stay so: call this before there are as many
    threads. (`worker/app/main_thread.py` says which heap is best for a model.)

    Returns:
        Whether the C library has these switches and took every one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc: musl, macOS
        return False
    settings = ((_M_ARENA_MAX, _LARGEST), (_M_MMAP_THRESHOLD, _LARGEST // 2), (_M_TRIM_THRESHOLD, _LARGEST))
    return all(mallopt(name, value) for name, value in settings)
