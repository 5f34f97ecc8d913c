"""How long cameras have been silent, as far as the worker has listened."""

from tests.support.frames import a_record
from worker.domain.times import Monotonic
from worker.stream.silence import LOOK_EVERY, Silence


def test_time_passes_while_the_worker_polls() -> None:
    silence = Silence(longest_step=0.4)
    silence.polled((), Monotonic(10.0))
    assert silence.now == 0.0
    assert silence.polled((), Monotonic(10.2))
    assert silence.now == Monotonic(10.2 - 10.0)


def test_a_step_that_takes_long_counts_as_a_short_one() -> None:
    silence = Silence(longest_step=0.4)
    silence.polled((), Monotonic(10.0))
    silence.polled((), Monotonic(70.0))
    assert silence.now == 0.4


def test_it_is_looked_from_time_to_time() -> None:
    silence = Silence(longest_step=0.4)
    silence.polled((), Monotonic(0.0))
    assert not silence.polled((), Monotonic(LOOK_EVERY / 2))
    assert silence.polled((), Monotonic(LOOK_EVERY))
    silence.looked()
    assert not silence.polled((), Monotonic(1.5 * LOOK_EVERY))


def test_it_tells_whether_anything_was_read_since_the_last_look() -> None:
    silence = Silence(longest_step=0.4)
    silence.polled([a_record(0)], Monotonic(0.0))
    silence.polled((), Monotonic(1.0))
    assert silence.looked()
    assert not silence.looked()
