"""Select dead letters, and tell which were replayed already. Pure functions on values."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from worker import wire
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis

Marks = Mapping[bytes | None, bytes | None]
"""The last value of each key in the topic of marks (`wire.render_mark`)."""

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")
_SUFFIXES: Final = (
    (".jpg", re.compile(rb"\xff\xd8\xff")),
    (".png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    (".webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    (".gif", re.compile(rb"GIF8[79]a")),
    (".bin", re.compile(rb"")),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One dead letter, without its picture.

    Attributes:
        position: its position in the dead-letter topic.
        source: the position of its frame in the source topic.
        refused_at: the dead letter's timestamp.
        size: bytes of the picture.
        replayed: whether it was replayed already.
    """

    position: Position
    source: Position
    camera: str
    reason: str
    stage: str
    refused_at: EventMillis
    size: int
    attempt: int
    text: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """The requested dead letters; an empty collection selects all.

    Attributes:
        since: select those refused at this time or later.
        until: select those refused before this time.
        limit: maximum number; the newest are selected.
    """

    reasons: frozenset[str] = frozenset()
    cameras: frozenset[str] = frozenset()
    positions: frozenset[Position] = frozenset()
    since: EventMillis | None = None
    until: EventMillis | None = None
    limit: int | None = None

    def takes(self, entry: Entry) -> bool:
        """Tell whether a dead letter is selected, ignoring the limit."""
        return (
            (not self.reasons or entry.reason in self.reasons)
            and (not self.cameras or entry.camera in self.cameras)
            and (not self.positions or entry.position in self.positions)
            and (self.since is None or entry.refused_at >= self.since)
            and (self.until is None or entry.refused_at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """The result of reading a dead-letter topic.

    Attributes:
        entries: the selected dead letters, oldest first.
        strangers: positions of records that are not dead letters of this worker.
    """

    entries: list[Entry] = field(default_factory=list)
    strangers: list[Position] = field(default_factory=list)


class Count(NamedTuple):
    """The number of dead letters with a reason, and how many of them were replayed."""

    reason: str
    letters: int
    replayed: int


def survey(records: Iterable[Record], wanted: Selection, marks: Marks) -> Survey:
    """Select dead letters; each picture is freed before the next one is read."""
    found = Survey()
    for record in records:
        try:
            entry = entry_of(record, marks)
        except msgspec.ValidationError:
            found.strangers.append(record.position)
        else:
            if wanted.takes(entry):
                found.entries.append(entry)
    found.entries.sort(key=lambda entry: (entry.refused_at, entry.position))
    if wanted.limit is not None:
        del found.entries[: -wanted.limit]
    return found


def entry_of(letter: Record, marks: Marks) -> Entry:
    """Summarise a dead letter.

    Raises:
        msgspec.ValidationError: the record is not a dead letter of this worker.
    """
    report, frame, mark = wire.parse_dead_letter(letter), wire.original_record(letter), wire.render_mark("", letter)
    return Entry(
        position=letter.position,
        source=frame.position,
        camera=wire.camera_of(frame),
        reason=report.reason,
        stage=report.stage,
        refused_at=letter.timestamp,
        size=len(letter.value or b""),
        attempt=report.attempt,
        text=report.text,
        replayed=marks.get(mark.key) == mark.value,
    )


def counts(entries: Iterable[Entry]) -> list[Count]:
    """Count by reason, most frequent first."""
    letters, replayed = Counter[str](), Counter[str]()
    for entry in entries:
        letters[entry.reason] += 1
        replayed[entry.reason] += entry.replayed
    return [Count(reason, number, replayed[reason]) for reason, number in letters.most_common()]


def place(position: Position) -> str:
    """Format a dead letter's position in its topic."""
    return f"{position.partition.partition}:{position.offset}"


def position_of(text: str, topic: str) -> Position:
    """Parse a dead letter's position in its topic.

    Raises:
        ValueError: it is not PARTITION:OFFSET.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not PARTITION:OFFSET, such as 0:17; `vision-worker deadletters list` shows them")
    return Position(TopicPartition(topic, int(found[1])), int(found[2]))


def suffix(picture: bytes) -> str:
    """Return a file name suffix for the picture, judged by its first bytes."""
    return next(suffix for suffix, begins in _SUFFIXES if begins.match(picture))


def printable(text: str) -> str:
    """Escape characters that a terminal would interpret instead of show; a producer controls the text."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
