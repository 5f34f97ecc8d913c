"""The main job, end to end: cameras, a real Kafka, real workers, real weights; and what it says is true."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

CUTS = 5
"""Of the video, which plays once; tests/kafka/test_transnet.py knows their frames."""


@pytest.fixture(scope="module")
def summary(bootstrap_servers: str) -> dict[str, Any]:
    """Run the demo on the tests' own broker, with every result held against replay and torchvision."""
    command = [sys.executable, "-m", "worker", "demo", "--seconds", "5", "--json", "--verify"]
    # One thread: on busy cores, the threads of one operation mostly wait for each other.
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    content: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return content


def test_every_frame_comes_out_and_is_counted(summary: dict[str, Any]) -> None:
    assert summary["frames_sent"] == 75
    assert summary["predictions"] == summary["seen"] == summary["frames_sent"]
    assert summary["dead_letters"] == 0
    assert summary["frames_per_second"] > 0
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]


def test_accuracy_is_that_of_a_model_that_sees_and_errs(summary: dict[str, Any]) -> None:
    """Five photographs' cameras were chosen to lie near three right answers in four."""
    by_camera = summary["accuracy_by_camera"]

    assert summary["accuracy"] == pytest.approx(summary["correct"] / summary["labelled"], abs=1e-4)
    assert 0.6 < summary["accuracy"] < 0.9
    assert len(by_camera) == 5
    assert any(0 < ratio < 1 for ratio in by_camera.values())


def test_frame_for_frame_it_is_what_replay_and_torchvision_say(summary: dict[str, Any]) -> None:
    agreement = summary["agreement"]

    assert agreement["frames"] == agreement["replay_same"] == summary["predictions"]
    assert agreement["torchvision_same"] >= 0.99 * agreement["frames"]
    assert agreement["replay_difference"] < 1e-4
    assert agreement["torchvision_difference"] < 0.01
    assert agreement["replay_correct"] == summary["correct"]


def test_the_known_cuts_of_the_video_are_found(summary: dict[str, Any]) -> None:
    video = summary["video"]

    assert summary["cuts_found"] == summary["cuts_expected"] == CUTS
    assert video.pop("frames_sent") == video.pop("values") == 250
    assert list(video.values()) == [[], [], [], []]


def test_the_videos_values_are_those_of_replay(summary: dict[str, Any]) -> None:
    agreement = summary["video_agreement"]

    assert agreement["frames"] == agreement["replay_same"] == 250
    assert agreement["replay_difference"] < 1e-4
