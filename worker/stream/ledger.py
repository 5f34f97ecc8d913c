"""Which frames are in flight, and up to which offset everything is done.

Frames finish out of order, because windows do. Results leave in offset order all the same: a result is
`ready` once every earlier frame of its partition has one too. So a partition's outputs, its accuracy and its
committed offset are always cut at the same place, and consumers see predictions in the order of the frames.

    offsets      10   11   12   13
    finished      x    x         x      ready: 10, 11      next offset: 12
                                        13 waits for 12
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Generic, TypeVar

from worker.domain.records import Position, TopicPartition

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    in_flight: deque[tuple[Position, int]] = field(default_factory=deque)
    finished: dict[int, T] = field(default_factory=dict)
    settled: int | None = None


class OffsetLedger(Generic[T]):
    """Keeps, per partition, the frames between being read and being settled, and what became of them.

    Attributes:
        in_flight_bytes: encoded bytes of all those frames.
    """

    def __init__(self) -> None:
        self._lanes: dict[TopicPartition, _Lane[T]] = {}
        self.in_flight_bytes = 0

    def begin(self, position: Position, size: int) -> None:
        """Note that a frame of `size` bytes was read.

        Raises:
            ValueError: it does not lie behind everything begun before; reading went backwards.
        """
        lane = self._lanes.setdefault(position.partition, _Lane())
        floor = lane.in_flight[-1][0].next_offset if lane.in_flight else lane.settled or 0
        if position.offset < floor:
            raise ValueError(f"{position} was read again: everything below offset {floor} is in flight or settled")
        lane.in_flight.append((position, size))
        self.in_flight_bytes += size

    def finish(self, position: Position, outcome: T) -> None:
        """Note what became of a frame."""
        self._lanes[position.partition].finished[position.offset] = outcome

    def ready(self) -> dict[TopicPartition, list[T]]:
        """Return, per partition and in offset order, the outcomes that nothing earlier holds back."""
        found: dict[TopicPartition, list[T]] = {}
        for partition, lane in self._lanes.items():
            first = (position.offset for position, _ in lane.in_flight)
            outcomes = [lane.finished[offset] for offset in takewhile(lane.finished.__contains__, first)]
            if outcomes:
                found[partition] = outcomes
        return found

    def has_ready(self) -> bool:
        """Tell whether `ready` has anything to return, without gathering it."""
        lanes = self._lanes.values()
        return any(lane.in_flight and lane.in_flight[0][0].offset in lane.finished for lane in lanes)

    def settle(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything below these offsets is confirmed by the broker; only now is it forgotten."""
        for partition, next_offset in next_offsets.items():
            lane = self._lanes[partition]
            while lane.in_flight and lane.in_flight[0][0].offset < next_offset:
                position, size = lane.in_flight.popleft()
                self.in_flight_bytes -= size
                del lane.finished[position.offset]
            lane.settled = next_offset

    def settled(self) -> dict[TopicPartition, int]:
        """Return the next offset of every partition that has settled anything: what is safe to commit."""
        return {partition: lane.settled for partition, lane in self._lanes.items() if lane.settled is not None}

    def __len__(self) -> int:
        """Count the frames that were begun and not settled."""
        return sum(len(lane.in_flight) for lane in self._lanes.values())

    def forget(self, partition: TopicPartition) -> None:
        """Drop a partition that now belongs to another worker, which will read its unsettled frames again."""
        lane = self._lanes.pop(partition, None)
        if lane is not None:
            self.in_flight_bytes -= sum(size for _, size in lane.in_flight)
