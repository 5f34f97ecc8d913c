"""Pictures that other people have published: none is refused, and each has the pixels that torchvision gives it."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import pytest
import sklearn
import torch
from torchvision.io import ImageReadMode, decode_image  # type: ignore[import-untyped]

from tests.support.pictures import frame_of
from worker.domain.pictures import PictureRules
from worker.local.samples import PHOTOGRAPHS, fetch_photograph
from worker.media import images

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
OF_SCIKIT_IMAGE: Final = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "chessboard_GRAY.png"),
    *("chessboard_RGB.png", "clock_motion.png", "coffee.png", "coins.png", "color.png", "grass.png", "gravel.png"),
    *("horse.png", "hubble_deep_field.jpg", "ihc.png", "logo.png", "microaneurysms.png", "moon.png"),
    *("motorcycle_left.png", "motorcycle_right.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg", "text.png"),
)
_INSTALLED: Final = [
    each
    for package in (Path(sklearn.__file__).parent / "datasets/images", Path(mpl.get_data_path()))
    for each in package.rglob("*")
    if each.suffix in {".png", ".jpg"}
]


def check(picture: bytes) -> None:
    found = images.decode_image(frame_of(picture), PictureRules()).pixels
    encoded = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
    expected = decode_image(encoded, ImageReadMode.RGB).permute(1, 2, 0).numpy()
    assert np.array_equal(found, expected >> 8 if expected.dtype == np.uint16 else expected)


@pytest.mark.parametrize("name", OF_SCIKIT_IMAGE)
def test_a_sample_of_scikit_image(name: str) -> None:
    check(fetch_photograph(replace(PHOTOGRAPHS[0], member=f"skimage/data/{name}")).read_bytes())


@pytest.mark.parametrize("file", _INSTALLED, ids=lambda file: file.name)
def test_a_picture_of_an_installed_package(file: Path) -> None:
    check(file.read_bytes())


def test_installed_packages_have_pictures() -> None:
    assert {"china.jpg", "flower.jpg", "grace_hopper.jpg"} <= {each.name for each in _INSTALLED}
