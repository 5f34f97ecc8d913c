"""How far a partition is done: the offset to commit, and what is published beyond it.

Results leave in the order of each camera, not of the whole partition, and a frame may be needed after it was published
(by a clip that overlaps another). So the offset that may be committed stays behind what is published. The difference
is a set of offsets, the mark. It travels as the metadata of the committed offset: both are stored by the same commit,
or by the same transaction, and move together to the partition's next owner. Confluent's Parallel Consumer stores the
offsets it has completed out of order in the same place.
"""

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

SPAN: Final = 16_384
"""Offsets beyond the committed one up to which frames are published: one bit each, the mark has 2,731 characters at
most. Kafka's brokers take 4,096 (`offset.metadata.max.bytes`). No more published frames than these are read again."""

_PUBLISHED: Final = "published:1:"
_TOPIC: Final = "topic:"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is committed of a partition.

    Attributes:
        next_offset: every frame below it is published, and no later sample needs one of them.
        published: the frames at or above it that are published too. They are read again after a restart, as context
            for others, and get no second result.
        topic_id: the cluster's id of the topic that was read: it tells the topic from one that is created later under
            the same name. None if it is not known.
    """

    next_offset: int
    published: frozenset[int] = frozenset()
    topic_id: str | None = None

    def metadata(self) -> str:
        """Return the topic's id and the mark as text, for the metadata of the committed offset; empty without both.

        >>> Checkpoint(10, frozenset({10, 12}), "NCHpi2yKR4aPQtelZrZ7yw").metadata()
        'topic:NCHpi2yKR4aPQtelZrZ7yw published:1:BQ=='
        """
        words = [] if self.topic_id is None else [_TOPIC + self.topic_id]
        if self.published:
            bits = sum(1 << offset - self.next_offset for offset in self.published)
            words.append(_PUBLISHED + b64encode(bits.to_bytes((bits.bit_length() + 7) // 8, "little")).decode())
        return " ".join(words)

    @classmethod
    def read(cls, next_offset: int, metadata: str | None) -> "Checkpoint":
        """Read a checkpoint back. Metadata of another writer, or of an older worker, says nothing.

        >>> Checkpoint.read(10, "published:1:BQ==") == Checkpoint(10, frozenset({10, 12}))
        True
        """
        topic_id, published = None, frozenset[int]()
        for word in (metadata or "").split(" "):
            if word.startswith(_TOPIC):
                topic_id = word.removeprefix(_TOPIC)
            elif word.startswith(_PUBLISHED):
                with suppress(BadBase64):
                    bits = b64decode(word.removeprefix(_PUBLISHED), validate=True)
                    published = frozenset(_offsets(bits, next_offset))
        return cls(next_offset, published, topic_id)


def _offsets(bits: bytes, first: int) -> Iterable[int]:
    return (first + 8 * number + bit for number, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1)
