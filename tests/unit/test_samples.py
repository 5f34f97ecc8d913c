from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2  # type: ignore[import-untyped]

from worker.local.samples import PHOTOGRAPHS, VIDEOS, fetch_video, load_photograph
from worker.local.scenes import Scene
from worker.models.ready import READY_MODELS

WEIGHTS = MobileNet_V2_Weights.IMAGENET1K_V1
CLASSES: list[str] = WEIGHTS.meta["categories"]


@pytest.fixture
def network() -> Iterator[torch.nn.Module]:
    network: torch.nn.Module = mobilenet_v2()
    network.load_state_dict(torch.load(READY_MODELS["mobilenet_v2"].weights.fetch(), weights_only=True))
    # Two threads that share a busy machine wait for each other ten times as long as one needs.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield network.eval()
    torch.set_num_threads(threads)


def test_every_label_is_one_class_of_imagenet_as_torchvision_spells_it() -> None:
    assert [CLASSES.count(photograph.label) for photograph in PHOTOGRAPHS] == [1] * len(PHOTOGRAPHS)


def test_cameras_have_names_and_ways_of_their_own() -> None:
    for of_each in (lambda photograph: photograph.name, lambda photograph: photograph.seed):
        assert len(set(map(of_each, PHOTOGRAPHS))) == len(PHOTOGRAPHS)


def test_photographs_are_in_colour_but_one() -> None:
    grey = set()
    for photograph in PHOTOGRAPHS:
        pixels = load_photograph(photograph)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2:] == (3,)
        assert min(pixels.shape[:2]) >= 300
        if (pixels == pixels[..., :1]).all():
            grey.add(photograph.name)
    assert grey == {"cameraman"}


def test_colours_are_red_green_blue() -> None:
    (coffee,) = (photograph for photograph in PHOTOGRAPHS if photograph.name == "coffee")
    red, _, blue = load_photograph(coffee).mean(axis=(0, 1))
    assert red > 2 * blue  # a red saucer on a brown table


@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [("bikes", 250, (640, 272)), ("bigbuckbunny", 132, (1280, 720)), ("carphone", 120, (176, 144))],
)
def test_videos_are_what_they_are_said_to_be(name: str, frames: int, size: tuple[int, int]) -> None:
    assert name in VIDEOS
    capture = cv2.VideoCapture(str(fetch_video(name)))
    properties = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    assert [capture.get(each) for each in properties] == [frames, *size]
    capture.release()


@pytest.mark.slow
def test_the_cameras_trouble_a_real_model_without_blinding_it(network: torch.nn.Module) -> None:
    """A round in 30 frames instead of 300; the figures for 200 stand beside PHOTOGRAPHS."""
    preprocess, right = WEIGHTS.transforms(), dict[str, float]()
    for photograph in PHOTOGRAPHS:
        frames = Scene(load_photograph(photograph), photograph.seed, length=30).frames()
        pixels = [cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB) for frame in frames]
        inputs = [preprocess(torch.from_numpy(each).permute(2, 0, 1))[None] for each in pixels]
        with torch.inference_mode():
            found = [CLASSES[int(network(each).argmax())] for each in inputs]
        right[photograph.name] = found.count(photograph.label) / len(found)
    assert 0.65 < sum(right.values()) / len(right) < 0.85, right
    assert all(0 < share < 1 for share in right.values()), right
