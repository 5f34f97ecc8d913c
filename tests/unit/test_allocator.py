"""Whether the C library does with its heaps what the worker tells it to; in processes of their own, since it stays."""

import subprocess
import sys

import pytest

PREPARED = "from worker.models.allocator import keep_freed_memory; assert keep_freed_memory()"
HEAPS = """
import ctypes, os, tempfile
from threading import Barrier, Thread

def allocate():
    together.wait()
    libc.malloc(100_000)

usual = 8 * os.cpu_count()
libc, together = ctypes.CDLL(None), Barrier(usual)
libc.fopen.restype = libc.malloc.restype = ctypes.c_void_p
threads = [Thread(target=allocate) for _ in range(usual)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap ") - usual)
"""
KEPT = """
import ctypes, resource
from threading import Thread

def fill():
    layer = ctypes.c_void_p(libc.malloc(2**26))
    ctypes.memset(layer, 1, 2**26)
    libc.free(layer)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill_again():
    fill()
    before = faults()
    fill()
    print(faults() - before)

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
"""
IN_MAIN = "fill_again()"
BESIDE = "thread = Thread(target=fill_again); thread.start(); thread.join()"


@pytest.mark.parametrize(("prepared", "own"), [(PREPARED, True), ("", False)])
def test_every_thread_has_a_heap_of_its_own(prepared: str, *, own: bool) -> None:
    assert (int(_run(prepared + HEAPS)) == 1) == own  # one more than threads: the main thread's


@pytest.mark.parametrize(
    ("prepared", "thread", "kept"), [(PREPARED, IN_MAIN, True), (PREPARED, BESIDE, False), ("", IN_MAIN, False)]
)
def test_what_was_freed_is_used_again_without_the_kernel(prepared: str, thread: str, *, kept: bool) -> None:
    faults = int(_run(prepared + KEPT + thread))
    assert (faults < 16) == kept  # even with huge pages, a thread's 64 MiB and more are 32


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
