from structlog.testing import capture_logs

from worker.ops.watchdog import Pulse, Watchdog, stacks


class Loop:
    """What a watchdog watches."""

    def __init__(self) -> None:
        self.silent = 0.0

    def pulse(self) -> Pulse:
        return Pulse(self.silent, since_poll=self.silent + 1, stage="classify")


def test_a_loop_that_comes_round_is_no_fault() -> None:
    assert Watchdog(Loop().pulse, limit=60).fault() is None


def test_a_stall_names_the_stage_and_the_last_poll() -> None:
    loop = Loop()
    loop.silent = 61

    assert Watchdog(loop.pulse, limit=60).fault() == (
        "the loop has not come round for 61 s, in stage 'classify'; its last poll was 62 s ago"
    )


def test_it_barks_once_a_stall_with_the_stacks_and_says_when_the_loop_goes_on() -> None:
    loop = Loop()
    dog = Watchdog(loop.pulse, limit=60)
    with capture_logs() as said:
        for silent in (0, 70, 80, 0, 0, 90):
            loop.silent = silent
            dog.look()

    assert [line["log_level"] for line in said] == ["error", "warning", "error"]
    assert "test_it_barks_once" in said[0]["event"]


def test_the_stacks_name_this_very_line() -> None:
    assert "test_the_stacks_name_this_very_line" in stacks()


def test_it_runs_and_stops() -> None:
    dog = Watchdog(Loop().pulse, limit=60)
    dog.start()
    dog.stop()

    assert not dog.is_alive()
