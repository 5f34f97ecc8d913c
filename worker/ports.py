"""What the processor needs from the outside, and nothing more."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from worker.domain.frames import EncodedFrame
from worker.domain.ranking import Ranked
from worker.domain.records import OnCommitted, OnPartitions, OutboundRecord, Record, TopicPartition
from worker.domain.results import ModelIdentity
from worker.domain.tallies import Tally
from worker.domain.times import EventMillis, Monotonic

WallClock = Callable[[], EventMillis]
MonotonicClock = Callable[[], Monotonic]

Decode = Callable[[EncodedFrame, NDArray[np.uint8]], None]
"""Turns an encoded frame into the model's input, RGB, `Model.input_shape`, uint8, and writes it there: into a slot of a
batch. May be called from several threads at once; raises FrameRejected for a picture that cannot be taken."""

RestoreTallies = Callable[[Collection[TopicPartition]], Iterable[Tally]]
"""Reads back the accuracy last published for the given input partitions."""


class Source(Protocol):
    """Where frames come from."""

    def subscribe(
        self,
        *,
        on_assigned: OnPartitions,
        on_revoked: OnPartitions,
        on_lost: OnPartitions,
        on_committed: OnCommitted,
    ) -> None:
        """Ask for partitions.

        Args:
            on_assigned: frames of these partitions may come from now on.
            on_revoked: these go to another worker once the callback returns; they can still be committed.
            on_lost: these already belong to somebody else; nothing can be committed.
            on_committed: a commit was answered; is called in `poll` or in `commit`.
        """

    def poll(self, timeout: float) -> Sequence[Record] | None:
        """Wait up to `timeout` seconds for the next records, in offset order per partition.

        Returns:
            Records of assigned partitions, empty if none came; None once no more will ever come.

        Raises:
            SourceLost: the input cannot be read any more.
        """

    def commit(self, offsets: Mapping[TopicPartition, int], *, wait: bool) -> None:
        """Store the next offsets to read; `on_committed` hears how it went.

        A failed commit is no error: replay is safe, and the next commit says the same or more.

        Args:
            offsets: the next offset of each partition.
            wait: return only once it is answered.
        """

    def lag(self) -> Mapping[TopicPartition, int]:
        """Tell, as far as known, how many records lie between the position and the end of each partition."""

    def close(self) -> None:
        """Leave the group."""


class Sink(Protocol):
    """Where results go."""

    @property
    def exactly_once(self) -> bool:
        """Whether `publish` stores the next offsets too, in the same transaction as the records."""

    def publish(
        self, records: Sequence[OutboundRecord], next_offsets: Mapping[TopicPartition, int], *, within: float
    ) -> None:
        """Write the records and return once every one is confirmed.

        Args:
            records: the outputs of all frames below `next_offsets` that were not published before.
            next_offsets: what an exactly-once sink commits with them; any other leaves that to the source.
            within: seconds for all of it.

        Raises:
            DeliveryFailed: at least one was not confirmed, or not in time; names topic, partition and cause.
            DeliveryRefused: an exactly-once sink wrote nothing, because partitions have gone to another worker.
        """

    def close(self) -> None:
        """Let go of the connection."""


class Model(Protocol):
    """A classifier."""

    @property
    def identity(self) -> ModelIdentity:
        """Name and version."""

    @property
    def labels(self) -> Sequence[str]:
        """Class names by index."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of a prepared picture."""

    @property
    def streams(self) -> int:
        """Calls that run side by side."""

    def parts(self, frames: int) -> Sequence[slice]:
        """Cut a batch of so many frames into what is best classified by a call each, side by side."""

    def classify(self, pixels: NDArray[np.uint8]) -> Ranked:
        """Run one batch, or a part of one, through the model, blocking, without holding the GIL.

        Several threads may call it at once; those for whom there is no room wait.

        Args:
            pixels: what `Decode` wrote, (batch, height, width, 3); the batch may be empty.

        Returns:
            At least the five most likely classes of each picture, or all if there are fewer.

        Raises:
            ModelFailed: the model raised.
            ModelOutOfMemory: there was no memory for so many.
            ModelContractBroken: the output does not fit the batch or the labels.
        """
