"""What `ports.Model` promises, held by every engine, with real weights and run by its manifest alone."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.engines import ALL_ENGINES, ENGINES
from tests.support.models import (
    SIZES,
    Brightness,
    Motion,
    best_classes,
    drawn_beginning,
    moving_clips,
    open_model,
    photograph,
    prepared,
    small_model,
)
from tests.support.pictures import scene
from tests.support.recurrent import moving_pictures, write_recurrent_model
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.frames import Image
from worker.domain.networks import Cell
from worker.models.loaded import LoadedModel
from worker.models.ready import READY_MODELS, ready_model

QUICK: Final = ("mobilenet_v2", "eager")
PICTURES: Final = ("mobilenet_v2", "efficientnet_lite0")
"""The ready models of pictures."""
# Compiling takes half a minute, and the ready models consist of the same operations: one of them is enough.
PAIRS: Final = [
    pytest.param(pair, marks=() if pair == QUICK else pytest.mark.slow, id="-".join(pair))
    for name, engine in product(PICTURES, ALL_ENGINES)
    if (pair := (name, str(engine.values[0]))) != ("efficientnet_lite0", "compile")
]
NAMES: Final = ("chelsea", "coffee", "rocket", "motorcycle", "cameraman")
CATS: Final = {"Egyptian cat", "tabby", "tiger cat"}


@cache
def expected(folder: Path, count: int) -> Mapping[str, NDArray[Any]]:
    """Return what torch itself answers, in one stream."""
    model = open_model(folder)
    return model.run(photographs(model, count))


# These outlive a test, with their threads, since an engine may take a minute to be converted.


@pytest.fixture(scope="module", params=PAIRS)
def model(request: pytest.FixtureRequest) -> LoadedModel:
    name, engine = request.param
    return open_model(ready_model(name), engine=engine)


@pytest.fixture(scope="module", params=ALL_ENGINES)
def in_streams(request: pytest.FixtureRequest) -> LoadedModel:
    model = open_model(ready_model("mobilenet_v2"), engine=request.param, streams=2)
    model.warm_up(2)
    return model


def photographs(model: LoadedModel, count: int = len(NAMES)) -> NDArray[np.uint8]:
    """Return a batch of photographs and of what a camera sees that moves over them."""
    found = [photograph(each) for each in NAMES]
    moved = [Image(found[n % 5].pixels[: -n * 4, n * 4 :]) for n in range(len(NAMES), count)]
    return prepared(model, *(found + moved)[:count])


# What does not depend on the engine.


@pytest.mark.parametrize("model", [(name, "eager") for name in PICTURES], ids="-".join, indirect=True)
class TestPreparation:
    def test_identity_and_labels(self, model: LoadedModel) -> None:
        assert model.identity.name in PICTURES
        assert model.identity.version == READY_MODELS[model.identity.name].weights.sha256[:12]
        assert len(model.task.labels) == 1000
        assert model.task.labels[967] == "espresso"

    def test_every_picture_fits_into_its_slot(self, model: LoadedModel) -> None:
        assert model.input_shape == (224, 224, 3)
        assert prepared(model, *(Image(scene(width, height)) for height, width in SIZES)).any(axis=(1, 2, 3)).all()

    def test_preparing_leaves_the_picture_alone(self, model: LoadedModel) -> None:
        pixels = scene(224, 256)
        before = pixels.copy()
        prepared(model, Image(pixels))[:] = 0
        assert np.array_equal(pixels, before)

    def test_read_only_and_mirrored_pixels_are_pictures_too(self, model: LoadedModel) -> None:
        pixels = scene(300, 280)
        frozen, mirrored = pixels.copy(), pixels[:, ::-1]
        frozen.setflags(write=False)
        assert np.array_equal(prepared(model, Image(frozen)), prepared(model, Image(pixels)))
        assert np.array_equal(prepared(model, Image(mirrored)), prepared(model, Image(mirrored.copy())))


# What does.


def test_ranks_are_probabilities_and_fall(model: LoadedModel) -> None:
    found = model.run(photographs(model))
    assert (found["indices"].shape, found["probabilities"].shape) == ((5, 5), (5, 5))
    assert (found["indices"].dtype, found["probabilities"].dtype.name) == (np.dtype(np.intp), "float32")
    assert (np.diff(found["probabilities"]) <= 0).all()
    assert found["probabilities"].min() >= 0
    assert found["probabilities"].sum(axis=1).max() <= 1 + 1e-5


def test_a_picture_does_not_depend_on_its_company(model: LoadedModel) -> None:
    pixels = photographs(model)
    found = model.run(pixels)
    for number in range(len(pixels)):
        alone = model.run(pixels[number : number + 1])
        np.testing.assert_allclose(alone["probabilities"][0], found["probabilities"][number], atol=1e-4)
        assert alone["indices"][0, 0] == found["indices"][number, 0]


def test_real_photographs_are_recognised(model: LoadedModel) -> None:
    assert best_classes(model, "coffee")[0] in {"espresso", "cup"}
    assert best_classes(model, "chelsea")[0] in CATS
    assert best_classes(model, "cameraman")[0] == "tripod"
    assert best_classes(model, "motorcycle")[0] in {"moped", "motor scooter"}
    assert set(best_classes(model, "rocket")) & {"missile", "projectile", "space shuttle"}


def assert_same(model: LoadedModel, folder: Path, count: int) -> None:
    found, of_torch = model.run(photographs(model, count)), expected(folder, count)
    assert len(found["indices"]) == count
    assert np.array_equal(found["indices"][:, :1], of_torch["indices"][:, :1])
    np.testing.assert_allclose(found["probabilities"], of_torch["probabilities"], atol=1e-4)


# A thread usually gets at most eight pictures. Nine are one more, and in parts the last one is alone.
@pytest.mark.parametrize("count", [1, 9])
def test_engines_agree(model: LoadedModel, count: int) -> None:
    assert_same(model, ready_model(model.identity.name), count)


# 9 and 17 divide evenly neither among the streams nor into parts.
@pytest.mark.parametrize("count", [1, 9, 17])
def test_streams_answer_in_order(in_streams: LoadedModel, count: int) -> None:
    assert_same(in_streams, ready_model("mobilenet_v2"), count)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_beginning(tmp_path_factory.mktemp("drawn"), "mobilenet_v3_small", blocks=5)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree_on_a_network_with_other_operations(engine: str, drawn: Path) -> None:
    model = open_model(drawn, engine=engine)
    assert len({*model.run(photographs(model))["indices"][:, 0].tolist()}) > 1
    assert_same(model, drawn, 9)


# Clips.

SEEING_TIME: Final[Mapping[str, Mapping[str, Any]]] = {
    "clip": {"network": Motion(), "task": "clip", "clip": ClipShape(6, 15.0)},
    "frame_values": {
        "network": Brightness(),
        "task": "frame_values",
        "clip": ClipShape(6, 25.0, 2),
        "labels": ("dark", "light"),
    },
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", SEEING_TIME)
def test_engines_agree_on_clips(engine: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "VISION_WORKER_CACHE", str(tmp_path)
    )  # what is converted is known by its file, and there is none
    model = small_model(**SEEING_TIME[task], engine=engine, threads=2, streams=2)
    model.warm_up(3)
    of_torch = small_model(**SEEING_TIME[task])
    for count in (1, 2, 9):
        found, expected = model.run(moving_clips(count)), of_torch.run(moving_clips(count))
        assert found.keys() == expected.keys()
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    assert np.ptp(expected["values" if task == "frame_values" else "probabilities"], axis=0).max() > 0.01


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", ["recurrent", "clip"])
@pytest.mark.parametrize("rnn", ["gru", pytest.param("lstm", marks=[pytest.mark.slow, pytest.mark.thorough])])
def test_engines_agree_on_a_cnn_with_an_rnn(
    engine: str, task: str, rnn: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    folder = write_recurrent_model(tmp_path / "model", task=task, rnn=rnn)
    model, of_torch = open_model(folder, engine=engine, streams=2), open_model(folder)
    model.warm_up(3)
    moving = np.array([moving_pictures(6, seed=seed) for seed in range(9)])
    for count in (1, 2, 9):
        pixels = np.ascontiguousarray(moving[:count] if task == "clip" else moving[:count, 0])
        found, expected = model.run(pixels), of_torch.run(pixels)
        assert found.keys() == expected.keys()
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    assert np.ptp(expected["features" if task == "recurrent" else "probabilities"], axis=0).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_compiled_program_answers_a_clip_rightly_or_is_refused(
    layout: torch.memory_format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path))
    example = torch.zeros(2, 3, 6, 8, 8).to(memory_format=layout)
    program = torch.export.export(Motion().eval(), (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    expected = small_model(**SEEING_TIME["clip"]).run(moving_clips(1))
    told = {**SEEING_TIME["clip"], "network": program}
    with nullcontext() if layout is torch.contiguous_format else suppress(ModelUnavailable):
        found = small_model(**told, engine="compile").run(moving_clips(1))
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-4)
