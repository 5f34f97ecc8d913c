"""Members of a group without a worker: what they take, and what they are told."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.support.workers import wait_until
from worker.adapters.kafka import KafkaSink, KafkaSource
from worker.adapters.kafka.patience import never
from worker.domain.checkpoints import Checkpoint
from worker.domain.extents import start_of
from worker.domain.records import OutboundRecord, Record, TopicPartition


def begin(source: KafkaSource, partitions: Collection[TopicPartition]) -> None:
    """Begin where the group has committed, or where it has to begin without."""
    if partitions:
        committed, found = source.checkpoints(partitions, never), source.extents(partitions, never)
        starts = {each: start_of(committed.get(each), found.get(each)) for each in partitions}
        source.begin({each: start.checkpoint.next_offset for each, start in starts.items()})


@dataclass(slots=True)
class Member:
    """A source, and all that it reports.

    Attributes:
        committed: the answers to its commits: what was stored, and what went wrong.
        events: what came and went, in order.
        handled: the checkpoint behind what a test has taken, to commit when the partition goes.
        handed_over: what was committed so.
        missed: how many records were deleted before they could be read.
        came: partitions that are not begun yet.
    """

    servers: str
    topic: str
    protocol: str
    max_poll_records: int
    options: Mapping[str, str]
    committed: list[tuple[dict[TopicPartition, Checkpoint], str | None]] = field(default_factory=list)
    events: list[tuple[str, set[int]]] = field(default_factory=list)
    handled: dict[TopicPartition, Checkpoint] = field(default_factory=dict)
    handed_over: dict[TopicPartition, Checkpoint] = field(default_factory=dict)
    missed: list[tuple[TopicPartition, int]] = field(default_factory=list)
    came: set[TopicPartition] = field(default_factory=set)
    source: KafkaSource = field(init=False)

    def __post_init__(self) -> None:
        classic: dict[str, str | int] = {"heartbeat.interval.ms": 200, "session.timeout.ms": 6000}
        self.source = KafkaSource(
            bootstrap_servers=self.servers,
            group_id=f"of-{self.topic}",
            topic=self.topic,
            options={
                **({"group.protocol": "consumer"} if self.protocol == "consumer" else classic),
                "max.partition.fetch.bytes": 10_000,  # partitions take turns
                **self.options,
            },
            max_poll_records=self.max_poll_records,
            max_poll_bytes=10_000_000,
        )
        self.source.subscribe(
            on_assigned=lambda partitions: self._note("assigned", partitions),
            on_revoked=self._hand_over,
            on_lost=lambda partitions: self._note("lost", partitions),
            on_committed=lambda stored, error: self.committed.append((dict(stored), error)),
            on_missed=lambda *missed: self.missed.append(missed),
            on_waiting=lambda _, __: None,
        )

    def poll(self) -> Sequence[Record]:
        """Poll once, and begin what has come."""
        records = self.source.poll(0.05) or ()
        begin(self.source, self.came)
        self.came.clear()
        return records

    def take(self, count: int) -> list[Record]:
        """Poll until at least `count` records have come."""
        taken = list[Record]()

        def enough() -> bool:
            taken.extend(self.poll())
            return len(taken) >= count

        wait_until(enough, f"{count} records come")
        return taken

    def poll_until_committed(self, answers: int) -> None:
        """Poll until `answers` commits were answered."""

        def answered() -> bool:
            self.poll()
            return len(self.committed) >= answers

        wait_until(answered, f"{answers} commits are answered")

    def holds(self) -> set[int]:
        """Return the partitions that came and did not go."""
        held = set[int]()
        for event, partitions in self.events:
            held = held | partitions if event == "assigned" else held - partitions
        return held

    def _hand_over(self, partitions: Collection[TopicPartition]) -> None:
        """Commit what was handled, as a worker does."""
        self._note("revoked", partitions)
        known = {partition: self.handled[partition] for partition in partitions if partition in self.handled}
        if known:
            self.source.commit(known, wait=True)
            self.handed_over |= known

    def _note(self, event: str, partitions: Collection[TopicPartition]) -> None:
        self.events.append((event, {each.partition for each in partitions}))
        self.came = self.came | set(partitions) if event == "assigned" else self.came - set(partitions)


class Members:
    """Makes members of one test; all leave at its end."""

    def __init__(self, servers: str, stack: ExitStack) -> None:
        self._servers = servers
        self._stack = stack

    def join(
        self,
        topic: str,
        protocol: str = "classic",
        *,
        max_poll_records: int = 1000,
        options: Mapping[str, str] | None = None,
    ) -> Member:
        member = Member(self._servers, topic, protocol, max_poll_records, options or {})
        self._stack.callback(member.source.close)
        return member


def fill(servers: str, topic: str, count: int, *, partition: int = 0) -> None:
    sink = KafkaSink(servers, {})
    try:
        sink.publish([OutboundRecord(topic, partition, b"key", b"%d" % number) for number in range(count)], {})
    finally:
        sink.close()


def offsets(records: Collection[Record]) -> list[int]:
    return [record.position.offset for record in records]
