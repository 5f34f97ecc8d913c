"""`vision-worker replay`: run the same pipeline on files, without Kafka."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from worker.cli.offline import dead_letter_of, offline_groups, read_frames, run_offline
from worker.cli.options import ConfigFile
from worker.domain.records import OutboundRecord
from worker.settings import Topics


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
    groups = offline_groups(config, model)
    topics, accuracy = Topics(), dict[bytes | None, OutboundRecord]()

    def write(record: OutboundRecord) -> None:
        if record.topic == topics.accuracy:
            accuracy[record.key] = record
        else:
            sys.stdout.buffer.write(_line(record, topics))

    run_offline(read_frames(source, labels=labels, camera=camera, rate=rate), write, groups)
    for record in accuracy.values():
        sys.stdout.buffer.write(_line(record, topics))
    sys.stdout.flush()


def _line(record: OutboundRecord, topics: Topics) -> bytes:
    kind = {topics.predictions: "prediction", topics.accuracy: "accuracy"}.get(record.topic, "dead_letter")
    if kind == "dead_letter":
        return msgspec.json.encode({kind: dead_letter_of(record)}) + b"\n"
    return msgspec.json.encode({kind: msgspec.Raw(record.value or b"null")}) + b"\n"
