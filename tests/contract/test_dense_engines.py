"""Detectors, segmenters and embeddings give the same answers on every engine that their export allows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.bright import with_rectangles, write_bright_areas, write_bright_model
from tests.support.dense_models import drawn_dense_model, small
from tests.support.engines import OTHER_ENGINES
from tests.support.models import open_model, photograph, prepared
from worker.domain.boxes import Box
from worker.domain.frames import Image
from worker.models.build import calibrate
from worker.models.loaded import LoadedModel
from worker.models.manifest import load_manifest, write_manifest
from worker.models.network import build_network
from worker.models.torchvision_weights import published_weights
from worker.settings import ModelGroup

NAMES: Final = ("coffee", "chelsea", "rocket")


def detector(folder: Path) -> Path:
    return write_bright_model(folder, most=5)


def segmenter(folder: Path) -> Path:
    return drawn_dense_model(folder, "lraspp_mobilenet_v3_large", small("lraspp_mobilenet_v3_large", 96, 160))


def embedder(folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save(build_network("resnet18", task="embed", classes=0).state_dict(), folder / "weights.pth")
    named = {"name": "embedder", "architecture": "resnet18", "weights": "weights.pth"}
    write_manifest(folder, named, labels=(), preprocessing=published_weights("resnet18").preprocessing, task="embed")
    return folder


def answers(model: LoadedModel) -> Mapping[str, NDArray[Any]]:
    pictures = [photograph(name) for name in NAMES]
    if model.task.name == "detect":
        box = {"white": Box(10, 20, 60, 80), "blue": Box(70, 30, 120, 90)}
        pictures = [Image(with_rectangles(128, 96, **{name: each})) for name, each in box.items()]
    return model.run(prepared(model, *pictures))


@pytest.mark.parametrize("engine", OTHER_ENGINES)
@pytest.mark.parametrize("make", [detector, segmenter, embedder])
def test_engines_agree(make: Callable[[Path], Path], engine: str, tmp_path: Path) -> None:
    folder = make(tmp_path)
    expected, found = answers(open_model(folder)), answers(open_model(folder, engine=engine))

    assert found.keys() == expected.keys()
    for name, each in expected.items():
        assert found[name].dtype == each.dtype
        if name == "classes":
            assert (found[name] == each).mean() > 0.999
        else:
            assert found[name] == pytest.approx(each, abs=1e-3, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("make", [write_bright_areas, embedder])
def test_eight_bits_are_close(make: Callable[[Path], Path], engine: str, tmp_path: Path) -> None:
    folder = make(tmp_path)
    plain = open_model(folder)
    pictures = [Image(photograph(name).pixels[top:, top:]) for name in NAMES for top in range(0, 80, 10)]
    calibrate(load_manifest(folder), ModelGroup(path=folder, engine="onnxruntime"), prepared(plain, *pictures))
    expected, found = answers(plain), answers(open_model(folder, engine=engine, precision="int8"))

    for name, each in expected.items():
        if name == "classes":
            assert 0.2 < each.mean() < 0.8
            assert (found[name] == each).mean() > 0.95
        else:
            across = (
                (found[name] * each).sum(axis=1) / np.linalg.norm(each, axis=1) / np.linalg.norm(found[name], axis=1)
            )
            assert across.min() > 0.98
