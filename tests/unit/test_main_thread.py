import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Barrier, current_thread

import pytest

from worker.app.main_thread import SWITCH_AFTER, MainThread
from worker.app.thread_names import THIS_THREAD


def test_what_a_loop_submits_runs_in_the_thread_that_serves_it() -> None:
    inference = MainThread(1)

    def loop() -> tuple[threading.Thread, threading.Thread]:
        return current_thread(), inference.submit(current_thread).result(60)

    loop_thread, serving = inference.serve(loop)
    assert serving is current_thread()
    assert loop_thread is not serving


@pytest.mark.skipif(not THIS_THREAD.exists(), reason="only Linux has such names")
def test_the_operating_system_knows_the_threads_by_their_names() -> None:
    executor = MainThread(2)
    together = Barrier(2)  # so that each of the two threads runs one of the calls

    def name() -> str:
        together.wait()
        return THIS_THREAD.read_text().strip()

    def loop() -> tuple[str, set[str]]:
        calls = [executor.submit(name) for _ in range(2)]
        return THIS_THREAD.read_text().strip(), {call.result() for call in calls}

    own = THIS_THREAD.read_text().strip()
    assert executor.serve(loop) == ("loop", {own, "inference"})


def test_no_thread_of_the_model_waits_long_for_the_loop_to_let_it_run_python() -> None:
    before = sys.getswitchinterval()

    assert MainThread(1).serve(sys.getswitchinterval) == SWITCH_AFTER < before
    assert sys.getswitchinterval() == before


def test_calls_run_in_order() -> None:
    inference, seen = MainThread(1), list[int]()

    def loop() -> None:
        for each in [inference.submit(seen.append, number) for number in range(9)]:
            each.result(60)

    inference.serve(loop)
    assert seen == list(range(9))


def test_as_many_run_at_once_as_there_are_threads() -> None:
    inference, together = MainThread(3), Barrier(3)

    def loop() -> list[int]:
        return [each.result() for each in [inference.submit(together.wait, 60) for _ in range(3)]]

    assert sorted(inference.serve(loop)) == [0, 1, 2]


def test_what_a_call_raises_is_for_whoever_waits_for_it() -> None:
    inference = MainThread(1)

    def loop() -> str:
        with pytest.raises(LookupError, match="not there"):
            inference.submit(_fail, LookupError("not there")).result(60)
        return inference.submit(str.upper, "it goes on").result(60)

    assert inference.serve(loop) == "IT GOES ON"


def test_what_ends_the_loop_is_raised_and_what_it_left_is_cancelled() -> None:
    inference, left, given_up = MainThread(1), list[Future[int]](), threading.Event()

    def loop() -> None:
        inference.submit(given_up.wait, 60)
        left.append(inference.submit(abs, 1))
        left[0].add_done_callback(lambda _: given_up.set())
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        inference.serve(loop)
    assert left[0].cancelled()


def test_an_interruption_of_the_serving_thread_ends_the_loop_too(signal_raises: type[BaseException]) -> None:
    inference = MainThread(1)

    def loop() -> None:
        inference.submit(abs, 1).result(60)  # earlier, the signal might come while the executor starts its thread
        signal.raise_signal(signal.SIGUSR1)
        while True:
            inference.submit(abs, 1).result(60)

    with pytest.raises(signal_raises):
        inference.serve(loop)


@pytest.fixture
def signal_raises() -> Iterator[type[BaseException]]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)  # pytest's helpers ignore SIGINT
    yield KeyboardInterrupt
    signal.signal(signal.SIGUSR1, before)


def test_nothing_is_taken_once_nobody_serves() -> None:
    inference = MainThread(1)
    inference.serve(lambda: None)
    with pytest.raises(RuntimeError, match="have ended"):
        inference.submit(print)


def test_a_call_runs_once_in_each_thread_and_the_threads_stay() -> None:
    inference, seen, together = MainThread(3), list[threading.Thread](), Barrier(3)

    def serving() -> threading.Thread:
        together.wait(60)
        return current_thread()

    def loop() -> set[threading.Thread]:
        return {each.result(60) for each in [inference.submit(serving) for _ in range(3)]}

    inference.in_each(lambda: seen.append(current_thread()))
    assert current_thread() in seen
    assert len(seen) == len(set(seen)) == 3
    assert inference.serve(loop) == set(seen)


@pytest.mark.parametrize("in_main", [True, False])
def test_what_a_call_in_each_thread_raises_is_raised(*, in_main: bool) -> None:
    inference, main = MainThread(2), current_thread()

    def call() -> None:
        if (current_thread() is main) == in_main:
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        inference.in_each(call)
    assert inference.serve(lambda: "the threads live on") == "the threads live on"


def _fail(error: BaseException) -> None:
    raise error
