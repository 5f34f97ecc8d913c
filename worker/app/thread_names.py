"""Names of threads for the operating system, as `top -H` shows them: Python 3.11 keeps those it has to itself."""

from contextlib import suppress
from pathlib import Path
from typing import Final

THIS_THREAD: Final = Path("/proc/thread-self/comm")


def name_this_thread(name: str) -> None:
    """Name the calling thread, in at most 15 characters; without effect where the system is not Linux."""
    with suppress(OSError):
        THIS_THREAD.write_text(name)
