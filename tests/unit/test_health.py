"""What the pages and the status line say of a worker, from its start through an outage to its end."""

from collections.abc import Collection, Iterable

import pytest
from structlog.testing import capture_logs

from tests.support.flow import Flow
from tests.support.frames import FRAMES
from worker.adapters.kafka import Unreached
from worker.adapters.memory import Assign, Pause
from worker.app.health import Health
from worker.domain.records import Stopping, TopicPartition
from worker.domain.times import Monotonic
from worker.ops.counts import Counts
from worker.ports import Saved
from worker.settings import Ops

AWAY = Unreached("the brokers at kafka:9092", "connection refused; check that the broker is up")


class Watched:
    """A worker in memory, its health, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.health = Health(Ops(unreachable_after_s=30, stalled_after_s=60), group="eyes", clock=self.clock)

    def trouble(self, *, waiting: int = 0) -> str | None:
        """Return what keeps the worker from its work, if its loop goes round."""
        assert self.health.worker
        self.health.worker.last_step = self.clock()
        return self.slow_trouble(waiting=waiting)

    def slow_trouble(self, *, waiting: int = 0) -> str | None:
        """Return the same if its loop has not gone round since it was asked last."""
        assert self.health.worker
        return self.health.trouble(Counts(assigned=len(self.health.worker.assigned), waiting=waiting))

    def clock(self) -> Monotonic:
        return Monotonic(self.now)

    def start(self, *, assigned: bool = True) -> None:
        self.health.worker = Flow([Assign([FRAMES]), Pause()] if assigned else []).worker
        self.health.worker.join()
        if assigned:
            self.health.worker.step()
        self.now = self.health.worker.last_step + 1
        self.health.heard(None)


def test_a_worker_that_loads_its_model_is_neither_healthy_nor_ready_and_says_why() -> None:
    watched = Watched()

    assert (watched.health.unhealthy() or "").startswith("the worker is starting")
    assert (watched.health.unready() or "").startswith("the worker is starting")


def test_a_worker_with_partitions_is_ready_and_has_no_trouble() -> None:
    watched = Watched()
    watched.start()

    assert (watched.health.unhealthy(), watched.health.unready(), watched.trouble()) == (None, None, None)


def test_a_worker_without_partitions_waits_at_first_and_stands_by_later() -> None:
    watched = Watched()
    watched.start(assigned=False)
    waits = "group 'eyes' has not assigned any partitions yet; wait some seconds"
    assert (watched.health.unready(), watched.trouble()) == (waits, waits)

    watched.now += 16
    assert watched.health.unready() is None
    assert (watched.trouble() or "").startswith("standby: group 'eyes' has no partition for this worker")
    assert (watched.trouble(waiting=2) or "").startswith("none of its partitions is read, because an output")


def test_brokers_that_do_not_answer_are_told_at_once_and_make_it_unready_after_a_while() -> None:
    watched = Watched()
    watched.start()
    watched.now += 10
    watched.health.heard(AWAY)

    said = "no answer for 10 s from the brokers at kafka:9092: connection refused; check that the broker is up"
    assert (watched.trouble(), watched.health.unready(), watched.health.unreachable_for()) == (said, None, 10)
    watched.now += 21
    said = said.replace("10 s", "31 s")
    assert (watched.trouble(), watched.health.unready(), watched.health.unreachable_for()) == (said, said, 31)
    assert watched.health.unhealthy() is None, "a restart does not bring brokers back"

    watched.health.heard(None)
    assert (watched.trouble(), watched.health.unready(), watched.health.unreachable_for()) == (None, None, 0)


def test_short_outages_in_a_row_are_not_added_up() -> None:
    watched = Watched()
    watched.start()
    for unreached in [AWAY, None] * 10:
        watched.now += 5
        watched.health.heard(unreached)
        assert watched.health.unready() is None


def test_a_long_outage_and_its_end_are_logged_once() -> None:
    watched = Watched()
    watched.start()
    with capture_logs() as said:
        for unreached in (AWAY, AWAY, AWAY, AWAY, None, None, AWAY, None):
            watched.now += 20
            watched.health.heard(unreached)

    assert [(line["log_level"], line["event"].partition(" from")[0]) for line in said] == [
        ("error", "no answer for 40 s"),
        ("warning", "the brokers answer again"),
    ]
    assert said[1]["after_s"] == 100


def test_a_loop_that_has_stalled_is_the_first_that_is_said() -> None:
    watched = Watched()
    watched.start()
    watched.now += 100
    watched.health.heard(AWAY)

    assert (watched.health.unhealthy() or "").startswith("the loop has stalled for 101 s")
    assert (watched.slow_trouble() or "").startswith("the loop has stalled for 101 s")


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("restore", "it has read back what was saved of its partitions for 7 s"),
        ("publish", "the brokers have not confirmed its outputs for 7 s"),
        ("classify", "its model has worked on one call for 7 s"),
        ("commit", "it has been in stage 'commit' for 7 s"),
    ],
)
def test_a_step_that_takes_long_says_what_it_waits_for(stage: str, said: str) -> None:
    watched = Watched()
    watched.start()
    assert watched.health.worker
    watched.health.worker.stages.current = stage
    assert watched.trouble() is None
    watched.now += 7

    assert (watched.slow_trouble(), watched.health.unready(), watched.health.unhealthy()) == (said, None, None)


def test_what_reads_back_for_long_is_told_and_has_stalled_only_once_no_answer_comes() -> None:
    watched, said = Watched(), list[tuple[str | None, str | None]]()

    class ReadsForLong(Flow):
        def _restore(self, partitions: Collection[TopicPartition], stopping: Stopping) -> Iterable[Saved]:
            for seconds in (0, 40, 40, 61):
                watched.now += seconds
                if seconds < 60:
                    stopping()
                said.append((watched.health.unhealthy(), watched.slow_trouble()))
            return super()._restore(partitions, stopping)

    worker = watched.health.worker = ReadsForLong([Assign([FRAMES]), Pause()]).worker
    worker._monotonic = watched.clock
    worker.last_step = watched.clock()
    worker.join()
    worker.step()

    stalled = "the loop has stalled for 61 s in stage 'restore'; its last poll was 141 s ago"
    reads = "it has read back what was saved of its partitions for {} s"
    assert said == [(None, None), (None, reads.format(40)), (None, reads.format(80)), (stalled, stalled)]
    assert (watched.health.unhealthy(), watched.trouble()) == (None, None)
