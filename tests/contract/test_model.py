"""What `ports.Model` promises, held by every implementation, each with real weights and run by its manifest alone."""

from functools import cache

import numpy as np
import pytest

from tests.support.models import SIZES, best_class, open_model, photograph
from tests.support.pictures import scene
from worker.adapters.torch_model import TorchModel
from worker.domain.frames import Image
from worker.local.models import READY_MODELS, ready_model
from worker.ports import Model

NAMES = ("chelsea", "coffee", "rocket", "motorcycle", "cameraman")
CATS = {"Egyptian cat", "tabby", "tiger cat"}


@cache
def opened(name: str) -> TorchModel:
    return open_model(ready_model(name))


@pytest.fixture(params=READY_MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return opened(request.param)


def test_identity_and_labels(model: Model) -> None:
    assert model.identity.name in READY_MODELS
    assert model.identity.version == READY_MODELS[model.identity.name].weights.sha256[:12]
    assert len(model.labels) == 1000
    assert model.labels[967] == "espresso"


def test_every_picture_becomes_the_same_shape(model: Model) -> None:
    prepared = [model.prepare(Image(scene(width, height))) for height, width in SIZES]
    assert {each.shape for each in prepared} == {(224, 224, 3)}
    assert {each.dtype for each in prepared} == {np.dtype(np.uint8)}


def test_preparing_leaves_the_picture_alone(model: Model) -> None:
    pixels = scene(224, 256)
    before = pixels.copy()
    model.prepare(Image(pixels))[:] = 0
    assert np.array_equal(pixels, before)


def test_read_only_and_mirrored_pixels_are_pictures_too(model: Model) -> None:
    pixels = scene(300, 280)
    frozen, mirrored = pixels.copy(), pixels[:, ::-1]
    frozen.setflags(write=False)
    assert np.array_equal(model.prepare(Image(frozen)), model.prepare(Image(pixels)))
    assert np.array_equal(model.prepare(Image(mirrored)), model.prepare(Image(mirrored.copy())))


def test_rows_are_probabilities(model: Model) -> None:
    found = model.classify([model.prepare(photograph(name)) for name in NAMES])
    assert found.shape == (len(NAMES), 1000)
    assert found.dtype == np.float32
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_an_empty_batch_has_no_rows(model: Model) -> None:
    assert model.classify([]).shape == (0, 1000)


def test_a_picture_does_not_depend_on_its_company(model: Model) -> None:
    inputs = [model.prepare(photograph(name)) for name in NAMES]
    alone = np.concatenate([model.classify([each]) for each in inputs])
    np.testing.assert_allclose(model.classify(inputs), alone, atol=1e-4)


def test_real_photographs_are_recognised(model: Model) -> None:
    loaded = opened(model.identity.name)
    assert best_class(loaded, "coffee") in {"espresso", "cup"}
    assert best_class(loaded, "chelsea") in CATS
    assert best_class(loaded, "cameraman") == "tripod"
    assert best_class(loaded, "motorcycle") in {"moped", "motor scooter"}
    rocket = model.classify([model.prepare(photograph("rocket"))])[0]
    family = {model.labels[index] for index in np.argsort(-rocket)[:5]}
    assert family & {"missile", "projectile", "space shuttle"}
