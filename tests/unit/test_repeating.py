from threading import Event, Thread, current_thread

from structlog.testing import capture_logs

from worker.ops.repeating import Repeating


def test_it_calls_from_a_thread_of_its_own_until_the_block_ends() -> None:
    called, threads = Event(), set[Thread]()

    def act() -> None:
        threads.add(current_thread())
        called.set()

    with Repeating("watchdog", act, every=0.001):
        assert called.wait(10)

    (thread,) = threads
    assert thread.name == "watchdog"
    assert not thread.is_alive()


def test_what_fails_is_logged_and_done_again() -> None:
    again = Event()
    calls = list[int]()

    def act() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no answer")
        again.set()

    with capture_logs() as said, Repeating("brokers", act, every=0.001):
        assert again.wait(10)

    assert [(line["event"], line["task"]) for line in said] == [("a repeated task failed", "brokers")]


def test_zero_means_never() -> None:
    called = Event()
    with Repeating("status", called.set, every=0):
        pass

    assert not called.is_set()
