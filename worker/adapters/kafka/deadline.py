"""A hard time limit for calls into librdkafka, whose own limits are not always kept."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def call_within(seconds: float, call: Callable[[float], T], *, grace: float = 10.0) -> T:
    """Pass a time limit in seconds to a call, and return its result.

    The call runs in a thread of its own. `send_offsets_to_transaction` may never return after the group's coordinator
    was unavailable (librdkafka #5456). Nothing can stop such a call, so its thread stays until the process ends.

    Raises:
        TimeoutError: the call did not return within `grace` seconds after its limit.
    """
    answers = SimpleQueue[tuple[T | None, BaseException | None]]()

    def run() -> None:
        try:
            answers.put((call(seconds), None))
        except BaseException as error:  # noqa: BLE001 it is raised in the caller's thread
            answers.put((None, error))

    Thread(target=run, name="librdkafka call", daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds + grace)
    except Empty:
        raise TimeoutError(f"librdkafka has not answered for {seconds + grace:.0f} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
