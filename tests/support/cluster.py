"""A cluster in memory: the state that survives its workers, and the results that they must have."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hypothesis import strategies as st

from tests.support.colours import COLOURS, picture
from tests.support.flow import TOPICS, as_read
from tests.support.frames import a_record
from tests.support.recurrent import Rules, Said, Seen, sequences_by_hand
from tests.support.samplers import context_by_hand, is_skipped
from worker import wire
from worker.domain.checkpoints import Checkpoint
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.tallies import Tally, TallyKey
from worker.ports import Saved

PARTITIONS: Final = (TopicPartition("frames", 0), TopicPartition("frames", 1))
POISON: Final = "black"
"""The colour that a model may break on. `shots` does not produce it, so models that break on it still work."""

STATE: Final = "state"

_PICTURES: dict[str | None, bytes] = {None: b"damaged", **{colour: picture(colour) for colour in COLOURS}}

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
