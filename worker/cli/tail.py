"""`vision-worker tail`: print results as they are published."""

from contextlib import closing
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from worker import wire
from worker.cli.kafka_settings import kafka_and_topics, missing_topic
from worker.cli.options import AsJson, BootstrapServers, ClientOptions, ConfigFile
from worker.domain.errors import SettingsError
from worker.domain.records import Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings import Kafka, Topics
from worker.views.clock import clock

SILENCES = 8
"""Polls of 0.2 s without a record, after which `tail` says what it waits for."""
BEST = 3
"""Classes of a clip in its line."""


class Kind(StrEnum):
    """The topics of results."""

    PREDICTIONS = "predictions"
    ACCURACY = "accuracy"
    DEAD_LETTERS = "dead-letters"
    SKIPPED = "skipped"


def tail(
    kind: Annotated[Kind, typer.Argument(help="The kind of results.")],
    *,
    config: ConfigFile = None,
    bootstrap_servers: BootstrapServers = None,
    option: ClientOptions = None,
    topic: Annotated[str | None, typer.Option(help="The topic; default: that of the settings.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start with the oldest record.")] = False,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after N records.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print predictions, running accuracy, dead letters or skipped frames as they are published. Ctrl-C stops it."""
    from worker.app.cluster import cluster_admin, cluster_reader

    kafka, topics = kafka_and_topics(config, bootstrap_servers, option)
    admin, name = cluster_admin(kafka), topic or _topic_of(kind, topics)
    if name is None:
        raise SettingsError(["topics.skipped is not set, so skipped frames are only counted; set it, or give --topic"])
    found = admin.topics([name])
    if name not in found:
        raise missing_topic(name, kafka, topics, admin.names())
    partitions = [TopicPartition(name, number) for number in range(found[name].partitions)]
    console, shown, silences = Console(soft_wrap=True, highlight=False), 0, 0
    with closing(cluster_reader(kafka)) as reader:
        for record in reader.follow(partitions, from_beginning=from_beginning):
            if record is None:
                silences += 1
                if silences == SILENCES and not shown:
                    typer.echo(_awaited(name, kafka, 0 if from_beginning else reader.held(partitions)), err=True)
            if record is None or record.value is None:
                continue
            if as_json:
                typer.echo(msgspec.json.encode(as_document(kind, record)))
            else:
                console.print(as_line(kind, record), markup=False)
            shown += 1
            if shown == count:
                break


def _awaited(topic: str, kafka: Kafka, older: int) -> str:
    """Return what `tail` waits for, and how to see older records."""
    hint = f"it has {older:,} older ones: --from-beginning shows them" if older else "it has none; a worker writes them"
    return f"waiting for records in topic {topic!r} at {kafka.bootstrap_servers}\n{hint}"


def _topic_of(kind: Kind, topics: Topics) -> str | None:
    """Return the topic of a kind; None if it is not set."""
    match kind:
        case Kind.PREDICTIONS:
            return topics.predictions
        case Kind.ACCURACY:
            return topics.accuracy
        case Kind.DEAD_LETTERS:
            return topics.dead_letters
        case Kind.SKIPPED:
            return topics.skipped


def as_document(kind: Kind, record: Record) -> Any:
    """Return one message for programs: unchanged, but a dead letter as its report."""
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
            return _prediction_line(wire.decode_message(record.value or b""))
        case Kind.ACCURACY:
            return _accuracy_line(wire.decode_accuracy(record.value or b""))
        case Kind.DEAD_LETTERS:
            report, key = wire.parse_dead_letter(record), (record.key or b"").decode(errors="replace")
            source = f"{report.topic}[{report.partition}]@{report.offset}"
            return f"{report.reason:<14} {key:<16} {len(record.value or b''):>9} bytes  {source}  {report.text}"
        case Kind.SKIPPED:
            return _skipped_line(wire.decode_skipped(record.value or b""))


def _prediction_line(message: wire.Message) -> str:
    age = message.published_at_ms - message.captured_at_ms
    match message:
        case wire.DetectionMessage():
            said, more = _objects(message), _compared(message)
        case wire.SegmentationMessage():
            said, more = _areas(message), ""
        case wire.EmbeddingMessage():
            said, more = f"{len(message.vector)} numbers", ""
        case _:
            return _labelled_line(message, age)
    return f"  {message.frame.camera:<16} {said:<31}  {age:>6} ms{more}"


_Labelled = wire.PredictionMessage | wire.MultiLabelMessage | wire.FrameValueMessage


def _labelled_line(message: _Labelled, age: int) -> str:
    mark = " " if message.correct is None else "+" if _right(message) else "-"
    label = f"  label {message.label}" if message.label else ""
    match message:
        case wire.FrameValueMessage():
            said, more = _value(message), ""
        case wire.MultiLabelMessage():
            said, more = f"{_named(message):<31}", ""
        case wire.ClipMessage():
            said, more = _best(message), _clip(message)
        case wire.RecurrentMessage(steps=steps):
            said, more = _best(message), f"  after {steps} frame{'s' * (steps != 1)}"
        case wire.PredictionMessage():
            said, more = _best(message), ""
    return f"{mark} {message.frame.camera:<16} {said}  {age:>6} ms{label}{more}"


def _right(message: _Labelled) -> bool:
    match message.correct:
        case wire.NamedField(exact=exact):
            return exact
        case wire.CorrectField(top1=top1):
            return top1
    return False


def _named(message: wire.MultiLabelMessage) -> str:
    sure = {each.name: each.probability for each in message.classes}
    return ", ".join(f"{name} {sure[name]:.1%}" for name in message.named) or "none of the classes"


def _best(message: wire.PredictionMessage) -> str:
    best = message.classes[0]
    return f"{best.name:<24} {best.probability:6.1%}"


def _clip(message: wire.ClipMessage) -> str:
    """Say which clip, and what else it may show."""
    clip = message.clip
    began, ended = (clock(EventMillis(end.captured_at_ms)) for end in (clip.first, clip.last))
    others = ", ".join(f"{each.name} {each.probability:.1%}" for each in message.classes[1:BEST])
    return f"  {began} to {ended}, {clip.used} of {clip.frames} frames{others and f', else {others}'}"


def _value(message: wire.FrameValueMessage) -> str:
    sign = ">=" if message.value >= message.threshold else "<"
    event = f"*** {message.event} ***" if message.event else ""
    return f"{event:<24} {message.value:.3f} {sign:<2} {message.threshold:.3f}"


def _objects(message: wire.DetectionMessage) -> str:
    return ", ".join(f"{count} {name}" for name, count in message.counts.items()) or "nothing found"


def _compared(message: wire.DetectionMessage) -> str:
    correct = message.correct
    if correct is None:
        return ""
    return f"  {correct.hits} of {correct.hits + correct.misses} true boxes found, {correct.false_alarms} false alarms"


def _areas(message: wire.SegmentationMessage) -> str:
    return ", ".join(f"{each.name} {each.share:.1%}" for each in message.shares[:BEST])


def _skipped_line(message: wire.SkippedMessage) -> str:
    frame = message.frame
    source = f"{frame.topic}[{frame.partition}]@{frame.offset}"
    return f"{message.reason:<14} {frame.camera:<16} {clock(EventMillis(message.captured_at_ms))}  {source}"


def _accuracy_line(message: wire.AccuracyMessage) -> str:
    if boxes := message.detection:
        precision, recall = ("n/a" if each is None else f"{each:.1%}" for each in (boxes.precision, boxes.recall))
        return (
            f"{message.camera:<16} precision {precision}, recall {recall}: {boxes.hits} hits, {boxes.misses} misses, "
            f"{boxes.false_alarms} false alarms in {message.labelled} labelled, {message.seen} seen  "
            f"{message.model.name}@{message.model.version}"
        )
    if several := message.multi_label:
        return (
            f"{message.camera:<16} exact {several.exact_ratio:.1%}, Jaccard {several.jaccard:.1%}: {several.exact} of "
            f"{message.labelled} labelled, {message.seen} seen  {message.model.name}@{message.model.version}"
        )
    ratio = "   n/a" if message.accuracy.top1 is None else f"{message.accuracy.top1:6.1%}"
    return (
        f"{message.camera:<16} {ratio}  {message.correct.top1} of {message.labelled} labelled, "
        f"{message.seen} seen  {message.model.name}@{message.model.version}"
    )
