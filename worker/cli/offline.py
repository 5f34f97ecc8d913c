"""The same pipeline on files, without Kafka: what `replay` and `render` share."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker import wire
from worker.domain.errors import SettingsError
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.settings import ModelGroup, Topics, read_groups
from worker.settings.offline import Groups

if TYPE_CHECKING:
    from worker.models.loaded import LoadedModel

SOURCE: Final = TopicPartition("replay", 0)
"""The partition that the frames of files are said to lie in; the first frame has offset 0."""


def offline_groups(config: Path | None, model: Path | str | None) -> Groups:
    """Return the settings in force for a run on files: those of model, sampling, window and limits.

    Args:
        config: settings as a YAML file.
        model: a folder or a manifest, or the name of a model; replaces the settings' model, and uses no profile.

    Raises:
        SettingsError: a setting that is used has a fault, or there is no model.
        ModelUnavailable: there is no such model, or no such device.
    """
    groups, faults = read_groups(config)
    # With --model, a model runs with default settings, equally on every machine: this is the reference for comparisons.
    group = _named(str(model)) if model else groups.get("model")
    faults = [fault for fault in faults if not fault.startswith(("kafka", "model" if model else "kafka"))]
    if group is None or faults:
        raise SettingsError(faults or ["give a model with --model or in --config"])

    from worker.tuning.in_force import in_force

    return in_force(Groups.of({**groups, "model": group})).groups


def _named(model: str) -> ModelGroup:
    is_path = os.sep in model or model.endswith((".yaml", ".yml")) or Path(model).exists()
    return ModelGroup(path=Path(model), profile="off") if is_path else ModelGroup(name=model, profile="off")


def read_frames(source: Path, *, labels: Path | None, camera: str | None, rate: float) -> Iterator[CapturedFrame]:
    """Return the frames of a folder of pictures or of a video; their times begin at 0.

    Raises:
        SettingsError: there are no pictures, or `labels` has faults.
        SourceLost: raised by the iterator, if it cannot be read.
    """
    from worker.media.folder import read_folder
    from worker.media.video import read_video

    start = EventMillis(0)
    if source.is_dir():
        return read_folder(source, start=start, rate=rate, labels=labels, camera=camera)
    return read_video(source, camera=camera or source.stem, start=start, rate=None)


def record_of(offset: int, frame: CapturedFrame) -> Record:
    """Return a frame as the record that it would be in Kafka, but for the timestamp, which a file does not have."""
    sent = wire.render_frame(SOURCE.topic, frame)
    return Record(Position(SOURCE, offset), sent.key, sent.value, sent.headers, EventMillis(0))


def dead_letter_of(record: OutboundRecord) -> wire.DeadLetterReport:
    """Read back what a published dead letter says."""
    return wire.parse_dead_letter(Record(Position(SOURCE, 0), record.key, record.value, record.headers, EventMillis(0)))


def run_offline(
    frames: Iterable[CapturedFrame],
    write: Callable[[OutboundRecord], None],
    groups: Groups,
    topics: Topics | None = None,
    model: "LoadedModel | None" = None,
) -> None:
    """Run a worker over the frames; what it would publish goes to `write`, which is called in another thread.

    The topics have their default names, and the model is that of the settings, unless others are given.

    Raises:
        WorkerError: the model cannot be loaded, the source cannot be read, or something other than a frame is broken.
    """
    from worker.app.main_thread import MainThread
    from worker.app.workers import memory_worker
    from worker.models.build import load_model

    inference = MainThread(groups.model.streams)
    loaded = model or load_model(groups.model)
    loaded.warm_up(1)
    with memory_worker(
        starmap(record_of, enumerate(frames)),
        write,
        inference,
        loaded=loaded,
        groups=groups,
        topics=topics or Topics(),
    ) as worker:
        inference.serve(worker.run)
