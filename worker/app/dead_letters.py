"""Which dead letters are meant, and which of them were put back already. Values in, values out."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from worker import wire
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis

Marks = Mapping[bytes | None, bytes | None]
"""What lies in the topic of marks, by key, the last record of each (`wire.render_mark`)."""

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(rf"(\d{{1,9}})([{''.join(_UNITS)}])")
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
        position: where it lies in the dead-letter topic.
        source: where its frame lay.
        refused_at: its own timestamp.
        size: bytes of the picture.
        replayed: it was put back already.
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
    """What is asked for; an empty collection takes all.

    Attributes:
        since: refused then or later.
        until: refused before then.
        limit: the newest so many.
    """

    reasons: frozenset[str] = frozenset()
    cameras: frozenset[str] = frozenset()
    positions: frozenset[Position] = frozenset()
    since: EventMillis | None = None
    until: EventMillis | None = None
    limit: int | None = None

    def takes(self, entry: Entry) -> bool:
        """Tell whether a dead letter is asked for, the limit aside."""
        return (
            (not self.reasons or entry.reason in self.reasons)
            and (not self.cameras or entry.camera in self.cameras)
            and (not self.positions or entry.position in self.positions)
            and (self.since is None or entry.refused_at >= self.since)
            and (self.until is None or entry.refused_at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        entries: the dead letters that are asked for, oldest first.
        strangers: where records lie that are no dead letters of ours.
    """

    entries: list[Entry] = field(default_factory=list)
    strangers: list[Position] = field(default_factory=list)


class Count(NamedTuple):
    """How many dead letters there are of a reason, and how many of them were put back."""

    reason: str
    letters: int
    replayed: int


def survey(records: Iterable[Record], wanted: Selection, marks: Marks) -> Survey:
    """Pick the dead letters that are asked for; their pictures are let go of one by one."""
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
    """Summarize a dead letter.

    Raises:
        msgspec.ValidationError: the record is no dead letter of ours.
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
    """Count by reason, the most frequent first."""
    letters, replayed = Counter[str](), Counter[str]()
    for entry in entries:
        letters[entry.reason] += 1
        replayed[entry.reason] += entry.replayed
    return [Count(reason, number, replayed[reason]) for reason, number in letters.most_common()]


def moment(text: str, now: EventMillis) -> EventMillis:
    """Read a time: ISO 8601, in UTC unless it says otherwise, or how long ago, such as 90s, 30m, 2h, 7d.

    Raises:
        ValueError: it is neither.
    """
    if ago := _DURATION.fullmatch(text):
        return EventMillis(now - int(ago[1]) * _UNITS[ago[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a time such as 2026-01-31T12:00 nor an age such as 30m, 2h, 7d"
        ) from None
    return EventMillis(round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000))


def age(then: EventMillis, now: EventMillis) -> str:
    """Say how long ago something was, in the largest unit that fits."""
    unit = max((unit for unit, size in _UNITS.items() if now - then >= size), key=_UNITS.__getitem__, default="s")
    return f"{max(0, now - then) // _UNITS[unit]}{unit}"


def iso(time: EventMillis) -> str:
    """Write a time for people, in UTC."""
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")


def place(position: Position) -> str:
    """Write where a dead letter lies in its topic."""
    return f"{position.partition.partition}:{position.offset}"


def position_of(text: str, topic: str) -> Position:
    """Read where a dead letter lies in its topic.

    Raises:
        ValueError: it is not PARTITION:OFFSET.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not PARTITION:OFFSET, such as 0:17; `vision-worker deadletters list` shows them")
    return Position(TopicPartition(topic, int(found[1])), int(found[2]))


def suffix(picture: bytes) -> str:
    """Return the file name suffix of what the bytes are, judged by how they begin."""
    return next(suffix for suffix, begins in _SUFFIXES if begins.match(picture))


def printable(text: str) -> str:
    """Escape what a terminal would obey instead of show: a producer wrote it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
