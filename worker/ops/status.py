"""What a worker says of itself: one line every few seconds, and one at its end. Numbers in, sentences out."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import structlog

from worker.domain.times import Monotonic
from worker.ops.counts import Counts


class Names(NamedTuple):
    """What the sentences name.

    Attributes:
        predictions: the topic of the predictions.
        same_kafka: arguments with which other commands use the same Kafka.
    """

    predictions: str
    same_kafka: str = ""


class Pace(NamedTuple):
    """What happened since the last line.

    Attributes:
        new: frames that got an outcome.
        seconds: since the last line.
        quiet: seconds since a frame last got an outcome, or since the start.
    """

    new: int
    seconds: float
    quiet: float


class Status:
    """Writes the status line, and what the worker did in all.

    Args:
        counts: returns what was done so far.
        trouble: returns why nothing can happen; None if nothing keeps the worker from its work.
        names: of topics.
        now: when the worker started.
    """

    def __init__(
        self, counts: Callable[[], Counts], trouble: Callable[[Counts], str | None], names: Names, *, now: Monotonic
    ) -> None:
        self._counts = counts
        self._trouble = trouble
        self._names = names
        self._frames = 0
        self._began = self._told = self._moved = now
        self._log = structlog.get_logger("worker")

    def tell(self, now: Monotonic) -> None:
        """Say what happened since the last call."""
        counts = self._counts()
        trouble = self._trouble(counts)
        new, seconds = counts.frames - self._frames, now - self._told
        if new:
            self._moved = now
        self._frames, self._told = counts.frames, now
        line = status_line(counts, Pace(new, seconds, now - self._moved), trouble, self._names)
        rate = round(new / seconds, 2) if seconds else None
        self._log.info("status", line=line, frames_per_second=rate, trouble=trouble, **_fields(counts))

    def sum_up(self, now: Monotonic) -> None:
        """Say what the worker did in all: the last line of a run."""
        counts, seconds = self._counts(), now - self._began
        line = summary(counts, seconds, self._names)
        self._log.info(
            "summary", line=line, seconds=round(seconds, 1), topic=self._names.predictions, **_fields(counts)
        )


def status_line(counts: Counts, pace: Pace, trouble: str | None, names: Names) -> str:
    """Return what a worker does at the moment; if it does nothing, why.

    Args:
        counts: what was done so far.
        pace: what happened since the last line.
        trouble: what keeps the worker from its work.
        names: of topics.
    """
    if pace.new:
        return "; ".join([", ".join(_figures(counts, pace, names)), *([trouble] if trouble else [])])
    if trouble:
        return f"{_frames(counts)} so far; {trouble}" if counts.frames else trouble
    if counts.in_flight:
        waits = f"none done for {duration(pace.quiet)}, {_size(counts.in_flight)} of pictures in work"
        return f"{_frames(counts)}, {waits}"
    if not counts.frames and not counts.lag:
        where = f"its {_count(counts.assigned, 'partition')}"
        return f"no frames for {duration(pace.quiet)} in {where}: {_command('produce FOLDER', names)}"
    return ", ".join(_figures(counts, pace, names))


def summary(counts: Counts, seconds: float, names: Names) -> str:
    """Return what a worker did from its start to its end."""
    if not counts.frames:
        return f"stopped after {duration(seconds)}: no frame got a result"
    parts = [
        f"{counts.outcomes.get('predicted', 0):,} predicted",
        *(f"{what}{_by_reason(reasons)}" for what, reasons in _not_predicted(counts)),
        *_right(counts),
    ]
    where = f"predictions are in topic {names.predictions!r}: {_command('tail predictions', names)} --from-beginning"
    letters = [f"dead letters: {_command('deadletters list', names)}"] if counts.outcomes.get("rejected") else []
    return "\n  ".join([f"stopped after {duration(seconds)}: {_frames(counts)}, {', '.join(parts)}", where, *letters])


def duration(seconds: float) -> str:
    """Write seconds for people.

    >>> duration(7.4), duration(63), duration(7_325), duration(200_000)
    ('7 s', '1 min 3 s', '2 h 2 min', '2 d 7 h')
    """
    whole = round(seconds)
    for unit, size, smaller, of_smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // of_smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def _figures(counts: Counts, pace: Pace, names: Names) -> Iterator[str]:
    yield _frames(counts)
    yield f"{_rate(pace.new / pace.seconds)}/s" if pace.new else f"none for {duration(pace.quiet)}"
    yield from _right(counts)
    yield f"lag {counts.lag:,}" if counts.lag is not None else "lag unknown"
    yield from (what for what, _ in _not_predicted(counts))
    if counts.waiting:
        yield f"{_count(counts.waiting, 'partition')} not read: {_command('topics apply', names)}"
    if counts.max_cameras is not None:
        yield f"over {counts.max_cameras} cameras, so some count as 'other': raise limits.max_cameras"


def _not_predicted(counts: Counts) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield how many frames have another outcome than a prediction, and the reasons."""
    rejected, skipped, shown = (counts.outcomes.get(name, 0) for name in ("rejected", "skipped", "shown"))
    if rejected:
        yield _count(rejected, "dead letter"), counts.rejected
    if skipped:
        yield f"{skipped:,} skipped", counts.skipped
    if shown:
        yield f"{shown:,} shown in clips", {}


def _right(counts: Counts) -> Iterator[str]:
    labelled, right, boxes = counts.rightness.labelled, counts.rightness.right, counts.rightness.boxes
    if boxes is not None:
        true = boxes.hits + boxes.misses
        yield f"{_percent(boxes.hits, true)} of {true:,} true boxes found" if true else "no true boxes yet"
        yield _count(boxes.false_alarms, "false alarm")
    elif labelled:
        yield f"{_percent(right, labelled)} of {labelled:,} labelled right"
    if counts.unknown:
        yield f"{counts.unknown:,} labels name no class of the model"


def _percent(part: int, whole: int) -> str:
    """Round down, so that 100 % means all of them."""
    return f"{1000 * part // whole / 10} %"


def _command(words: str, names: Names) -> str:
    return f"vision-worker {words} {names.same_kafka}".rstrip()


def _frames(counts: Counts) -> str:
    return _count(counts.frames, "frame")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _rate(a_second: float) -> str:
    return f"{a_second:,.0f}" if a_second >= 10 else f"{a_second:.1f}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _by_reason(reasons: Mapping[str, int]) -> str:
    most_first = sorted(reasons.items(), key=lambda each: -each[1])
    return f" ({', '.join(f'{number:,} {reason}' for reason, number in most_first)})" if reasons else ""


def _fields(counts: Counts) -> dict[str, Any]:
    """Return the same for programs."""
    labelled, right = counts.rightness.labelled, counts.rightness.right
    boxes = counts.rightness.boxes
    return {
        "frames": counts.frames,
        "outcomes": counts.outcomes,
        "dead_letters": counts.rejected,
        "skipped": counts.skipped,
        "labelled": labelled,
        "unknown_labels": counts.unknown,
        **({"right": right} if boxes is None else {"boxes": boxes._asdict()}),
        "lag": counts.lag,
        "assigned": counts.assigned,
        "waiting": counts.waiting,
        "in_flight_bytes": counts.in_flight,
        "too_many_cameras": counts.max_cameras is not None,
    }
