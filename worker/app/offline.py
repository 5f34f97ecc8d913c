"""The same pipeline on files, without Kafka: what `replay`, `render`, `evaluate` and Python programs share."""

from collections.abc import Callable, Iterable
from itertools import starmap
from typing import Final

from worker import wire
from worker.app.main_thread import MainThread
from worker.app.workers import DEFAULT_TOPICS, memory_worker
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.models.loaded import LoadedModel
from worker.settings import Topics
from worker.settings.offline import Groups

SOURCE: Final = TopicPartition("replay", 0)
"""The partition that the frames of files are said to lie in; the first frame has offset 0."""


def record_of(offset: int, frame: CapturedFrame) -> Record:
    """Return a frame as the record that it would be in Kafka, but for the timestamp, which a file does not have."""
    sent = wire.render_frame(SOURCE.topic, frame)
    return Record(Position(SOURCE, offset), sent.key, sent.value, sent.headers, EventMillis(0))


def run_offline(
    frames: Iterable[CapturedFrame],
    write: Callable[[OutboundRecord], None],
    groups: Groups,
    loaded: LoadedModel,
    topics: Topics = DEFAULT_TOPICS,
) -> None:
    """Run a worker over the frames; what it would publish goes to `write`, which is called in another thread.

    Args:
        frames: are read in another thread.
        write: takes each record.
        groups: the settings; `loaded` is the model that they name.
        loaded: the model.
        topics: names of the topics; those that are unset get nothing.

    Raises:
        WorkerError: the source cannot be read, or something other than a frame is broken.
    """
    inference = MainThread(loaded.streams)
    loaded.warm_up(1)
    script = starmap(record_of, enumerate(frames))
    with memory_worker(script, write, inference, loaded=loaded, groups=groups, topics=topics) as worker:
        inference.serve(worker.run)
