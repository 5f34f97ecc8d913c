"""`vision-worker deadletters`: list, show and replay frames that could not be processed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from worker.adapters.clocks import wall_clock
from worker.app.dead_letters import (
    Entry,
    Selection,
    counts,
    place,
    position_of,
    printable,
    suffix,
    survey,
)
from worker.cli.kafka_settings import kafka_and_topics
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile, parse_time
from worker.domain.errors import Reason, WorkerError
from worker.domain.times import EventMillis
from worker.settings import Kafka, Topics
from worker.settings.topics import replay_marks
from worker.views.moments import age, iso

if TYPE_CHECKING:
    from worker.adapters.kafka.dead_letters import KafkaDeadLetters

app = typer.Typer(help="List, show and replay frames that could not be processed.", no_args_is_help=True)


Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Only this reason; repeat for more.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Only this camera; repeat for more.")]
Since = Annotated[
    Any,
    typer.Option(parser=parse_time, metavar="TIME", help="Refused at or after: ISO 8601 in UTC, or an age such as 2h."),
]
Until = Annotated[Any, typer.Option(parser=parse_time, metavar="TIME", help="Refused before: same formats.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest N.")]


@app.command("list")
def list_letters(
    *,
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    reason: Reasons = None,
    camera: Cameras = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first, and count them by reason."""
    wanted = Selection(frozenset(reason or ()), frozenset(camera or ()), since=since, until=until, limit=limit)
    with _open(*kafka_and_topics(config, bootstrap_servers, option)) as letters:
        found = _find(letters, wanted)
    if as_json:
        for entry in found:
            typer.echo(msgspec.json.encode(as_document(entry)))
    else:
        for line in as_table(found, wall_clock()):
            typer.echo(line)
        for count in counts(found):
            typer.echo(f"{count.letters:>6}  {count.reason:<14} {count.replayed} replayed")
        typer.echo(f"{len(found):>6}  in total, of topic {letters.topic!r}")


@app.command()
def show(
    position: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Its position, as printed by `list`.")],
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the picture to this file; the suffix of its type is added."),
    ] = None,
) -> None:
    """Show one dead letter: the reason, all headers, the stack."""
    with _open(*kafka_and_topics(config, bootstrap_servers, option)) as letters:
        (entry,) = _find(letters, _by_position([position], letters.topic))
        (letter,) = letters.at([entry.position])
    picture = letter.value or b""
    facts = {
        "position": f"{place(entry.position)} of topic {letters.topic!r}",
        "source": str(entry.source),
        "camera": entry.camera,
        "key": _format(letter.key),
        "refused": f"{iso(entry.refused_at)}, {age(entry.refused_at, wall_clock())} ago, at {entry.stage}",
        "attempt": f"{entry.attempt}, {'replayed already' if entry.replayed else 'not replayed'}",
        "picture": f"{len(picture)} bytes, begins like {suffix(picture)}" if picture else "no bytes",
        "reason": entry.reason,
        "text": entry.text,
    }
    for name, text in facts.items():
        typer.echo(f"{name:<9} {printable(text)}")
    typer.echo("headers")
    for header, value in letter.headers:
        lines = [printable(line) for line in _format(value).splitlines()] or [""]
        typer.echo(
            "\n    ".join([f"  {printable(header)}:", *lines] if lines[1:] else [f"  {printable(header)}: {lines[0]}"])
        )
    if save is not None:
        typer.echo(f"saved     {_save(picture, save)}")


@app.command()
def replay(
    *,
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    reason: Reasons = None,
    camera: Cameras = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    position: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTITION:OFFSET", help="Only this one, instead of filters; repeat for more."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Maximum frames per second.")] = 10.0,
    go: Annotated[
        bool, typer.Option("--go", help="Send the frames; without it, only print what would be sent.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Replay also those that were replayed already.")] = False,
) -> None:
    """Write dead letters back to the partitions they came from, each once. Without --go, only print what would be done.

    Value, headers, partition and capture time of a frame stay the same. If a frame is refused again, the new dead
    letter has a higher attempt. If a replay is stopped, the same command continues with the rest.
    """
    wanted = Selection(frozenset(reason or ()), frozenset(camera or ()), since=since, until=until, limit=limit)
    if position and wanted != Selection():
        raise typer.BadParameter("it selects single dead letters: leave out the filters", param_hint="--position")
    with _open(*kafka_and_topics(config, bootstrap_servers, option), writes=go) as letters:
        found = _find(letters, _by_position(position, letters.topic) if position else wanted)
        left = [entry for entry in found if again or not entry.replayed]
        _check_targets(letters, left)
        for count in counts(left):
            typer.echo(f"{count.letters:>6}  {count.reason}")
        if len(left) < len(found):
            typer.echo(f"{len(found) - len(left):>6}  replayed already and skipped; --again replays them too")
        if not left:
            typer.echo("Nothing to replay.")
        elif go:
            _send(letters, left, rate, resume="starts again" if again else "continues with the rest")
        else:
            typer.echo(
                f"Would replay {len(left)} dead letters, in {len(left) / rate:.0f} s or more; --go replays them."
            )


def _by_position(texts: Sequence[str], topic: str) -> Selection:
    try:
        return Selection(positions=frozenset(position_of(text, topic) for text in texts))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _open(kafka: Kafka, topics: Topics, *, writes: bool = False) -> "KafkaDeadLetters":
    """Open the topic of dead letters named in the settings."""
    from worker.adapters.kafka import Topic
    from worker.adapters.kafka.dead_letters import KafkaDeadLetters

    return KafkaDeadLetters(
        kafka.bootstrap_servers,
        kafka.options,
        kafka.producer,
        topic=topics.dead_letters,
        marks=Topic(*replay_marks(topics.dead_letters)),
        writes=writes,
    )


def _find(letters: "KafkaDeadLetters", wanted: Selection) -> list[Entry]:
    """Return the selected dead letters; fail if a requested position has none, and report foreign records."""
    marks = letters.marks()  # before the letters, because both use the same reader
    found = survey(letters.at(wanted.positions) if wanted.positions else letters.read(), wanted, marks)
    if missing := wanted.positions - {entry.position for entry in found.entries}:
        raise WorkerError(
            f"no dead letter lies at {', '.join(map(place, sorted(missing)))} of topic {letters.topic!r}; "
            "those that are there: vision-worker deadletters list"
        )
    if found.strangers:
        first = found.strangers[0]
        typer.echo(f"skipped {len(found.strangers)} records that are not dead letters, the first at {first}", err=True)
    return found.entries


def _check_targets(letters: "KafkaDeadLetters", entries: Sequence[Entry]) -> None:
    missing = letters.missing({entry.source.partition for entry in entries})
    if missing:
        raise WorkerError(
            f"frames came from {', '.join(map(str, sorted(missing)))}, which does not exist: "
            "create the topic with enough partitions, or do not select these dead letters"
        )


def _send(letters: "KafkaDeadLetters", entries: Sequence[Entry], rate: float, *, resume: str) -> None:
    """Write frames back. At the end or on an error, print how many, and what the same command would do next."""
    console, sent, started = Console(stderr=True), 0, time.monotonic()
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("replaying", total=len(entries))
            for letter in letters.at(entry.position for entry in entries):
                time.sleep(max(0.0, started + sent / rate - time.monotonic()))
                letters.put_back(letter)
                sent += 1
                progress.advance(task)
    finally:
        rest = "" if sent == len(entries) else f"; the same command {resume}"
        typer.echo(f"Replayed {sent} of {len(entries)} dead letters{rest}.")
    if sent < len(entries):
        raise WorkerError(f"{len(entries) - sent} of them were deleted meanwhile by the topic's retention")


def as_document(entry: Entry) -> dict[str, Any]:
    """Return a dead letter as a document for programs."""
    source = entry.source.partition
    return {
        "position": place(entry.position),
        "camera": entry.camera,
        "reason": entry.reason,
        "stage": entry.stage,
        "refused_at_ms": entry.refused_at,
        "bytes": entry.size,
        "attempt": entry.attempt,
        "source": {"topic": source.topic, "partition": source.partition, "offset": entry.source.offset},
        "replayed": entry.replayed,
        "text": entry.text,
    }


def as_table(entries: Sequence[Entry], now: EventMillis) -> list[str]:
    """Return dead letters as a table with a heading, line by line."""
    rows = [("position", "camera", "reason", "stage", "age", "bytes", "attempt", "source", "replayed", "text")]
    for each in entries:
        numbers = age(each.refused_at, now), str(each.size), str(each.attempt)
        replayed = "yes" if each.replayed else "no"
        rows.append(
            (
                place(each.position),
                each.camera,
                each.reason,
                each.stage,
                *numbers,
                str(each.source),
                replayed,
                each.text,
            )
        )
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def _save(picture: bytes, file: Path) -> Path:
    """Write a picture to a new file, and return the file."""
    if not picture:
        raise WorkerError("it has no bytes to save")
    end = suffix(picture)
    path = file if file.suffix == end else file.with_name(file.name + end)
    try:
        with path.open("xb") as target:
            target.write(picture)
    except FileExistsError:
        raise WorkerError(f"{path} exists already and is not overwritten: give another file with --save") from None
    except OSError as error:
        raise WorkerError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _format(value: bytes | None) -> str:
    return "none" if value is None else value.decode(errors="backslashreplace")
