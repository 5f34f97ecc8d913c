"""`vision-worker tail`: print results as they are published."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from worker import wire
from worker.cli.options import AsJson, BootstrapServers
from worker.domain.errors import WorkerError
from worker.domain.records import Record, TopicPartition


class Kind(StrEnum):
    """The topics of results."""

    PREDICTIONS = "predictions"
    ACCURACY = "accuracy"
    DEAD_LETTERS = "dead-letters"


def tail(
    kind: Annotated[Kind, typer.Argument(help="The kind of results.")],
    bootstrap_servers: BootstrapServers,
    topic: Annotated[str | None, typer.Option(help="The topic, if its name differs from the kind.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start with the oldest record.")] = False,  # noqa: FBT002
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after N records.")] = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print predictions, running accuracy or dead letters as they are published. Ctrl-C stops it."""
    from worker.adapters.kafka import KafkaAdmin, KafkaReader

    name = topic or kind.value
    found = KafkaAdmin(bootstrap_servers, {}).topics([name])
    if name not in found:
        raise WorkerError(f"topic {name!r} does not exist at {bootstrap_servers}; give another one with --topic")
    partitions = [TopicPartition(name, number) for number in range(found[name].partitions)]
    reader, console, shown = KafkaReader(bootstrap_servers, {}), Console(soft_wrap=True, highlight=False), 0
    try:
        for record in reader.follow(partitions, from_beginning=from_beginning):
            if record is None or record.value is None:
                continue
            if as_json:
                typer.echo(msgspec.json.encode(as_document(kind, record)))
            else:
                console.print(as_line(kind, record), markup=False)
            shown += 1
            if shown == count:
                break
    except KeyboardInterrupt:
        pass
    finally:
        reader.close()


def as_document(kind: Kind, record: Record) -> Any:
    """Return one message for programs: predictions and accuracy unchanged, a dead letter as its report."""
    if kind is not Kind.DEAD_LETTERS:
        return msgspec.Raw(record.value or b"null")
    return {
        "position": str(record.position),
        "key": (record.key or b"").decode(errors="replace"),
        "bytes": len(record.value or b""),
        "report": wire.parse_dead_letter(record),
    }


def as_line(kind: Kind, record: Record) -> str:
    """Return one message as a line for people."""
    match kind:
        case Kind.PREDICTIONS:
            return _prediction_line(wire.decode_prediction(record.value or b""))
        case Kind.ACCURACY:
            return _accuracy_line(wire.decode_accuracy(record.value or b""))
        case Kind.DEAD_LETTERS:
            report, key = wire.parse_dead_letter(record), (record.key or b"").decode(errors="replace")
            source = f"{report.topic}[{report.partition}]@{report.offset}"
            return f"{report.reason:<14} {key:<16} {len(record.value or b''):>9} bytes  {source}  {report.text}"


def _prediction_line(message: wire.PredictionMessage) -> str:
    best, correct = message.classes[0], message.correct
    mark = " " if correct is None else "+" if correct.top1 else "-"
    age = message.published_at_ms - message.captured_at_ms
    label = f"  label {message.label}" if message.label else ""
    return f"{mark} {message.frame.camera:<16} {best.name:<24} {best.probability:6.1%}  {age:>6} ms{label}"


def _accuracy_line(message: wire.AccuracyMessage) -> str:
    ratio = "   n/a" if message.accuracy.top1 is None else f"{message.accuracy.top1:6.1%}"
    return (
        f"{message.camera:<16} {ratio}  {message.correct.top1} of {message.labelled} labelled, "
        f"{message.seen} seen  {message.model.name}@{message.model.version}"
    )
