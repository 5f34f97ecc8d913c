"""Whether the C library does with its heaps what the worker tells it to; in processes of their own, since it stays."""

import subprocess
import sys

import pytest

PREPARED = "from worker.adapters.allocator import keep_freed_memory; assert keep_freed_memory()"
HEAPS = """
import ctypes, tempfile
from threading import Barrier, Thread

def allocate():
    together.wait()
    libc.malloc(100_000)

libc, together = ctypes.CDLL(None), Barrier(4)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
threads = [Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap "))
"""
KEPT = """
import ctypes, resource

def fill():
    layer = ctypes.c_void_p(libc.malloc(2**26))
    ctypes.memset(layer, 1, 2**26)
    libc.free(layer)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
fill()
before = faults()
fill()
print(faults() - before)
"""


@pytest.mark.parametrize(("prepared", "alone"), [(PREPARED, True), ("", False)])
def test_threads_share_one_heap(prepared: str, *, alone: bool) -> None:
    assert (int(_run(prepared + HEAPS)) == 1) == alone


@pytest.mark.parametrize(("prepared", "kept"), [(PREPARED, True), ("", False)])
def test_what_was_freed_is_used_again_without_the_kernel(prepared: str, *, kept: bool) -> None:
    assert (int(_run(prepared + KEPT)) < 16) == kept  # page faults; even with huge pages there would be 32


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
