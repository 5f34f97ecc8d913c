"""A hard limit on calls into librdkafka, whose own limits do not always hold."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def call_within(seconds: float, call: Callable[[float], T], *, grace: float = 10.0) -> T:
    """Tell a call its limit in seconds, and return what it returns.

    The call runs in a thread of its own. One that never returns, as `send_offsets_to_transaction` may after the group's
    coordinator was away (librdkafka #5456), is left behind there: nothing can end it, and it ends with the process.

    Raises:
        TimeoutError: it did not return, not even `grace` seconds after its limit.
    """
    answers = SimpleQueue[tuple[T | None, BaseException | None]]()

    def run() -> None:
        try:
            answers.put((call(seconds), None))
        except BaseException as error:  # noqa: BLE001 it is raised where it is waited for
            answers.put((None, error))

    Thread(target=run, name="librdkafka call", daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds + grace)
    except Empty:
        raise TimeoutError(f"librdkafka has not answered for {seconds + grace:.0f} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
