import pytest

from worker.domain.errors import TooManyRejected
from worker.stream.breaker import FEWEST, RECENT, FailureBreaker
from worker.stream.call_size import PATIENCE, CallSize


def test_a_few_failures_among_many_frames_are_bad_frames() -> None:
    breaker = FailureBreaker(0.5)
    for _ in range(50):
        breaker.note(failed=1, answered=1)


def test_more_than_the_share_is_a_broken_model() -> None:
    breaker = FailureBreaker(0.5)
    breaker.note(failed=0, answered=RECENT)
    breaker.note(failed=RECENT // 2, answered=0)
    with pytest.raises(TooManyRejected, match="51 of the last 100 frames"):
        breaker.note(failed=1, answered=0)


def test_nothing_is_judged_by_a_handful_of_frames() -> None:
    breaker = FailureBreaker(0.0)
    breaker.note(failed=FEWEST - 1, answered=0)
    with pytest.raises(TooManyRejected):
        breaker.note(failed=0, answered=1)


def test_what_lies_long_back_is_forgotten() -> None:
    breaker = FailureBreaker(0.1)
    breaker.note(failed=1, answered=9)
    breaker.note(failed=0, answered=RECENT)
    breaker.note(failed=10, answered=0)


def test_a_call_that_did_not_fit_makes_the_next_ones_smaller_and_patience_makes_them_larger() -> None:
    size = CallSize(32)
    size.ran_out(8)
    assert size.now == 8
    for _ in range(PATIENCE):
        size.went_well()
    assert size.now == 9
    size.ran_out(0)
    assert size.now == 1


def test_a_call_never_grows_beyond_its_setting() -> None:
    size = CallSize(3)
    for _ in range(10 * PATIENCE):
        size.went_well()
    assert size.now == 3
    size.ran_out(2)
    for _ in range(10 * PATIENCE):
        size.went_well()
    assert size.now == 3
