from structlog.testing import capture_logs

from worker.ops.watchdog import Pulse, Watchdog, stacks


class Loop:
    """A loop whose state the test sets."""

    def __init__(self) -> None:
        self.silent = 0.0

    def pulse(self) -> Pulse:
        return Pulse(self.silent, in_step=self.silent, since_poll=self.silent + 1, stage="classify")


def test_a_loop_that_completes_its_steps_has_no_fault() -> None:
    assert Watchdog(Loop().pulse, limit=60).fault() is None


def test_a_stall_names_the_stage_and_the_last_poll() -> None:
    loop = Loop()
    loop.silent = 61

    assert Watchdog(loop.pulse, limit=60).fault() == (
        "the loop has stalled for 61 s in stage 'classify'; its last poll was 62 s ago"
    )


def test_it_logs_each_stall_once_with_the_stacks_and_when_the_loop_recovers() -> None:
    loop = Loop()
    watchdog = Watchdog(loop.pulse, limit=60)
    with capture_logs() as said:
        for silent in (0, 70, 80, 0, 0, 90):
            loop.silent = silent
            watchdog.check()

    assert [line["log_level"] for line in said] == ["error", "warning", "error"]
    assert "test_it_logs_each_stall" in said[0]["event"]


def test_the_stacks_name_this_very_line() -> None:
    assert "test_the_stacks_name_this_very_line" in stacks()
