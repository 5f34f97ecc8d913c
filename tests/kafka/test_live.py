"""`vision-worker produce` with live cameras, as a person runs it, into a real Kafka."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.kafka.conftest import MakeTopic
from tests.support.mjpeg import MjpegCamera, colours_of, decode, number_of
from worker import wire
from worker.adapters.clocks import monotonic_clock, wall_clock
from worker.adapters.kafka import KafkaReader
from worker.domain.records import Record, TopicPartition

USER, PASSWORD, TOKEN = SECRETS = ("inspector", "geheim", "tok3n")
LOUD = {
    "OPENCV_LOG_LEVEL": "DEBUG",
    "OPENCV_VIDEOIO_DEBUG": "1",
    "OPENCV_FFMPEG_DEBUG": "1",
    "OPENCV_FFMPEG_LOGLEVEL": "56",
}
"""With these, OpenCV and FFmpeg write all that they know, whole addresses included."""


def produced(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker", "produce", *words]
    return subprocess.run(
        command, env=os.environ | LOUD | variables, capture_output=True, text=True, timeout=120, check=False
    )


def records_of(bootstrap_servers: str, topic: str) -> Sequence[Record]:
    reader = KafkaReader(bootstrap_servers, {"fetch.wait.max.ms": 10})
    try:
        return list(reader.read_to_end([TopicPartition(topic, 0)]))
    finally:
        reader.close()


def with_secrets(camera: MjpegCamera) -> str:
    return camera.address.replace("//", f"//{USER}:{PASSWORD}@") + f"?token={TOKEN}"


def test_a_camera_is_sent_across_a_break_beside_one_that_is_off_and_no_secret_is_shown(
    bootstrap_servers: str, make_topic: MakeTopic
) -> None:
    topic, began = make_topic(), wall_clock()
    user = f"{USER}:{PASSWORD}"
    with MjpegCamera([40, 0, 40], interval=0.02, user=user) as gate, MjpegCamera([], user=user) as off:
        ran = produced(
            with_secrets(gate), with_secrets(off), "--topic", topic, "--scale", "0.5", "--give-up-after", "4", "--json",
            KAFKA_BOOTSTRAP_SERVERS=bootstrap_servers,
        )  # fmt: skip
    said, records = json.loads(ran.stdout), records_of(bootstrap_servers, topic)
    sending, silent = (f"127.0.0.1-{camera.port}-live-main" for camera in (gate, off))

    assert set(gate.requested) == {f"/live/main?token={TOKEN}"}
    assert said["cameras"] == {sending: len(records)}
    assert said["dropped"] == {sending: 80 - len(records), silent: 0}
    assert said["reconnects"] == {sending: 1, silent: 0}
    assert said["confirmed"]

    jpegs = [record.value or b"" for record in records]
    numbers = [number_of(jpeg) for jpeg in jpegs]
    left, right = colours_of(jpegs[0])
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 79
    assert decode(jpegs[0]).shape == (48, 128, 3)
    assert left == pytest.approx([255, 0, 0], abs=8)
    assert right == pytest.approx([0, 0, 255], abs=8)

    parsed = [wire.parse_frame(record, arrived_at=wall_clock(), arrived=monotonic_clock()) for record in records]
    times = [each.frame.captured_at for each in parsed]
    assert {each.frame.camera for each in parsed} == {sending}
    assert began <= times[0]
    assert times == sorted(times)

    assert ran.returncode == 1
    assert ran.stderr.count("given up: ") == 2
    assert f"{off.address} cannot be opened: is the camera on" in ran.stderr
    sent = b"".join(value or b"" for record in records for _, value in record.headers)
    assert [secret for secret in SECRETS if secret in ran.stdout + ran.stderr or secret.encode() in sent] == []
