"""What a picture becomes: a prediction, or the reason why there is none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from worker import wire
from worker.domain.records import OutboundRecord
from worker.settings import Topics
from worker.wire.prediction_fields import FrameField


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that got no prediction, because it cannot be used: what is a dead letter in Kafka.

    Attributes:
        frame: which picture: `frame.id`, and `frame.offset`, its number in the iterable, from 0.
        reason: a code: those of dead letters, or `unreadable` for a file that cannot be read.
        text: what is wrong, and what to do.
    """

    frame: FrameField
    reason: str
    text: str

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Say why a field of predictions is not there."""
            raise AttributeError(
                f"picture {self.frame.id!r} was refused ({self.reason}: {self.text}), so its result has no {name!r}: "
                "test results with isinstance(result, worker.Refused)"
            )


Result = wire.Message | wire.SkippedMessage | Refused
"""A prediction, as the message that a worker publishes; or a picture that was left out, or refused, with the reason."""


def result_of(record: OutboundRecord, topics: Topics) -> Result | None:
    """Return what a published record says of a picture; None if it is about accuracy."""
    if record.topic == topics.predictions:
        return wire.decode_message(record.value or b"")
    if record.topic == topics.skipped:
        return wire.decode_skipped(record.value or b"")
    if record.topic == topics.dead_letters:
        letter = wire.parse_dead_letter(record)
        return Refused(_frame_of(record, letter), letter.reason, letter.text)
    return None


def _frame_of(record: OutboundRecord, letter: wire.DeadLetterReport) -> FrameField:
    named = wire.frame_id_of(record) or str(letter.offset)
    camera = (record.key or b"").decode(errors="replace")
    return FrameField(camera=camera, id=named, topic=letter.topic, partition=letter.partition, offset=letter.offset)


class InOrder:
    """Brings results into the order of their pictures, each of which has exactly one."""

    def __init__(self) -> None:
        self._next = 0
        self._early = dict[int, Result]()

    def add(self, result: Result) -> Iterator[Result]:
        """Take a result, and yield those whose turn it is."""
        self._early[result.frame.offset] = result
        while self._next in self._early:
            yield self._early.pop(self._next)
            self._next += 1
