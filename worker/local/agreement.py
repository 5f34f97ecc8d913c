"""Compare a worker's results with the offline replay, and with a plain torchvision loop, on the same frames."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import torch
from torchvision.io import ImageReadMode, decode_image  # type: ignore[import-untyped]
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2  # type: ignore[import-untyped]

from worker import wire
from worker.domain.errors import WorkerError
from worker.domain.frames import CapturedFrame
from worker.local.summary import Agreement, ValueAgreement
from worker.local.worker_process import no_settings
from worker.media.folder import write_recording
from worker.models.manifest import load_manifest
from worker.wire import FrameValueMessage, Message, PredictionMessage

VALUES_SAME: Final = 1e-4
"""Values that differ less are the same: the model sees other frames in the same call."""

Answers = Mapping[str, tuple[int, float]]
"""Index and probability of the most likely class, by frame id."""


def compare(frames: Sequence[CapturedFrame], predictions: Iterable[PredictionMessage], model: Path) -> Agreement:
    """Run the frames through replay and through torchvision, and compare both with the worker's predictions.

    Args:
        frames: the frames as they were in Kafka, each with its frame id.
        predictions: the worker's predictions of the same frames.
        model: folder of a MobileNetV2 with torchvision's ImageNet weights.
    """
    ours = answers(predictions)
    messages, correct = _replay(frames, model)
    replayed = answers(each for each in messages if isinstance(each, PredictionMessage))
    plain = torchvision_loop(frames, load_manifest(model).file)
    replay_same, replay_difference = _compare(ours, replayed)
    plain_same, plain_difference = _compare(ours, plain)
    return Agreement(len(frames), replay_same, replay_difference, correct, plain_same, plain_difference)


def compare_values(
    frames: Sequence[CapturedFrame], messages: Iterable[FrameValueMessage], model: Path
) -> ValueAgreement:
    """Run the frames of a video through replay, and compare each value with the worker's.

    What the model sees with a frame follows from the capture times alone. The frames keep theirs in the replay, so the
    model sees the same there.

    Args:
        frames: the frames as they were in Kafka, each with its frame id.
        messages: the worker's values of the same frames.
        model: folder of a model of the task `frame_values`.
    """
    replayed = values(each for each in _replay(frames, model)[0] if isinstance(each, FrameValueMessage))
    ours = values(messages)
    differences = [abs(ours[frame] - replayed[frame]) for frame in ours if frame in replayed]
    same = sum(difference < VALUES_SAME for difference in differences)
    return ValueAgreement(len(frames), same, max(differences, default=0.0))


def values(messages: Iterable[FrameValueMessage]) -> Mapping[str, float]:
    """Return the value of each frame, by frame id."""
    return {each.frame.id: each.value for each in messages}


def answers(predictions: Iterable[PredictionMessage]) -> Answers:
    """Return the most likely class of each frame."""
    return {each.frame.id: (each.classes[0].index, each.classes[0].probability) for each in predictions}


def _replay(frames: Iterable[CapturedFrame], model: Path) -> tuple[list[Message], int]:
    """Return the replay's messages, and the number of its right answers."""
    with tempfile.TemporaryDirectory() as scratch:
        recording = write_recording(Path(scratch, "recording"), frames)
        command = [sys.executable, "-m", "worker", "replay", str(recording.parent)]
        options = ["--labels", str(recording), "--model", str(model)]
        environment = {name: value for name, value in os.environ.items() if name not in no_settings()}
        ran = subprocess.run([*command, *options], check=False, capture_output=True, env=environment)
    if ran.returncode != 0:
        raise WorkerError(f"replay failed: {ran.stderr.decode(errors='replace').strip()}")
    lines = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in ran.stdout.splitlines()]
    messages = [wire.decode_message(bytes(line["prediction"])) for line in lines if "prediction" in line]
    tallies = [wire.decode_accuracy(bytes(line["accuracy"])) for line in lines if "accuracy" in line]
    return messages, sum(tally.correct.top1 for tally in tallies)


def torchvision_loop(frames: Iterable[CapturedFrame], weights: Path) -> Answers:
    """Decode, transform and classify one picture after the other with torchvision: the simplest possible code."""
    transform = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    network = mobilenet_v2()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    found = {}
    with torch.inference_mode():
        for frame in frames:
            data = torch.frombuffer(bytearray(frame.data), dtype=torch.uint8)
            picture = decode_image(data, ImageReadMode.RGB)
            probability, index = network(transform(picture)[None]).softmax(1)[0].max(0)
            found[frame.frame_id or ""] = (int(index), float(probability))
    return found


def _compare(ours: Answers, theirs: Answers) -> tuple[int, float]:
    same = [frame for frame in ours if frame in theirs and ours[frame][0] == theirs[frame][0]]
    return len(same), max((abs(ours[frame][1] - theirs[frame][1]) for frame in same), default=0.0)
