import threading

import pytest

from worker.adapters.kafka.deadline import call_within


def test_a_call_is_told_its_limit_and_its_answer_comes_back() -> None:
    assert call_within(3.0, lambda limit: limit * 2) == 6.0


def test_what_a_call_raises_is_raised() -> None:
    def fails(_: float) -> None:
        raise LookupError("not there")

    with pytest.raises(LookupError, match="not there"):
        call_within(3.0, fails)


def test_a_call_that_does_not_return_is_left_behind() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError, match="librdkafka has not answered"):
        call_within(0.01, lambda _: over.wait(60), grace=0.0)
    over.set()
