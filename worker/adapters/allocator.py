"""The C library's memory allocator, told to keep what a model frees."""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST: Final = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let memory that was used once be used again, instead of returning it to the kernel after every layer.

    By default glibc maps each large activation anew and unmaps it again, and the kernel clears every page of it:
    half of the time of MobileNetV2 in batches of 32 on a CPU. The peak stays as it is; what is kept is the peak.

    Returns:
        Whether the C library has such a switch; without one nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not glibc: musl, macOS
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST // 2)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))
