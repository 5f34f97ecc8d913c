"""Wait for brokers for as long as it may take, and no longer than the worker is to run."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from worker.domain.errors import Stopped
from worker.domain.records import Stopping

SLICE: Final = 1.5
"""Seconds of one attempt, and so how long a stop is noticed later at most."""
_PAUSE: Final = 0.1

_PASSING: Final = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""Errors that end by waiting; an open transaction of a dead worker is one of them."""
T = TypeVar("T")


def is_passing(error: KafkaError) -> bool:
    """Tell whether an error may end by waiting."""
    return error.code() in _PASSING


def never() -> bool:
    """Tell that nobody asks to stop."""
    return False


def persist(ask: Callable[[float], T], *, within: float, stopping: Stopping) -> T:
    """Repeat a request until it is answered.

    Args:
        ask: makes the request, with a time limit in seconds.
        within: seconds for all attempts.
        stopping: whether to give up.

    Raises:
        KafkaException: the brokers refuse it, or it was not answered in time.
        Stopped: the worker was told to stop meanwhile.
    """
    deadline = time.monotonic() + within
    while True:
        raise_if(stopping)
        try:
            return ask(max(_PAUSE, min(SLICE, deadline - time.monotonic())))
        except KafkaException as error:
            if not is_passing(error.args[0]) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def raise_if(stopping: Stopping) -> None:
    """Raise Stopped if the worker was told to stop."""
    if stopping():
        raise Stopped("the worker was told to stop while it waited for brokers")


def result_of(answer: "Future[T]", within: float) -> T:
    """Return what a request to an admin client brought; its own time limit is not always kept.

    Raises:
        KafkaException: it was refused, or not answered within so many seconds.
    """
    try:
        return answer.result(within)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
