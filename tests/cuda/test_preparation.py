"""nvJPEG prepares what OpenCV prepares, nearly, and leaves to OpenCV what it cannot decode."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import pytest

from tests.support.models import photograph
from tests.support.pictures import ENCODERS, JPEG, PNG, Pixels, frame_of, scene
from worker.domain.errors import FrameRejected
from worker.models.preparation import frame_decoder
from worker.models.torchvision_weights import published_weights
from worker.settings import Limits, ModelGroup

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
NUMBERS: Final = published_weights("mobilenet_v2", "IMAGENET1K_V1").preprocessing
ON_GPU: Final = ModelGroup(name="any", preparation="nvjpeg", device="cuda")
ON_CPU: Final = ModelGroup(name="any")


def prepared(data: bytes, group: ModelGroup = ON_GPU) -> Pixels:
    out = np.empty((224, 224, 3), np.uint8)
    frame_decoder(NUMBERS, group, Limits())(frame_of(data), out)
    return out


def apart(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("name", [name for name in ENCODERS if name.startswith("jpeg")])
@pytest.mark.parametrize("side", [(640, 480), (333, 517)])
def test_every_kind_of_jpeg(name: str, side: tuple[int, int]) -> None:
    data = ENCODERS[name](scene(*side))
    assert apart(prepared(data), prepared(data, ON_CPU)) < 2


def test_photographs_by_many_threads() -> None:
    data = [JPEG(photograph(name).pixels) for name in ("chelsea", "coffee", "rocket", "motorcycle")] * 64
    decode = frame_decoder(NUMBERS, ON_GPU, Limits())
    found = np.zeros((len(data), 224, 224, 3), np.uint8)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(decode, [frame_of(each) for each in data], found))
    expected = [prepared(each, ON_CPU) for each in data[:4]] * 64
    assert max(apart(one, other) for one, other in zip(found, expected, strict=True)) < 2


def test_what_is_no_jpeg_is_left_to_opencv() -> None:
    data = PNG(scene(300, 260))
    assert np.array_equal(prepared(data), prepared(data, ON_CPU))


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.9])
def test_what_is_cut_is_refused(kept: float) -> None:
    whole = JPEG(photograph("coffee").pixels)
    for group in (ON_CPU, ON_GPU):
        with pytest.raises(FrameRejected):
            prepared(whole[: int(kept * len(whole))], group)
