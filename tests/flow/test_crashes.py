"""Whatever fails and whenever: after enough restarts every frame has its outcome, and accuracy counts it once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.colours import COLOURS, ColourModel, picture
from tests.support.flow import Flow, as_read
from tests.support.frames import a_record
from worker import wire
from worker.adapters.memory import Assign, Event, Lose, MemorySink, Pause, Revoke
from worker.domain.accuracy import Tally, TallyKey
from worker.domain.errors import WorkerError
from worker.domain.records import OutboundRecord, Record, TopicPartition

PARTITIONS = (TopicPartition("frames", 0), TopicPartition("frames", 1))
DAMAGED = b"damaged"


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame to be sent; without a colour its picture is damaged."""

    partition: int
    colour: str | None
    label: str | None
    camera: str
    at: int


@dataclass(frozen=True, slots=True)
class Life:
    """One worker between start and end: how much it reads at a time, and what befalls it."""

    chunk: int = 3
    failing_publication: tuple[int, int] | None = None
    failing_call: int | None = None
    rebalance: tuple[int, type[Revoke | Lose]] | None = None
    failing_commits: frozenset[int] = frozenset()
    refusals: frozenset[int] = frozenset()


@dataclass(slots=True)
class Cluster:
    """What survives a crash: the log of frames, what was published, what was committed."""

    exactly_once: bool
    log: dict[TopicPartition, list[Record]]
    published: list[OutboundRecord] = field(default_factory=list)
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    def unread(self, partition: TopicPartition) -> list[Record]:
        return self.log[partition][self.committed.get(partition, 0) :]

    def compacted(self) -> dict[TallyKey, Tally]:
        """Return the last tally of each key, as the compacted topic keeps it."""
        read = (wire.parse_accuracy(as_read(r)) for r in self.published if r.topic == "accuracy")
        return {tally.key: tally for tally in read if tally}

    def outcomes(self) -> Counter[tuple[int, int]]:
        """Count, for each frame, how often an outcome of it was published."""
        found = Counter[tuple[int, int]]()
        for record in self.published:
            if record.topic == "predictions":
                frame = wire.decode_prediction(record.value or b"").frame
                found[frame.partition, frame.offset] += 1
            elif record.topic == "dead-letters":
                report = wire.parse_dead_letter(as_read(record))
                found[report.partition, report.offset] += 1
        return found


shots = st.builds(
    Shot,
    partition=st.integers(0, 1),
    colour=st.sampled_from([*COLOURS, None]),
    label=st.sampled_from([*COLOURS, None]),
    camera=st.sampled_from(["cam-1", "cam-2"]),
    at=st.integers(0, 4_000),
)
lives = st.builds(
    Life,
    chunk=st.integers(1, 6),
    failing_publication=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 8)),
    failing_call=st.none() | st.integers(0, 4),
    rebalance=st.none() | st.tuples(st.integers(0, 6), st.sampled_from([Revoke, Lose])),
    failing_commits=st.frozensets(st.integers(0, 8)),
    refusals=st.frozensets(st.integers(0, 8)),
)


def record_log(sent: list[Shot]) -> dict[TopicPartition, list[Record]]:
    log: dict[TopicPartition, list[Record]] = {partition: [] for partition in PARTITIONS}
    for shot in sent:
        lane = log[PARTITIONS[shot.partition]]
        lane.append(
            a_record(
                len(lane),
                partition=shot.partition,
                value=picture(shot.colour) if shot.colour else DAMAGED,
                key=shot.camera.encode(),
                headers=(("label", shot.label.encode()),) if shot.label else (),
                timestamp=shot.at,
            )
        )
    return log


def expected_counts(sent: list[Shot]) -> Counter[tuple[int, str, str]]:
    counts = Counter[tuple[int, str, str]]()
    for shot in sent:
        if shot.colour:
            counts[shot.partition, shot.camera, "seen"] += 1
            counts[shot.partition, shot.camera, "labelled"] += shot.label is not None
            counts[shot.partition, shot.camera, "correct"] += shot.label == shot.colour
    return +counts


def published_counts(cluster: Cluster) -> Counter[tuple[int, str, str]]:
    counts = Counter[tuple[int, str, str]]()
    for key, tally in cluster.compacted().items():
        for name, count in (("seen", tally.seen), ("labelled", tally.labelled), ("correct", tally.correct_top1)):
            counts[key.partition.partition, key.camera, name] = count
    return +counts


def script(cluster: Cluster, life: Life) -> Iterator[Event]:
    """Read both partitions in turn; perhaps lose the first in between, get it back, and read it again."""
    yield Assign(PARTITIONS)
    unread = {partition: cluster.unread(partition) for partition in PARTITIONS}
    step = 0
    while any(unread.values()):
        if life.rebalance is not None and step == life.rebalance[0]:
            yield life.rebalance[1]([PARTITIONS[0]])
            yield Assign([PARTITIONS[0]])
            unread[PARTITIONS[0]] = cluster.unread(PARTITIONS[0])
        partition = PARTITIONS[step % 2]
        yield unread[partition][: life.chunk] or Pause()
        unread[partition] = unread[partition][life.chunk :]
        step += 1


def live(cluster: Cluster, life: Life) -> None:
    """Run one worker until it has read everything or something fails."""
    failures = dict([life.failing_publication]) if life.failing_publication else None
    flow = Flow(
        script(cluster, life),
        sink=MemorySink(
            cluster.published.append,
            failures=failures,
            refusals=life.refusals if cluster.exactly_once else (),
            commit=cluster.committed.update if cluster.exactly_once else None,
        ),
        commit_interval=0.005,
        model=ColourModel(fail_on_call=life.failing_call),
        failing_commits=life.failing_commits,
        published_before=lambda: cluster.compacted().values(),
        max_frames=4,
    )
    flow.source.committed = cluster.committed
    try:
        flow.run()
    except WorkerError:
        return


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at_least_once", "exactly_once"])
@settings(max_examples=100)
@given(sent=st.lists(shots, max_size=25), crashes=st.lists(lives, max_size=4))
def test_nothing_is_lost_and_nothing_counts_twice(exactly_once: bool, sent: list[Shot], crashes: list[Life]) -> None:  # noqa: FBT001
    cluster = Cluster(exactly_once, record_log(sent))

    for life in [*crashes, Life()]:
        live(cluster, life)

    outcomes = cluster.outcomes()
    assert set(outcomes) == {(p.partition, r.position.offset) for p in PARTITIONS for r in cluster.log[p]}
    assert published_counts(cluster) == expected_counts(sent)
    assert cluster.committed == {p: len(cluster.log[p]) for p in PARTITIONS if cluster.log[p]}
    if exactly_once or not crashes:
        assert all(count == 1 for count in outcomes.values())
