"""Labelled frames through a real Kafka and two workers, one of which is killed in the middle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.cameras import last_tallies
from tests.support.workers import Stage, WorkerProcess, stage, wait_until
from worker import wire
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord
from worker.domain.tallies import Tally

PARTITIONS: Final = 4
KILLED_AFTER: Final = 0.3
"""Share of the frames that are committed before the first worker is killed."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What came out of it.

    Attributes:
        predictions: all that a consumer reads, in offset order within each partition.
        tallies: running accuracy at the end, of each camera.
        sent: how many frames were sent.
        uncommitted_at_kill: frames that were sent and not committed when the worker was killed.
    """

    predictions: Sequence[wire.Message]
    tallies: Sequence[Tally]
    sent: int
    uncommitted_at_kill: int

    def total(self, count: str) -> int:
        """Add up one of the counts over the cameras."""
        return sum(getattr(each, count) for each in self.tallies)


def through_kafka(
    servers: str,
    folder: Path,
    model: Path,
    frames: Iterable[CapturedFrame],
    *,
    keeps_states: bool = False,
    **groups: Mapping[str, Any],
) -> Passed:
    """Send frames to two workers, exactly once; kill one of them, and start another.

    Args:
        servers: the Kafka.
        folder: for the workers' settings and logs.
        model: what they run.
        frames: what is sent; each camera goes to one partition.
        keeps_states: whether the model is recurrent.
        groups: more settings, by group.
    """
    with stage(servers, partitions=PARTITIONS, notes_skipped=True, keeps_states=keeps_states) as on:
        records = _records(on, frames)
        settings = on.settings(
            model={"path": str(model)},
            delivery={"guarantee": "exactly_once", "commit_interval_ms": 100},
            **groups,
        )
        half = len(records) // 2
        with WorkerProcess(settings, folder) as first, WorkerProcess(settings, folder) as second:
            first.wait_until_ready()
            second.wait_until_ready()
            wait_until(lambda: _assigned(first) == _assigned(second) == PARTITIONS // 2, "each has half")
            on.send(records[:half])
            wait_until(lambda: _committed(on) >= KILLED_AFTER * half, "some frames are committed")
            on.send(records[half:])
            first.kill()
            left = len(records) - _committed(on)
            with WorkerProcess(settings, folder):
                on.wait_until_done()
        predictions = [wire.decode_message(each.value or b"") for each in on.read(on.predictions)]
        return Passed(predictions, list(last_tallies(on.read(on.accuracy)).values()), len(records), left)


def _records(on: Stage, frames: Iterable[CapturedFrame]) -> list[OutboundRecord]:
    partitions = dict[str, int]()
    records = []
    for frame in frames:
        sent = wire.render_frame(on.frames, frame)
        partition = partitions.setdefault(frame.camera, len(partitions) % on.partitions)
        records.append(OutboundRecord(sent.topic, partition, sent.key, sent.value, sent.headers))
    return records


def _committed(on: Stage) -> int:
    return sum(on.committed().values())


def _assigned(worker: WorkerProcess) -> float:
    return sum(worker.metrics("assigned_partitions").values())
