"""A cluster in memory: the state that survives its workers, the expected results, and a worker driven step by step."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from tests.support.colours import COLOURS, ColourModel, picture
from tests.support.flow import TOPICS, Flow, as_read
from tests.support.frames import a_record
from tests.support.recurrent import NAMES, Rules, Said, Seen, SequenceModel, sequences_by_hand
from tests.support.samplers import Trail, context_by_hand, is_skipped
from worker import wire
from worker.adapters.memory import Event, Lose, MemorySink, Pause, Revoke
from worker.app.compose import Sampling
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.tallies import Tally, TallyKey
from worker.ports import Saved
from worker.state.hidden import HiddenStates

PARTITIONS: Final = (TopicPartition("frames", 0), TopicPartition("frames", 1))
POISON: Final = "black"
"""The colour that a model may break on. `shots` does not produce it, so models that break on it still work."""

STATE: Final = "state"

FAULTS: Final = ("publication", "transaction", "commit", "call", "answer")
"""Operations that can be made to fail once."""
EVERY: Final = range(5_000)
"""Numbers of all publications and commits; no worker here makes more."""

_PICTURES: dict[str | None, bytes] = {None: b"damaged", **{colour: picture(colour) for colour in COLOURS}}

MakeFlow = Callable[..., Flow]
Count = tuple[int, int, int]
"""Numbers of frames predicted, labelled, right."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame to send; without a colour, its picture is damaged.

    Attributes:
        gap: number of offsets skipped before it, as by a producer's transactions.
    """

    partition: int
    colour: str | None
    label: str | None
    camera: str
    at: int
    bad_header: bool = False
    gap: int = 0

    @property
    def predicted(self) -> bool:
        """Whether it becomes a prediction; otherwise it becomes a dead letter."""
        return self.colour not in {None, POISON} and not self.bad_header

    def at_offset(self, offset: int) -> Record:
        headers = [("label", self.label.encode())] if self.label else []
        if self.bad_header:
            headers.append(("captured-at", b"soon"))
        return a_record(
            offset,
            partition=self.partition,
            value=_PICTURES[self.colour],
            key=self.camera.encode(),
            headers=tuple(headers),
            timestamp=self.at,
        )


shots = st.builds(
    Shot,
    partition=st.integers(0, 1),
    colour=st.sampled_from([*(colour for colour in COLOURS if colour != POISON), None]),
    label=st.sampled_from([*COLOURS, "purple", None]),
    camera=st.sampled_from(["cam-1", "cam-2"]),
    at=st.integers(0, 4_000),
    bad_header=st.sampled_from([False, False, False, True]),
    gap=st.sampled_from([0, 0, 0, 1]),
)


@dataclass(slots=True)
class Cluster:
    """A topic of frames in two partitions, the topics of results, and a consumer group's offsets.

    Attributes:
        trail: the workers' sampler is `Trail`; else it gives every frame.
        rules: the model is recurrent, and keeps to them.
    """

    exactly_once: bool
    trail: bool = False
    log: dict[TopicPartition, dict[int, Shot]] = field(default_factory=lambda: {p: {} for p in PARTITIONS})
    published: list[OutboundRecord] = field(default_factory=list)
    committed: dict[TopicPartition, Checkpoint] = field(default_factory=dict)
    rules: Rules | None = None
    _said: dict[TopicPartition, tuple[int, Mapping[int, Said]]] = field(default_factory=dict, compare=False)

    def copy(self) -> "Cluster":
        """Return an independent copy with the same frames."""
        return replace(self, published=list(self.published), committed=dict(self.committed))

    def send(self, sent: Iterable[Shot]) -> None:
        for shot in sent:
            partition = PARTITIONS[shot.partition]
            self.log[partition][self.end(partition) + shot.gap] = shot

    def next_offset(self, partition: TopicPartition) -> int:
        """Return what is committed, as a number."""
        return self.committed[partition].next_offset if partition in self.committed else 0

    def all_is_committed(self) -> bool:
        """Tell whether nothing is left for any worker to publish."""
        if self.trail:
            return all(self.is_committed(each) for each in self.positions())
        return self.committed == {p: Checkpoint(self.end(p)) for p in PARTITIONS if self.log[p]}

    def is_committed(self, position: Position) -> bool:
        """Tell whether a frame's result counts as published after a restart: below the offset, or in the mark."""
        checkpoint = self.committed.get(position.partition, Checkpoint(0))
        return position.offset < checkpoint.next_offset or position.offset in checkpoint.published

    def end(self, partition: TopicPartition) -> int:
        return max(self.log[partition], default=-1) + 1

    def unread(self, partition: TopicPartition, since: int | None = None) -> list[Record]:
        """Return the frames from an offset on; by default, from the committed offset."""
        start = self.next_offset(partition) if since is None else since
        return [shot.at_offset(offset) for offset, shot in self.log[partition].items() if offset >= start]

    def outcomes(self) -> Counter[Position]:
        """Count the published outcomes of each frame."""
        return Counter(position for record in self.published if (position := position_of(record)))

    def positions(self) -> set[Position]:
        """Return the frames of which an outcome must be published: those that are not left out."""
        return {
            Position(p, offset)
            for p in PARTITIONS
            for offset, shot in self.log[p].items()
            if not self._skips(p, offset, shot)
        }

    def perhaps_rejected(self) -> set[Position]:
        """Return damaged frames that a sampler leaves out, unless it has forgotten in a restart what it took before."""
        return {
            Position(p, offset)
            for p in PARTITIONS
            for offset, said in self.sequences(p).items()
            if said.skipped == "over-rate" and not self.log[p][offset].predicted
        }

    def context(self, position: Position) -> tuple[int, ...]:
        """Return the context that the sample of a frame must have had."""
        shots_here = self.log[position.partition]
        taken = (
            (o, shot.camera)
            for o, shot in shots_here.items()
            if not shot.bad_header and not self._skips(position.partition, o, shot)
        )
        return context_by_hand(taken, position.offset, shots_here[position.offset].camera)

    def sequences(self, partition: TopicPartition) -> Mapping[int, Said]:
        """Return what becomes of the frames of a partition whose headers can be read, with a recurrent model."""
        if self.rules is None:
            return {}
        frames = self.log[partition]
        known, said = self._said.get(partition, (0, {}))
        if known != len(frames):
            seen = [
                Seen(offset, shot.camera, shot.at, shot.colour if shot.predicted else None)
                for offset, shot in frames.items()
                if not shot.bad_header
            ]
            said = sequences_by_hand(seen, self.rules)
            self._said[partition] = len(frames), said
        return said

    def _skips(self, partition: TopicPartition, offset: int, shot: Shot) -> bool:
        if shot.bad_header:
            return False
        if self.rules is not None:
            return self.sequences(partition)[offset].skipped is not None
        return self.trail and is_skipped(shot.at)

    def _best(self, partition: TopicPartition, offset: int, shot: Shot) -> str | None:
        return shot.colour if self.rules is None else self.sequences(partition)[offset].best

    def unfinished(self) -> set[Position]:
        """Return the frames of which no outcome is published, though one must be."""
        return self.positions() - self.outcomes().keys()

    def finished(self) -> dict[TopicPartition, int]:
        """Return, for each partition, the offset below which every frame has an outcome."""
        left = self.unfinished()
        return {
            p: next((offset for offset in self.log[p] if Position(p, offset) in left), self.end(p)) for p in PARTITIONS
        }

    def tallies(self) -> list[Tally]:
        """Return every published tally, oldest first."""
        read = (wire.parse_accuracy(as_read(r)) for r in self.published if r.topic == TOPICS.accuracy)
        return [tally for tally in read if tally]

    def compacted(self) -> dict[TallyKey, Tally]:
        """Return the last tally of each key, as the compacted topic keeps it."""
        return {tally.key: tally for tally in self.tallies()}

    def saved(self) -> list[Saved]:
        """Return all that a worker would restore."""
        states = wire.newest_states(as_read(r) for r in self.published if r.topic == STATE)
        return [*self.newest(), *states]

    def newest(self) -> list[Tally]:
        """Return the tallies that a worker would restore."""
        return list(wire.newest_tallies(as_read(r) for r in self.published if r.topic == TOPICS.accuracy))

    def predicted(self) -> dict[tuple[TopicPartition, str], Count]:
        """Count the published predictions, by partition and camera."""
        found: dict[tuple[TopicPartition, str], Count] = {}
        for record in self.published:
            if record.topic == TOPICS.predictions:
                message = wire.decode_prediction(record.value or b"")
                key = TopicPartition(message.frame.topic, message.frame.partition), message.frame.camera
                seen, labelled, right = found.get(key, (0, 0, 0))
                verdict = message.correct
                found[key] = seen + 1, labelled + (verdict is not None), right + bool(verdict and verdict.top1)
        return found

    def by_hand(self, partition: TopicPartition, camera: str, below: int) -> Count:
        """Return the expected counts of the frames below an offset."""
        frames = self.log[partition].items()
        mine = [
            (shot, self._best(partition, offset, shot))
            for offset, shot in frames
            if offset < below and shot.camera == camera and shot.predicted and not self._skips(partition, offset, shot)
        ]
        return len(mine), sum(s.label in COLOURS for s, _ in mine), sum(s.label == best for s, best in mine)

    def all_by_hand(self) -> dict[tuple[TopicPartition, str], Count]:
        """Return the expected counts of all frames, by partition and camera with any predictions."""
        shots_of = {
            p: [shot for offset, shot in self.log[p].items() if not self._skips(p, offset, shot)] for p in PARTITIONS
        }
        keys = {(p, shot.camera) for p in PARTITIONS for shot in shots_of[p] if shot.predicted}
        return {(p, camera): self.by_hand(p, camera, self.end(p)) for p, camera in keys}


def position_of(record: OutboundRecord) -> Position | None:
    """Return the position of the frame whose outcome a record is; None for accuracy."""
    if record.topic == TOPICS.predictions:
        frame = wire.decode_prediction(record.value or b"").frame
        return Position(TopicPartition(frame.topic, frame.partition), frame.offset)
    if record.topic == TOPICS.dead_letters:
        report = wire.parse_dead_letter(as_read(record))
        return Position(TopicPartition(report.topic, report.partition), report.offset)
    return None


def counts(tallies: Iterable[Tally]) -> dict[tuple[TopicPartition, str], Count]:
    """Return the counts of tallies, by partition and camera."""
    return {(t.key.partition, t.key.camera): (t.seen, t.labelled, t.correct_top1) for t in tallies}


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
    """Return what a worker with a recurrent model has besides."""
    if rules is None:
        return {}
    topics = replace(TOPICS, state=STATE)
    return {"make_hidden": rules.make_hidden(kind=kind), "sampling": rules.sampling(), "topics": topics}
