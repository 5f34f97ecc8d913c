"""Runs the command line.

Little is imported here: until `main` runs, Ctrl-C would show the traceback of an import.
"""

import io
import os
import signal
import sys

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C has ended, as shells tell it: 128 and the number of SIGINT."""


def main() -> None:
    """Run a command, and exit with its status; Ctrl-C ends each of them, without a traceback."""
    _on_interrupt(_leave)  # there is nothing to tidy up while modules are imported
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every terminal can show every name

    from worker.cli.errors import run_and_explain  # noqa: PLC0415 it takes most of a second

    _on_interrupt(_interrupt)
    sys.unraisablehook = _unraisable
    status = INTERRUPTED
    try:
        status = run_and_explain()
    except BaseException:
        # An import of a C library, for one, turns an interrupt into another error.
        if not _interrupted():
            raise
    if status and _interrupted():
        _leave()
    _on_interrupt(_leave)
    sys.exit(status)


def _on_interrupt(handler: "signal._HANDLER") -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # nohup and background jobs of a shell ignore it
        signal.signal(signal.SIGINT, handler)


def _interrupted() -> bool:
    return signal.getsignal(signal.SIGINT) is _leave


def _interrupt(*_: object) -> None:
    """Let the command tidy up; a second Ctrl-C does not wait for that."""
    _on_interrupt(_leave)
    raise KeyboardInterrupt


def _unraisable(failure: "sys.UnraisableHookArgs") -> None:
    """End where an interrupt cannot be raised, as in a callback: otherwise Python prints it and goes on."""
    if isinstance(failure.exc_value, KeyboardInterrupt):
        _leave()
    sys.__unraisablehook__(failure)


def _leave(*_: object) -> None:
    """End without waiting for other threads: one may be in the middle of a download."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError, RuntimeError):
            continue  # it is closed, nobody reads it, or it is being written to
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
