"""A detector is trained on boxes, and its folder says what the worker needs."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.support.pictures import frame_of
from worker.data.labelled import read_labelled
from worker.data.reading import frames_of
from worker.domain.boxes import Box, TrueBox
from worker.domain.frames import CapturedFrame, GroundTruth
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import BoxVerdict, HitCounts
from worker.domain.times import EventMillis
from worker.media.folder import write_recording
from worker.media.jpeg import JpegEncoder
from worker.models.build import load_model
from worker.models.manifest import load_manifest
from worker.models.network import build_network
from worker.models.preparation import frame_decoder
from worker.ports import Asked
from worker.settings import Limits, ModelGroup
from worker.training.options import Options
from worker.training.start import Beginning, find_beginning, start_network
from worker.training.train import train

pytestmark = pytest.mark.slow

SMALL = Options(
    task="detect",
    model="ssdlite320_mobilenet_v3_large",
    weights="none",
    layers="all",
    size=(96, 128),
    epochs=1,
    batch=4,
    threads=1,
    threshold=0.25,
)


def write_squares(folder: Path) -> Path:
    """Write pictures of 160x120 with a square each, of two cameras; one picture of each shows nothing."""
    rng, encode = np.random.default_rng(0), JpegEncoder()
    frames = []
    for camera in ("door", "yard"):
        for number in range(6):
            picture = rng.integers(0, 60, (120, 160, 3), np.uint8)
            left, top = (int(each) for each in rng.integers(0, 60, 2))
            boxes = (TrueBox("square", Box(left, top, left + 50, top + 40)),) if number else ()
            if boxes:
                cv2.rectangle(picture, (left, top), (left + 49, top + 39), (200, 220, 240), -1)
            at = EventMillis(number * 100)
            frames.append(CapturedFrame(camera, encode(picture), at, "image/jpeg", boxes=boxes))
    write_recording(folder, frames)
    return folder


def test_the_folder_says_what_the_worker_needs(tmp_path: Path) -> None:
    data = write_squares(tmp_path / "data")

    train(data, tmp_path / "out", replace(SMALL, augment="strong", flip=True))

    manifest = load_manifest(tmp_path / "out")
    assert (manifest.task, manifest.labels, manifest.threshold) == ("detect", ("__background__", "square"), 0.25)
    numbers = manifest.preprocessing
    assert (numbers.resize, numbers.crop, numbers.mean, numbers.std) == ((96, 128), (96, 128), (0,) * 3, (1,) * 3)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["data"]["train_samples"] == {"square": 5}
    assert card["held_out"]["recall"]["total"] == 5
    network = build_network(manifest.architecture or "", task="detect", classes=2)
    network.load_state_dict(torch.load(manifest.file, weights_only=True))


@pytest.mark.parametrize("model", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_a_detector_for_new_classes_keeps_its_backbone(model: str) -> None:
    options = replace(SMALL, model=model, layers="head")
    weights = build_network(model, task="detect", classes=91).state_dict()
    numbers = Preprocessing(resize=9, crop=9, interpolation="bilinear", antialias=True, mean=(0,) * 3, std=(1,) * 3)

    found = start_network(
        options, Beginning(weights, of_backbone=False, preprocessing=numbers, clip=None, origin=""), 3
    )

    own = found.network.state_dict()
    assert all(torch.equal(own[name], weights[name]) for name in own if name not in found.random)
    assert all(not name.startswith("backbone") for name in found.random)
    assert len(found.random) < len(own) / 10
    trained = {name.partition(".")[0] for name, each in found.network.named_parameters() if each.requires_grad}
    assert trained == set(found.head)


def test_a_size_is_a_stretch_and_the_usual_one_is_a_square() -> None:
    assert find_beginning(SMALL).preprocessing.resize == (96, 128)
    assert find_beginning(replace(SMALL, size=None)).preprocessing.resize == (320, 320)


@pytest.mark.parametrize("model", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_what_the_card_says_is_what_the_worker_finds(tmp_path: Path, model: str) -> None:
    """Torchvision's detectors resize pictures to sizes of their own, unless they are told not to."""
    data = write_squares(tmp_path / "data")
    train(data, tmp_path / "out", replace(SMALL, model=model, threshold=0.02, holdout=("yard",)))
    card = json.loads((tmp_path / "out" / "card.json").read_text())["held_out"]
    group = ModelGroup(path=tmp_path / "out", profile="off", threads=1)
    model_of_worker = load_model(group)
    decode = frame_decoder(model_of_worker.preprocessing, group, Limits())
    items = [each for each in read_labelled(data) if each.group == "yard"]
    counts = HitCounts()
    for item, picture in zip(items, frames_of(items), strict=True):
        pixels = np.empty((1, *model_of_worker.input_shape), np.uint8)
        geometry = decode(frame_of(picture.data), pixels[0])
        ((found,),) = model_of_worker.task.results(model_of_worker.run(pixels), [Asked(geometry, (0,))])
        verdict = model_of_worker.task.judge(found, GroundTruth(boxes=item.boxes))
        assert isinstance(verdict, BoxVerdict)
        counts = counts.plus(verdict.counts)

    assert counts.hits + counts.false_alarms > 0
    assert (counts.hits, counts.hits + counts.false_alarms) == (card["precision"]["right"], card["precision"]["total"])
    assert (counts.hits, counts.hits + counts.misses) == (card["recall"]["right"], card["recall"]["total"])
