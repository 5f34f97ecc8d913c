"""A real video as two cameras through Kafka: TransNetV2 finds its cuts, whatever befalls the workers between."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.workers import Stage, WarmWorker, stage, wait_until
from worker import wire
from worker.adapters.kafka import KafkaSink
from worker.domain.records import OutboundRecord
from worker.domain.times import EventMillis
from worker.local.samples import fetch_video
from worker.media.video import read_video
from worker.models.ready import ready_model
from worker.wire.frame import CAMERA_ID

pytestmark = pytest.mark.slow

CUTS = [29, 75, 136, 186, 241]
"""The last frame of each shot but the last, as known of this video."""
CAMERAS = ("bikes-0", "bikes-1")
"""One in each partition."""
EPOCH = EventMillis(1_700_000_000_000)
"""A multiple of TransNetV2's two seconds, so that windows lie as in `replay`, whose time begins at 0."""
FRAMES_A_SECOND = 50.0
IDLE = 2_000
"""Milliseconds of silence after which the last frames get their values; less than what a takeover takes."""


@pytest.fixture(scope="module")
def replayed() -> Mapping[int, float]:
    """Return the value of each frame as `vision-worker replay` gives it."""
    command = [sys.executable, "-m", "worker", "replay", str(fetch_video("bikes")), "--model"]
    ran = subprocess.run([*command, str(ready_model("transnetv2"))], check=True, capture_output=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    return {line["prediction"]["frame"]["offset"]: line["prediction"]["value"] for line in lines[:-1]}


def send(on: Stage) -> None:
    """Send the video as both cameras, faster than it was taken."""
    sink, began = KafkaSink(on.servers, {}), time.monotonic()
    try:
        for number, frame in enumerate(read_video(fetch_video("bikes"), camera="", start=EPOCH)):
            time.sleep(max(0.0, began + number / FRAMES_A_SECOND - time.monotonic()))
            sent = wire.render_frame(on.frames, frame)
            headers = tuple(header for header in sent.headers if header[0] != CAMERA_ID)
            for partition, camera in enumerate(CAMERAS):
                sink.send(OutboundRecord(on.frames, partition, camera.encode(), sent.value, headers))
        sink.flush()
    finally:
        sink.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guarantee", [pytest.param("at_least_once", marks=pytest.mark.thorough), "exactly_once"])
def test_cuts_are_found_once_although_a_worker_is_killed_and_another_comes(
    bootstrap_servers: str, replayed: Mapping[int, float], guarantee: str, tmp_path: Path
) -> None:
    with stage(bootstrap_servers, partitions=2) as on, ExitStack() as workers, ThreadPoolExecutor(1) as sender:

        def start() -> WarmWorker:
            settings = on.settings(
                model={"path": str(ready_model("transnetv2")), "threads": 1},
                sampling={"idle_ms": IDLE},
                delivery={"guarantee": guarantee},
            )
            return workers.enter_context(WarmWorker(settings, tmp_path))

        first, second = start(), start()
        first.wait_until_ready()
        second.wait_until_ready()
        sending = sender.submit(send, on)
        wait_until(lambda: len(on.read(on.predictions)) > 0, "the first values", every=0.5)
        first.kill()
        third = start()
        sending.result()
        third.wait_until_ready()
        on.wait_until_done()
        assert (second.stop(), third.stop()) == (0, 0)

        messages = [wire.decode_message(record.value or b"") for record in on.read(on.predictions)]
        tallies = {t.camera: t for t in (wire.decode_accuracy(r.value or b"") for r in on.read(on.accuracy))}

    values = [each for each in messages if isinstance(each, wire.FrameValueMessage)]
    assert len(values) == len(messages)
    times = Counter((each.frame.camera, each.frame.offset) for each in values)
    assert times.keys() == {(camera, offset) for camera in CAMERAS for offset in replayed}
    if guarantee == "exactly_once":
        assert set(times.values()) == {1}
    largest = max(abs(each.value - replayed[each.frame.offset]) for each in values)
    sys.stdout.write(f"{guarantee}: {len(values)} values of {len(times)} frames, {largest:.1g} from replay's at most\n")
    assert largest < 1e-4
    for camera in CAMERAS:
        assert sorted({e.frame.offset for e in values if e.event and e.frame.camera == camera}) == CUTS
        assert tallies[camera].seen == len(replayed)
