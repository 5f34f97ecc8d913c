"""The final of a tuning: real workers take turns on a real Kafka, and leave nothing there."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from tests.support.tints import write_tints_model
from tests.support.workers import wait_until
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.turns import MOST_FRAMES, Settings, WorkersInTurn


@pytest.fixture
def frames() -> list[CapturedFrame]:
    jpeg = cv2.imencode(".jpg", np.full((24, 24, 3), 128, np.uint8))[1].tobytes()
    return [CapturedFrame("any", jpeg, EventMillis(0), "image/jpeg", frame_id=str(number)) for number in range(4)]


def topics(servers: str) -> set[str]:
    found = AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=10).topics
    return {name for name in found if name.startswith("tune-")}


def test_workers_take_turns_and_leave_nothing(
    bootstrap_servers: str, frames: list[CapturedFrame], tmp_path: Path
) -> None:
    model = {"path": str(write_tints_model(tmp_path)), "profile": "off"}
    small: Settings = {"model": model, "window": {"max_frames": 8}}
    large: Settings = {"model": model, "window": {"max_frames": 32}}
    before = topics(bootstrap_servers)
    with WorkersInTurn(
        bootstrap_servers, frames, rate=10.0, frames_a_result=1, recurrent=False, seconds=0.3
    ) as workers:
        found = []
        for each in (small, large, large, small):
            workers.ready(each)
            found.append(workers.turn(each))

        assert all(rate > 0 for rate, _ in found)
        assert all(0.3 < took < 60 for _, took in found)
        assert len(topics(bootstrap_servers)) > len(before)
    wait_until(lambda: topics(bootstrap_servers) == before, "its topics are deleted")


def test_a_worker_that_has_nearly_read_all_frames_gets_more(
    bootstrap_servers: str, frames: list[CapturedFrame], tmp_path: Path
) -> None:
    settings: Settings = {"model": {"path": str(write_tints_model(tmp_path)), "profile": "off"}}
    before = topics(bootstrap_servers)
    with WorkersInTurn(
        bootstrap_servers, frames, rate=10.0, frames_a_result=1, recurrent=False, seconds=1.0
    ) as workers:
        workers.ready(settings)
        started = topics(bootstrap_servers)
        results = 0.0
        while results < MOST_FRAMES:
            workers.ready(settings)
            rate, _ = workers.turn(settings)
            results += rate  # a turn takes at least a second

        assert topics(bootstrap_servers) == started, "another worker was started, with topics of its own"
    wait_until(lambda: topics(bootstrap_servers) == before, "its topics are deleted")


def test_a_worker_that_cannot_start_says_why(
    bootstrap_servers: str, frames: list[CapturedFrame], tmp_path: Path
) -> None:
    nowhere = {"model": {"path": str(tmp_path / "nowhere"), "profile": "off"}}
    before = topics(bootstrap_servers)
    with (
        pytest.raises(WorkerError, match="nowhere"),
        WorkersInTurn(bootstrap_servers, frames, rate=10.0, frames_a_result=1, recurrent=False, seconds=0.3) as workers,
    ):
        workers.ready(nowhere)
    wait_until(lambda: topics(bootstrap_servers) == before, "its topics are deleted")
