"""Build records, frames and predictions; a test gives only the values that it needs."""

from worker.domain.batches import ClosedBy
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.records import Headers, Position, Record, TopicPartition
from worker.domain.results import BoxVerdict, Classification, ModelIdentity, Prediction, ScoredClass, Verdict
from worker.domain.samples import Sample
from worker.domain.times import EventMillis, Monotonic
from worker.domain.windows import TumblingWindows

FRAMES = TopicPartition("frames", 0)
MODEL = ModelIdentity("tiny", "0123456789ab")


def a_record(
    offset: int = 0,
    *,
    partition: int = 0,
    value: bytes | None = b"picture",
    key: bytes | None = b"cam-1",
    headers: Headers = (),
    timestamp: int = 1_000,
) -> Record:
    position = Position(TopicPartition("frames", partition), offset)
    return Record(position, key, value, headers, EventMillis(timestamp))


def a_frame(
    offset: int = 0, *, partition: int = 0, captured_at: int = 1_000, camera: str = "cam-1", label: str | None = None
) -> EncodedFrame:
    record = a_record(offset, partition=partition, timestamp=captured_at)
    frame = Frame(
        position=record.position,
        camera=camera,
        frame_id=f"frames-{partition}-{offset}",
        captured_at=EventMillis(captured_at),
        arrived_at=EventMillis(captured_at + 5),
        arrived=Monotonic(0.0),
        label=label,
    )
    return EncodedFrame(frame, record)


def a_sample(offset: int = 0, *, partition: int = 0, captured_at: int = 1_000, camera: str = "cam-1") -> Sample:
    alone = (a_frame(offset, partition=partition, captured_at=captured_at, camera=camera),)
    return Sample(alone, alone)


def a_prediction(
    encoded: EncodedFrame, verdict: Verdict | BoxVerdict | None = None, model: ModelIdentity = MODEL
) -> Prediction:
    return Prediction(
        frame=encoded.frame,
        window=TumblingWindows(1_000).of(encoded.frame.captured_at),
        model=model,
        result=Classification((ScoredClass(3, "cat", 0.75), ScoredClass(1, "dog", 0.25)), (3, 1)),
        label=encoded.frame.label,
        verdict=verdict,
        late=False,
        closed_by=ClosedBy.WATERMARK,
        seconds={"gather": 0.5, "decode": 0.001, "classify": 0.02},
        took=0.021,
    )
