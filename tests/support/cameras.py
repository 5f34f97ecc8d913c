"""Cameras that send real pictures, and the expected results, counted independently of the worker."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import count, cycle, islice
from typing import Final

from tests.support.workers import Stage, model_folder
from worker import wire
from worker.adapters.clocks import wall_clock
from worker.domain.frames import CapturedFrame
from worker.domain.records import OutboundRecord, Record
from worker.domain.tallies import Tally, TallyKey
from worker.local.samples import PHOTOGRAPHS, load_photograph
from worker.local.scenes import Scene

SMALL: Final = (224, 168)
"""(width, height) of the frames: real pictures that decode quickly."""


@cache
def pictures(camera: int) -> Sequence[bytes]:
    """Render a camera's pictures: small JPEGs of a real photograph in motion."""
    photograph = PHOTOGRAPHS[camera % len(PHOTOGRAPHS)]
    scene = Scene(load_photograph(photograph), photograph.seed, SMALL, length=30)
    return list(scene.frames())


class Cameras:
    """Five cameras that take turns, each in one partition; every tenth frame has no label.

    Some labels are an index instead of a name, and some name no class: a producer may send all of these.
    """

    def __init__(self, on: Stage) -> None:
        self._stage = on
        self._numbers = count()
        self._shots = [cycle(pictures(camera)) for camera in range(len(PHOTOGRAPHS))]

    def send(self, frames: int) -> None:
        """Send the next frames, and return when they are confirmed."""
        self._stage.send(islice(self.frames(), frames))

    def frames(self) -> Iterator[OutboundRecord]:
        """Shoot frames without end; each call goes on where the last one stopped."""
        while True:
            yield self._next()

    def _next(self) -> OutboundRecord:
        number = next(self._numbers)
        camera = number % len(PHOTOGRAPHS)
        photograph = PHOTOGRAPHS[camera]
        label = {3: None, 7: "no such class", 9: "285"}.get(number // len(PHOTOGRAPHS) % 10, photograph.label)
        frame = CapturedFrame(photograph.name, next(self._shots[camera]), wall_clock(), "image/jpeg", label=label)
        sent = wire.render_frame(self._stage.frames, frame)
        partition = camera % self._stage.partitions
        return OutboundRecord(sent.topic, partition, sent.key, sent.value, sent.headers)


def last_tallies(records: Iterable[Record]) -> dict[TallyKey, Tally]:
    """Return what compaction keeps: the last record of each key in each partition, as a tally."""
    kept = {(record.position.partition, record.key): record for record in records}
    tallies = (wire.parse_accuracy(record) for record in kept.values())
    return {tally.key: tally for tally in tallies if tally is not None}


def expected_counts(
    frames: Iterable[Record], predictions: Iterable[wire.PredictionMessage]
) -> Counter[tuple[str, str]]:
    """Count from the frames sent and each frame's first prediction: number of frames by (camera, what is counted)."""
    names = (model_folder() / "labels.txt").read_text().splitlines()
    first: dict[tuple[int, int], wire.PredictionMessage] = {}
    for prediction in predictions:
        first.setdefault((prediction.frame.partition, prediction.frame.offset), prediction)
    counts = Counter[tuple[str, str]]()
    for record in frames:
        camera, at = (record.key or b"").decode(), record.position
        classes = [each.name for each in first[at.partition.partition, at.offset].classes]
        label = dict(record.headers).get("label", b"") or b""
        truth = names[int(label)] if label.isdigit() else label.decode()
        counts[camera, "seen"] += 1
        counts[camera, "labelled"] += truth in names
        counts[camera, "top1"] += classes[0] == truth
        counts[camera, "top5"] += truth in classes[:5]
    return +counts


def published_counts(tallies: Iterable[Tally]) -> Counter[tuple[str, str]]:
    """Sum running accuracy over partitions: number of frames by (camera, what is counted)."""
    counts = Counter[tuple[str, str]]()
    for tally in tallies:
        counts[tally.key.camera, "seen"] += tally.seen
        counts[tally.key.camera, "labelled"] += tally.labelled
        counts[tally.key.camera, "top1"] += tally.correct_top1
        counts[tally.key.camera, "top5"] += tally.correct_top5
    return +counts


def times_predicted(predictions: Iterable[wire.PredictionMessage]) -> Counter[tuple[int, int]]:
    """Count the predictions of each frame, by partition and offset."""
    return Counter((each.frame.partition, each.frame.offset) for each in predictions)


def places(records: Iterable[Record]) -> set[tuple[int, int]]:
    """Return the partition and offset of each record."""
    return {(record.position.partition.partition, record.position.offset) for record in records}
