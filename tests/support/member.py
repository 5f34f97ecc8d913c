"""A worker of a cluster in memory that gets one poll at a time, and checks what it publishes."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.support.cluster import POISON, STATE, Cluster, position_of
from tests.support.colours import ColourModel
from tests.support.flow import TOPICS, Flow
from tests.support.recurrent import NAMES, Rules, Said, SequenceModel
from tests.support.samplers import Trail
from worker import wire
from worker.adapters.memory import Event, Lose, MemorySink, Pause, Revoke
from worker.app.compose import Sampling
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.state.hidden import HiddenStates

FAULTS: Final = ("publication", "transaction", "commit", "call", "answer")
"""Operations that can be made to fail once."""
EVERY: Final = range(5_000)
"""Numbers of all publications and commits; no worker here makes more."""

MakeFlow = Callable[..., Flow]


class Member:
    """A worker that gets one poll at a time.

    Attributes:
        positions: the next offset to read of each partition that it believes it owns.
        inference: the executor of its model.
        expired: the group has reassigned its partitions, but the worker does not know yet: a zombie.
    """

    def __init__(self, cluster: Cluster, make_flow: MakeFlow, kind: type[HiddenStates] = HiddenStates) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.expired = False
        self._cluster = cluster
        self._start: dict[TopicPartition, Checkpoint] = {}
        self._published = set[Position]()
        self._trails: dict[Position, tuple[int, ...]] = {}
        self._event: Event = Pause()
        self._failing_commits, self._refusals, self._failing_calls = set[int](), set[int](), set[int]()
        self._sink = MemorySink(
            self._write, refusals=self._refusals, commit=cluster.committed.update if cluster.exactly_once else None
        )
        make_model = SequenceModel if cluster.rules else ColourModel
        self._model = make_model(breaks_on=POISON, hiccups=self._failing_calls)
        flow = make_flow(
            self._events(),
            sink=self._sink,
            model=self._model,
            failing_commits=self._failing_commits,
            published_before=cluster.saved,
            **_recurrent(cluster.rules, kind),
            **({"sampling": Sampling(lambda _: Trail(self._trails))} if cluster.trail else {}),
        )
        self.inference = flow.inference
        self._source, self._worker = flow.source, flow.worker
        self._source.committed = cluster.committed
        self._worker.join()

    def assign(self, partition: TopicPartition) -> None:
        self._start[partition] = self._cluster.committed.get(partition, Checkpoint(0))
        self._published = {each for each in self._published if each.partition != partition}
        self.positions[partition] = self._start[partition].next_offset

    def fetch(self, partition: TopicPartition, most: int) -> list[Record]:
        records = self._cluster.unread(partition, self.positions[partition])[:most]
        if records:
            self.positions[partition] = records[-1].position.next_offset
        return records

    def step(self, event: Event) -> None:
        self._event = event
        assert self._worker.step()

    def drain(self) -> None:
        """End the worker cleanly; check that everything read is published, unless a publication is refused."""
        commits = self._source._commits
        self._worker.drain()
        read = {each for each in self._cluster.positions() if each.offset < self.positions.get(each.partition, 0)}
        left = {each for each in read if not self._has_published(each)} - self._published_by_others()
        assert self._worker._publisher._refusals or not left, f"not published: {left}"
        self._check_committed(self.positions, since=commits)

    def revoke(self, partition: TopicPartition) -> None:
        commits = self._source._commits
        del self.positions[partition]
        self.step(Revoke([partition]))
        self._check_committed([partition], since=commits)

    def expire(self) -> None:
        """Let the group refuse its commits and transactions from now on; plain records are not refused."""
        self.expired = True
        self._failing_commits.update(EVERY)
        if self._sink.exactly_once:
            self._refusals.update(EVERY)

    def lose(self) -> None:
        """Tell the worker that its partitions are lost; check that it publishes and commits nothing."""
        lost, before = list(self.positions), self._cluster.copy()
        self.positions.clear()
        self.step(Lose(lost))
        assert self._cluster == before, "it continued with partitions that it has lost"
        self.expired = False
        self._failing_commits.clear()
        self._refusals.clear()

    def fail_next(self, what: str, through: int) -> None:
        """Let one operation fail once; with at least once, a failed publication still writes `through` records."""
        match what:
            case "publication":
                self._sink._failures = {self._sink._count: through}
            case "transaction" if self._sink.exactly_once:
                self._refusals.add(self._sink._count)
            case "commit":
                self._failing_commits.add(self._source._commits)
            case "call":
                self._failing_calls.add(len(self._model.calls))
            case "answer":
                self._model._fail_on_call = len(self._model.calls)

    def _check_committed(self, partitions: Collection[TopicPartition], *, since: int) -> None:
        """Check that all published frames are committed at the hand-over, unless a commit was made to fail."""
        if self._failing_commits.isdisjoint(range(since, self._source._commits)):
            left = {each for each in self._published if not self._cluster.is_committed(each)}
            assert not {each for each in left if each.partition in partitions}

    def _has_published(self, position: Position) -> bool:
        """Tell whether it has, or found it published when the partition was assigned."""
        start = self._start[position.partition]
        return position in self._published or position.offset < start.next_offset or position.offset in start.published

    def _published_by_others(self) -> set[Position]:
        """Return the frames that it need not publish: a saved state says that an earlier owner has."""
        return set(self._cluster.outcomes()) if self._cluster.rules and not self._cluster.exactly_once else set()

    def _check_sequence(self, record: OutboundRecord) -> None:
        """Check that a prediction is that of a worker which read all frames without a stop."""
        message = wire.decode_message(record.value or b"")
        assert isinstance(message, wire.RecurrentMessage)
        partition = TopicPartition(message.frame.topic, message.frame.partition)
        expected = self._cluster.sequences(partition)[message.frame.offset]
        shares = {each.name: each.probability for each in message.classes}
        found = Said(message.steps, tuple(shares[name] for name in NAMES))
        assert found.steps == expected.steps, f"{message.frame}: {found} instead of {expected}"
        assert found.shares == pytest.approx(expected.shares, abs=1e-6), f"{message.frame}"

    def _events(self) -> Iterator[Event]:
        while True:
            yield self._event

    def _write(self, record: OutboundRecord) -> None:
        """Publish a record; check that the owner publishes each frame once, and each camera's frames in order."""
        if position := position_of(record):
            assert not self._has_published(position), f"{position} once more"
            frames = self._cluster.log[position.partition]
            camera = frames[position.offset].camera
            others = self._published_by_others()
            for each in self._cluster.positions():
                if each.partition == position.partition and frames[each.offset].camera == camera:
                    was_before = each in others or self._has_published(each)
                    assert each.offset >= position.offset or was_before, f"{position} before {each}"
            if self._cluster.rules and record.topic == TOPICS.predictions:
                self._check_sequence(record)
            if self._cluster.trail and record.topic == TOPICS.predictions:
                assert self._trails[position] == self._cluster.context(position)
            self._published.add(position)
        self._cluster.published.append(record)


def _recurrent(rules: Rules | None, kind: type[HiddenStates]) -> dict[str, Any]:
    """Return what only a worker with a recurrent model has."""
    if rules is None:
        return {}
    topics = replace(TOPICS, state=STATE)
    return {"make_hidden": rules.make_hidden(kind=kind), "sampling": rules.sampling(), "topics": topics}
