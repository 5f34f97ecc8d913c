"""What other programs rely on: every message that a worker writes, held against schemas/ and against its frame."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.cameras import Cameras, last_tallies, pictures, published_counts
from tests.support.schemas import check_headers, check_json
from tests.support.workers import WorkerProcess, stage
from worker.domain.records import OutboundRecord, Record

PARTITIONS = 3
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True, slots=True)
class Written:
    """All that lies in the topics once a worker has come and gone."""

    frames: dict[tuple[int, int], Record]
    predictions: list[Record]
    accuracy: list[Record]
    dead_letters: list[Record]


@pytest.fixture(scope="module")
def written(bootstrap_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    with stage(bootstrap_servers, partitions=PARTITIONS) as on:
        cameras = Cameras(on)
        settings = on.settings(model={"top_k": 3}, delivery={"commit_interval_ms": 0})
        with WorkerProcess(settings, tmp_path_factory.mktemp("contract")) as worker:
            cameras.send(20)
            traced = (("traceparent", TRACE), ("label", b"Egyptian cat"), ("frame-id", b"the traced one"))
            on.send(
                [
                    OutboundRecord(on.frames, 2, b"chelsea", pictures(0)[0], traced),
                    OutboundRecord(on.frames, 1, b"Kamera/S\xc3\xbcd", pictures(1)[0]),
                    OutboundRecord(on.frames, 0, None, pictures(2)[0]),
                    OutboundRecord(on.frames, 0, b"chelsea", b"no picture"),
                    OutboundRecord(on.frames, 1, b"chelsea", pictures(0)[0], (("captured-at", b"soon"),)),
                ]
            )
            on.wait_until_done()
            # More, once the first are counted: their accuracy replaces what was published before.
            cameras.send(20)
            on.wait_until_done()
            assert worker.stop() == 0
        frames = {(r.position.partition.partition, r.position.offset): r for r in on.read(on.frames)}
        yield Written(frames, on.read(on.predictions), on.read(on.accuracy), on.read(on.dead_letters))


def test_every_message_fits_its_schema(written: Written) -> None:
    for record in written.predictions:
        check_json("prediction", record.value)
    for record in written.accuracy:
        check_json("accuracy", record.value)
    for record in written.dead_letters:
        check_headers("dead-letter", record.headers)
    assert len(written.predictions) == 43
    assert len(written.dead_letters) == 2


def test_a_prediction_lies_beside_its_frame_under_its_camera(written: Written) -> None:
    for record in written.predictions:
        message = check_json("prediction", record.value)
        frame = written.frames[message["frame"]["partition"], message["frame"]["offset"]]
        assert record.position.partition.partition == frame.position.partition.partition
        assert message["frame"]["topic"] == frame.position.partition.topic
        assert (record.key or b"").decode() == message["frame"]["camera"]
        assert frame.key in {record.key, None}
        assert dict(record.headers)["content-type"] == b"application/json"


def test_a_prediction_repeats_what_its_frame_says_of_itself(written: Written) -> None:
    for record in written.predictions:
        message = check_json("prediction", record.value)
        frame = written.frames[message["frame"]["partition"], message["frame"]["offset"]]
        headers = {name: (value or b"").decode() for name, value in frame.headers}
        assert message["captured_at_ms"] == int(headers.get("captured-at", frame.timestamp))
        assert message["label"] == headers.get("label")
        assert len(message["classes"]) == 3
        window = message["window"]
        assert window["start_ms"] <= message["captured_at_ms"] < window["end_ms"]
        assert message["captured_at_ms"] <= message["arrived_at_ms"] <= message["published_at_ms"]


def test_a_trace_is_handed_on(written: Written) -> None:
    (traced,) = [record for record in written.predictions if ("traceparent", TRACE) in record.headers]

    assert check_json("prediction", traced.value)["frame"]["id"] == "the traced one"


def test_a_frame_without_a_key_is_of_the_camera_its_partition_is_called(written: Written) -> None:
    (topic,) = {place.position.partition.topic for place in written.frames.values()}
    cameras = {check_json("prediction", record.value)["frame"]["camera"] for record in written.predictions}

    assert {f"{topic}-0", "Kamera/Süd"} <= cameras


def test_compaction_keeps_the_latest_count_of_each_camera_and_partition(written: Written) -> None:
    """A key names one camera, topic and model; within a partition its last record has counted the most."""
    latest: dict[tuple[int, bytes], dict[str, int]] = {}
    for record in written.accuracy:
        message = check_json("accuracy", record.value)
        assert record.key is not None
        assert record.position.partition.partition == message["partition"]
        model = f"{message['model']['name']}@{message['model']['version']}"
        assert record.key.decode() == f"{message['topic']}/{model}/{message['camera']}"
        before = latest.get((message["partition"], record.key))
        assert before is None or before["seen"] < message["seen"]
        assert before is None or before["next_offset"] < message["next_offset"]
        latest[message["partition"], record.key] = message
    assert len(written.accuracy) > len(latest) > PARTITIONS


def test_the_latest_counts_add_up_to_all_frames(written: Written) -> None:
    counts = published_counts(last_tallies(written.accuracy).values())
    cameras = [json.loads(record.value or b"")["frame"]["camera"] for record in written.predictions]

    assert {camera: counts[camera, "seen"] for camera in cameras} == {
        camera: cameras.count(camera) for camera in cameras
    }
