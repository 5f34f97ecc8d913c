"""Runs that other programs disturbed do not count, as long as there is time to repeat them."""

import sys
from dataclasses import dataclass, field

import pytest

from tests.support.another_program import another_program
from worker.tuning.disturbance import PATIENCE, PATIENCE_AT_FIRST, Look, Undisturbed, is_disturbed, looks
from worker.tuning.pairs import Run


@dataclass
class Machine:
    """Two cores, of which other programs take one at some times."""

    busy: list[tuple[float, float]]
    now: float = 0.0
    runs: list[float] = field(default_factory=list)

    def look(self) -> Look:
        taken = sum(max(0.0, min(end, self.now) - begin) for begin, end in self.busy)
        return Look(self.now, 2 * self.now - taken, 2 * self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self) -> Run:
        self.runs.append(self.now)
        self.now += 1.0
        return Run(float(len(self.runs)), 1.0)

    def get_ready(self) -> None:
        self.now += 5.0


def runs_of(machine: Machine, seconds: float = 3.0) -> Undisturbed:
    return Undisturbed(machine.look, seconds=seconds, sleep=machine.sleep)


def test_a_run_that_nobody_disturbed_counts_at_once() -> None:
    machine = Machine(busy=[(0.0, 4.9), (6.1, 100.0)])
    runs = runs_of(machine)

    assert runs.run(machine.run, ready=machine.get_ready).per_second == 1.0
    assert (runs.repeated, runs.endured, runs.wasted) == (0, 0, 0.0)


def test_a_disturbed_run_is_repeated_once_the_others_have_stopped() -> None:
    machine = Machine(busy=[(5.8, 12.0)])
    runs = runs_of(machine)

    assert runs.run(machine.run, ready=machine.get_ready).per_second == 2.0
    assert machine.runs == [5.0, 17.25], "after the first quarter of a second without others, it is made ready again"
    assert (runs.repeated, runs.endured, runs.wasted) == (1, 0, 7.25)


@pytest.mark.parametrize("seconds", [0.03, 3.0])
def test_on_a_machine_that_is_never_idle_all_runs_count_in_the_end(seconds: float) -> None:
    machine = Machine(busy=[(0.0, 1e9)])
    runs = runs_of(machine, seconds)
    for _ in range(50):
        runs.run(machine.run, ready=lambda: None)

    assert runs.endured == 50
    assert runs.wasted <= PATIENCE_AT_FIRST * seconds + PATIENCE * 50 + 1
    assert machine.now <= 50 + runs.wasted


@pytest.mark.parametrize(
    ("left", "usable", "disturbed"),
    [
        (20.0, 20.0, False),
        (19.5, 20.0, False),
        (18.5, 20.0, True),
        (60.0, 20.0, False),  # a limit leaves this process two of many cores, and others do not take those
        (18.5, 15.0, False),
        (10.0, 15.0, True),
    ],
)
def test_others_may_take_what_is_not_usable_and_a_little_more(left: float, usable: float, *, disturbed: bool) -> None:
    assert is_disturbed(Look(100, 1000, 700), Look(110, 1000 + left, 700 + usable)) is disturbed


def test_a_step_of_the_counters_disturbs_no_short_run() -> None:
    assert not is_disturbed(Look(0, 0, 0), Look(0.1, 0.18, 0.2))
    assert is_disturbed(Look(0, 0, 0), Look(0.1, 0.1, 0.2))


def test_what_other_programs_use_is_not_left_and_what_own_ones_use_is() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    with another_program("/bin/sh", "-c", '"$@"; sleep 1000', "sh", sys.executable, "-c", burn) as program:
        own, other = looks([program.pid, program.pid]), looks()
        while (used := sum(program.cpu_times()[:4])) < 0.3:
            pass

        assert own().left - other().left == pytest.approx(used, abs=0.1)
