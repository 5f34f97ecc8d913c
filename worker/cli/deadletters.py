"""`vision-worker deadletters`: frames that could not be processed, looked at and put back."""

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
    age,
    counts,
    iso,
    moment,
    place,
    position_of,
    printable,
    suffix,
    survey,
)
from worker.cli.options import AsJson, ConfigFile
from worker.domain.errors import Reason, SettingsError, WorkerError
from worker.domain.times import EventMillis
from worker.settings import read_groups
from worker.settings.topics import replay_marks

if TYPE_CHECKING:
    from worker.adapters.kafka.dead_letters import KafkaDeadLetters

app = typer.Typer(help="Frames that could not be processed: look at them, put them back.", no_args_is_help=True)


def _moment(text: str) -> EventMillis:
    try:
        return moment(text, wall_clock())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Reasons = Annotated[list[Reason] | None, typer.Option("--reason", help="Only of this reason; several times for more.")]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Only of this camera; several times for more.")]
Since = Annotated[
    Any, typer.Option(parser=_moment, metavar="TIME", help="Refused since: ISO 8601 in UTC, or an age such as 2h.")
]
Until = Annotated[Any, typer.Option(parser=_moment, metavar="TIME", help="Refused before: likewise.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")]


@app.command("list")
def list_letters(
    *,
    config: ConfigFile = None,
    reason: Reasons = None,
    camera: Cameras = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first, and count them by reason."""
    wanted = Selection(frozenset(reason or ()), frozenset(camera or ()), since=since, until=until, limit=limit)
    with _open(config) as letters:
        found = _find(letters, wanted)
    if as_json:
        for entry in found:
            typer.echo(msgspec.json.encode(as_document(entry)))
    else:
        for line in as_table(found, wall_clock()):
            typer.echo(line)
        for count in counts(found):
            typer.echo(f"{count.letters:>6}  {count.reason:<14} {count.replayed} replayed")
        typer.echo(f"{len(found):>6}  in all, of topic {letters.topic!r}")


@app.command()
def show(
    position: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Where it lies, as `list` says.")],
    config: ConfigFile = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the picture here; the suffix of what it is comes behind.")
    ] = None,
) -> None:
    """Show all of one dead letter: what was wrong, every header, the stack."""
    with _open(config) as letters:
        (entry,) = _find(letters, _named([position], letters.topic))
        (letter,) = letters.at([entry.position])
    picture = letter.value or b""
    facts = {
        "position": f"{place(entry.position)} of topic {letters.topic!r}",
        "source": str(entry.source),
        "camera": entry.camera,
        "key": _shown(letter.key),
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
        lines = [printable(line) for line in _shown(value).splitlines()] or [""]
        typer.echo(
            "\n    ".join([f"  {printable(header)}:", *lines] if lines[1:] else [f"  {printable(header)}: {lines[0]}"])
        )
    if save is not None:
        typer.echo(f"saved     {_save(picture, save)}")


@app.command()
def replay(
    *,
    config: ConfigFile = None,
    reason: Reasons = None,
    camera: Cameras = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    position: Annotated[
        list[str] | None, typer.Option(metavar="PARTITION:OFFSET", help="This one, instead of filters; several times.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Frames a second, at most.")] = 10.0,
    go: Annotated[bool, typer.Option("--go", help="Really send; without it, only say what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed already.")] = False,
) -> None:
    """Put dead letters back to where they came from, each once; says what it would do, and does it with --go.

    A frame returns byte for byte, with its own headers, to its own partition, as old as it was. If it is refused again,
    that dead letter has a higher attempt. Stopped half-way, the same command goes on with the rest.
    """
    wanted = Selection(frozenset(reason or ()), frozenset(camera or ()), since=since, until=until, limit=limit)
    if position and wanted != Selection():
        raise typer.BadParameter("it names them one by one: leave out the filters", param_hint="--position")
    with _open(config, writes=go) as letters:
        found = _find(letters, _named(position, letters.topic) if position else wanted)
        left = [entry for entry in found if again or not entry.replayed]
        _check_targets(letters, left)
        for count in counts(left):
            typer.echo(f"{count.letters:>6}  {count.reason}")
        if len(left) < len(found):
            typer.echo(f"{len(found) - len(left):>6}  replayed already and left out; --again takes them too")
        if not left:
            typer.echo("Nothing to replay.")
        elif go:
            _send(letters, left, rate, onward="begins anew" if again else "goes on with the rest")
        else:
            typer.echo(f"Would replay {len(left)} dead letters, in {len(left) / rate:.0f} s or more; --go does it.")


def _named(texts: Sequence[str], topic: str) -> Selection:
    try:
        return Selection(positions=frozenset(position_of(text, topic) for text in texts))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _open(config: Path | None, *, writes: bool = False) -> "KafkaDeadLetters":
    """Open the dead letters that the settings name; faults in other settings do not matter here."""
    from worker.adapters.kafka import Topic
    from worker.adapters.kafka.dead_letters import KafkaDeadLetters

    groups, faults = read_groups(config)
    if not {"kafka", "topics"} <= groups.keys():
        raise SettingsError([fault for fault in faults if not fault.startswith("model")])
    kafka, topics = groups["kafka"], groups["topics"]
    return KafkaDeadLetters(
        kafka.bootstrap_servers,
        kafka.options,
        kafka.producer,
        topic=topics.dead_letters,
        marks=Topic(*replay_marks(topics.dead_letters)),
        writes=writes,
    )


def _find(letters: "KafkaDeadLetters", wanted: Selection) -> list[Entry]:
    """Find what is asked for; a position without a dead letter is an error, a record of others is only told of."""
    marks = letters.marks()  # before any letter, as both come through one reader
    found = survey(letters.at(wanted.positions) if wanted.positions else letters.read(), wanted, marks)
    if missing := wanted.positions - {entry.position for entry in found.entries}:
        raise WorkerError(
            f"no dead letter lies at {', '.join(map(place, sorted(missing)))} of topic {letters.topic!r}; "
            "those that are there: vision-worker deadletters list"
        )
    if found.strangers:
        first = found.strangers[0]
        typer.echo(f"{len(found.strangers)} records that are no dead letters passed over, the first {first}", err=True)
    return found.entries


def _check_targets(letters: "KafkaDeadLetters", entries: Sequence[Entry]) -> None:
    missing = letters.missing({entry.source.partition for entry in entries})
    if missing:
        raise WorkerError(
            f"frames came from {', '.join(map(str, sorted(missing)))}, which is not there: "
            "create the topic with as many partitions, or leave these dead letters out"
        )


def _send(letters: "KafkaDeadLetters", entries: Sequence[Entry], rate: float, *, onward: str) -> None:
    """Put frames back; says how many, however it ends, and what the same command would do then."""
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
        rest = "" if sent == len(entries) else f"; the same command {onward}"
        typer.echo(f"Replayed {sent} of {len(entries)} dead letters{rest}.")
    if sent < len(entries):
        raise WorkerError(f"{len(entries) - sent} of them went away meanwhile: retention took them")


def as_document(entry: Entry) -> dict[str, Any]:
    """Return a dead letter for programs."""
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
    """Return dead letters as lines for people, under a heading."""
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
    """Write a picture to a file that is not there yet, and return the file."""
    if not picture:
        raise WorkerError("it has no bytes to save")
    end = suffix(picture)
    path = file if file.suffix == end else file.with_name(file.name + end)
    try:
        with path.open("xb") as target:
            target.write(picture)
    except FileExistsError:
        raise WorkerError(f"{path} is there already, and is left as it is: name another file with --save") from None
    except OSError as error:
        raise WorkerError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _shown(value: bytes | None) -> str:
    return "none" if value is None else value.decode(errors="backslashreplace")
