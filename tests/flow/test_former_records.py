"""What was saved of records that are no longer there: a worker begins anew, and the next one goes on from that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import structlog

from tests.support.colours import picture
from tests.support.flow import TOPICS, Flow, as_read
from tests.support.frames import FRAMES, a_record
from tests.support.recurrent import Rules, SequenceModel
from worker import wire
from worker.adapters.memory import Assign, End, Event, MemorySink, Pause
from worker.domain.checkpoints import Checkpoint
from worker.domain.errors import Stopped
from worker.domain.extents import Extent
from worker.domain.records import OutboundRecord, Record, TopicPartition
from worker.ports import Saved

ONCE, AGAIN = "id of the topic", "id of the topic that came after it"
CAMERAS = ("gate", "hall")


def shots(first: int, end: int) -> list[Record]:
    return [
        a_record(offset, value=picture("red"), key=CAMERAS[offset % 2].encode(), timestamp=40 * offset)
        for offset in range(first, end)
    ]


@dataclass(slots=True)
class Cluster:
    """What outlives workers: compacted topics that nobody has compacted yet, and what is committed."""

    exactly_once: bool
    written: list[OutboundRecord] = field(default_factory=list)
    committed: dict[TopicPartition, Checkpoint] = field(default_factory=dict)

    def run(self, script: Iterable[Event], found: Extent | None) -> Flow:
        """Let a worker run until the script ends."""
        rules, before = Rules(), len(self.written)
        flow = Flow(
            script,
            sink=MemorySink(commit=self.committed.update if self.exactly_once else None),
            model=SequenceModel(),
            make_hidden=rules.make_hidden(),
            sampling=rules.sampling(),
            topics=replace(TOPICS, state="state"),
            published_before=lambda: self.saved(before),
            extents=None if found is None else {FRAMES: found},
        )
        flow.source.committed = self.committed
        flow.run()
        self.written += flow.sink.published
        return flow

    def saved(self, upto: int | None = None) -> list[Saved]:
        def of(topic: str) -> list[Record]:
            return [as_read(record) for record in self.written[:upto] if record.topic == topic]

        return [*wire.newest_tallies(of(TOPICS.accuracy)), *wire.newest_states(of("state"))]


def steps(flow: Flow) -> list[tuple[int, int]]:
    """Return offset and steps of each prediction."""
    said = [each for each in flow.messages() if isinstance(each, wire.RecurrentMessage)]
    return [(each.frame.offset, each.steps) for each in said]


def counted(saved: Sequence[Saved]) -> dict[tuple[str, str | None], int]:
    """Return how many frames are included, by camera and topic."""
    return {(each.key.camera, each.topic_id): each.next_offset for each in saved}


@pytest.fixture(params=[False, True], ids=["at_least_once", "exactly_once"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return Cluster(exactly_once=request.param)


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("frames", [4, 30])
def test_a_topic_that_is_created_again_begins_anew(cluster: Cluster, frames: int, *, is_committed: bool) -> None:
    """Brokers delete a topic's committed offsets with it, unless a worker commits once more."""
    cluster.run(shots(0, 20), Extent(ONCE, 0, 20, 0))
    if not is_committed:
        cluster.committed.clear()
    first = cluster.run(shots(0, frames), Extent(AGAIN, 0, frames, 0))

    assert steps(first) == [(offset, offset // 2 + 1) for offset in range(frames)]
    assert {each.seen for each in first.tallies()[-2:]} == {frames // 2}
    assert cluster.committed == {FRAMES: Checkpoint(frames, topic_id=AGAIN)}

    second = cluster.run(shots(frames, frames + 2), Extent(AGAIN, 0, frames + 2, 0))
    assert steps(second) == [(offset, offset // 2 + 1) for offset in range(frames, frames + 2)]
    assert [each.seen for each in second.tallies()] == [frames // 2 + 1] * 2


def test_a_camera_that_does_not_come_back_is_deleted(cluster: Cluster) -> None:
    cluster.run(shots(0, 20), Extent(ONCE, 0, 20, 0))
    cluster.run([shots(0, 3)[0], shots(0, 3)[2]], Extent(AGAIN, 0, 3, 0))

    assert counted(cluster.saved()) == {("gate", AGAIN): 3}


def test_a_log_that_lost_its_end_begins_anew_and_stays_right(cluster: Cluster) -> None:
    """The topic is the same, so only the end tells: what is written next includes less than what was written before."""
    cluster.run(shots(0, 20), Extent(ONCE, 0, 20, 0))
    flow = cluster.run(shots(0, 12), Extent(ONCE, 0, 12, 0))
    assert steps(flow) == [(offset, offset // 2 + 1) for offset in range(12)]

    flow = cluster.run(shots(12, 30), Extent(ONCE, 0, 30, 0))
    assert steps(flow) == [(offset, offset // 2 + 1) for offset in range(12, 30)]
    assert flow.tallies()[0].seen <= 6 + 4, "a batch of eight frames follows the twelve of two cameras"
    assert {each.seen for each in flow.tallies()[-2:]} == {15}


def test_what_older_workers_saved_goes_on_and_does_not_come_back(cluster: Cluster) -> None:
    cluster.run(shots(0, 20), None)
    assert counted(cluster.saved()) == {("gate", None): 19, ("hall", None): 20}
    cluster.run(shots(20, 22), Extent(ONCE, 0, 22, 0))
    cluster.run(shots(0, 4), Extent(AGAIN, 0, 4, 0))
    flow = cluster.run(shots(4, 40), Extent(AGAIN, 0, 40, 0))

    assert steps(flow) == [(offset, offset // 2 + 1) for offset in range(4, 40)]
    assert {each.seen for each in flow.tallies()[-2:]} == {20}


def test_after_a_reset_a_recurrent_model_skips_what_its_states_include(cluster: Cluster) -> None:
    cluster.run(shots(0, 20), Extent(ONCE, 0, 20, 0))
    cluster.committed[FRAMES] = Checkpoint(16)
    with structlog.testing.capture_logs() as log:
        flow = cluster.run(shots(16, 22), Extent(ONCE, 0, 22, 0))

    assert steps(flow) == [(20, 11), (21, 11)]
    assert flow.metric("skipped_frames_total", camera="gate", reason="published-before") == 2
    (line,) = [each for each in log if each["event"].startswith("frames are read again")]
    assert (line["from_offset"], line["to_offset"]) == (16, 19)


def test_records_that_are_gone_are_counted_and_the_new_beginning_is_committed(cluster: Cluster) -> None:
    cluster.run(shots(0, 20), Extent(ONCE, 0, 20, 0))
    flow = cluster.run([Assign([FRAMES]), Pause()], Extent(ONCE, 35, 40, 0))

    assert flow.metric("missed_records_total") == 15
    assert cluster.committed == {FRAMES: Checkpoint(35, topic_id=ONCE)}


def test_an_end_that_was_reached_is_committed_though_no_frame_lies_before_it(cluster: Cluster) -> None:
    cluster.run([*shots(0, 2), End(FRAMES, 7), Pause()], Extent(ONCE, 0, 7, 0))
    assert cluster.committed == {FRAMES: Checkpoint(7, topic_id=ONCE)}

    cluster.run([Assign([FRAMES]), End(FRAMES, 9), Pause()], Extent(ONCE, 0, 9, 0))
    assert cluster.committed == {FRAMES: Checkpoint(9, topic_id=ONCE)}


def test_a_worker_that_is_told_to_stop_while_it_restores_takes_and_commits_nothing() -> None:
    def stopped() -> Iterable[Saved]:
        flow.worker.stop()
        raise Stopped("told to")

    flow = Flow(shots(0, 2), published_before=stopped, extents={FRAMES: Extent(ONCE, 5, 9, 5)})
    flow.run()

    assert (flow.sink.published, flow.committed()) == ([], {})
