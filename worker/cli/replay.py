"""`vision-worker replay`: run the same pipeline on files, without Kafka."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from worker import wire
from worker.cli.options import ConfigFile
from worker.domain.errors import SettingsError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings import ModelGroup, Topics, read_groups

SOURCE = TopicPartition("replay", 0)


def replay(
    source: Annotated[Path, typer.Argument(exists=True, help="A folder of pictures, or a video file.")],
    config: ConfigFile = None,
    model: Annotated[
        Path | None, typer.Option(help="Model manifest; replaces the settings' model, and uses no profile.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of labels and recorded headers.")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera id; default: from the files.")] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Pictures per second if no capture time is recorded.")] = 25.0,
) -> None:
    """Print, as JSON lines, the predictions, dead letters and final accuracy that a worker would publish.

    Only the settings of model, sampling, window and limits are used; no broker is needed.
    """
    groups, faults = read_groups(config)
    # With --model, a model runs with default settings, equally on every machine: this is the reference for comparisons.
    group = ModelGroup(path=model, profile="off") if model else groups.get("model")
    faults = [fault for fault in faults if not fault.startswith(("kafka", "model" if model else "kafka"))]
    if group is None or faults:
        raise SettingsError(faults or ["give a model with --model or in --config"])

    from worker.app.main_thread import MainThread
    from worker.app.workers import memory_worker
    from worker.models.build import load_model
    from worker.tuning.groups import Groups
    from worker.tuning.in_force import in_force

    chosen = in_force(Groups.of({**groups, "model": group})).groups

    topics, accuracy = Topics(), dict[bytes | None, OutboundRecord]()

    def write(record: OutboundRecord) -> None:
        if record.topic == topics.accuracy:
            accuracy[record.key] = record
        else:
            sys.stdout.buffer.write(_line(record, topics))

    frames = _frames(source, labels=labels, camera=camera, rate=rate)
    inference = MainThread(chosen.model.streams)
    loaded = load_model(chosen.model)
    loaded.warm_up(1)
    with memory_worker(
        _records(frames),
        write,
        inference,
        loaded=loaded,
        model=chosen.model,
        window=chosen.window,
        limits=chosen.limits,
        sampling=chosen.sampling,
    ) as worker:
        inference.serve(worker.run)
    for record in accuracy.values():
        sys.stdout.buffer.write(_line(record, topics))
    sys.stdout.flush()


def _frames(source: Path, *, labels: Path | None, camera: str | None, rate: float) -> Iterator[CapturedFrame]:
    from worker.media.folder import read_folder
    from worker.media.video import read_video

    start = EventMillis(0)
    if source.is_dir():
        return read_folder(source, start=start, rate=rate, labels=labels, camera=camera)
    return read_video(source, camera=camera or source.stem, start=start, rate=None)


def _records(frames: Iterator[CapturedFrame]) -> Iterator[Record]:
    """Yield frames as the records that they would be in Kafka."""
    for offset, frame in enumerate(frames):
        sent = wire.render_frame(SOURCE.topic, frame)
        yield Record(Position(SOURCE, offset), sent.key, sent.value, sent.headers, frame.captured_at)


def _line(record: OutboundRecord, topics: Topics) -> bytes:
    kind = {topics.predictions: "prediction", topics.accuracy: "accuracy"}.get(record.topic, "dead_letter")
    if kind == "dead_letter":
        content = Record(Position(SOURCE, 0), record.key, record.value, record.headers, EventMillis(0))
        return msgspec.json.encode({kind: wire.parse_dead_letter(content)}) + b"\n"
    return msgspec.json.encode({kind: msgspec.Raw(record.value or b"null")}) + b"\n"
