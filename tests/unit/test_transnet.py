"""TransNetV2 as a ready model: it finds the cuts of a video, as its authors' own procedure does."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support import transnet
from tests.support.models import open_model
from tests.support.video_models import video_frames
from worker.domain.clips import ClipShape
from worker.domain.geometry import Geometry
from worker.domain.results import FrameValue
from worker.models.loaded import LoadedModel
from worker.models.manifest import load_manifest
from worker.models.preparation import frame_decoder
from worker.models.ready import READY_MODELS, ready_model
from worker.ports import Asked
from worker.settings import Limits, ModelGroup

FRAMES = 250
CUTS = [29, 75, 136, 186, 241]
"""The first frames of the shots of `bikes`, after the first shot."""


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return open_model(ready_model("transnetv2"))


@pytest.fixture(scope="module")
def pixels(model: LoadedModel) -> NDArray[np.uint8]:
    found = np.empty((FRAMES, *model.frame_shape), np.uint8)
    decode = frame_decoder(model.preprocessing, ModelGroup(name="transnetv2"), Limits())
    for frame, out in zip(video_frames("bikes", first=0, count=FRAMES), found, strict=True):
        decode(frame, out)
    return found


@pytest.mark.slow
def test_what_it_takes(model: LoadedModel) -> None:
    assert model.identity.version == READY_MODELS["transnetv2"].weights.sha256[:12]
    assert (model.task.name, model.task.labels) == ("frame_values", ("none", "cut"))
    assert (model.clip, model.input_shape) == (ClipShape(100, 25.0, 50), (100, 27, 48, 3))


@pytest.mark.slow
def test_it_finds_the_cuts_of_a_street_in_six_shots(model: LoadedModel, pixels: NDArray[np.uint8]) -> None:
    plain = torch.export.load(load_manifest(ready_model("transnetv2")).file).module()
    expected = transnet.values_by(plain, pixels)
    assert transnet.beginnings(expected) == CUTS

    windows = transnet.windows(pixels)
    answers = [model.run(each[None]) for each in windows]

    found = transnet.middles(np.concatenate([each["values"] for each in answers]), FRAMES)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    picture = Geometry(640, 272, scale_x=48 / 640, scale_y=27 / 272, left=0, top=0)
    results = [each for answer in answers for each in model.task.results(answer, [Asked(picture, range(25, 75))])[0]]
    assert [n for n, each in enumerate(results) if isinstance(each, FrameValue) and each.event == "cut"] == CUTS
