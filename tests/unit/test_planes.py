"""`model.preparation: planes`: the model's input, made of the planes of a JPEG, is close to the exact one."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Final, Literal

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.support.broken_pictures import HARMLESS, LIKELY, SURE, SURE_WITH_RESTARTS
from tests.support.debian import debian_program, load_debian_library
from tests.support.models import SMALL, photograph
from tests.support.pictures import ALL_ENCODERS, JPEG, Pixels, frame_of, jpeg_with_exif, scene
from worker.domain.errors import FrameRejected, ImageUndecodable, ModelUnavailable
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.pictures import Flawed, PictureRules
from worker.domain.preprocessing import ChannelOrder, Interpolation, Preprocessing
from worker.media.images import decode_image
from worker.media.planes import decode_planes, load_turbojpeg
from worker.models.preparation import frame_decoder
from worker.models.torchvision_weights import published_weights
from worker.settings import Limits, ModelGroup

NUMBERS: Final = published_weights("mobilenet_v2", "IMAGENET1K_V1").preprocessing
"""Bilinear, 256 to 224."""
Pad = bool | Literal["center"]
SAMPLINGS: Final[Mapping[str, tuple[int, int]]] = {
    "1x1": (1, 1),
    "2x1": (2, 1),
    "2x2": (2, 2),
    "1x2": (1, 2),
    "4x1": (4, 1),
    "2x2,1x2,1x2": (2, 1),  # the same as 2x1, said in another way
    "2x1,2x1,2x1": (1, 1),
}
"""What `cjpeg` is told, and how many columns and rows then share one value of chroma."""


@pytest.fixture(scope="module", autouse=True)
def _turbojpeg() -> None:
    load_debian_library("libturbojpeg.so.0", "libturbojpeg0")


def sampled(pixels: Pixels, *arguments: str) -> bytes:
    """Encode a JPEG with libjpeg-turbo's own program, which knows every kind."""
    height, width = pixels.shape[:2]
    cjpeg = debian_program("cjpeg", "libjpeg-turbo-progs")
    ppm = b"P6 %d %d 255\n" % (width, height) + pixels.tobytes()
    return subprocess.run([cjpeg, "-quality", "92", *arguments], input=ppm, check=True, capture_output=True).stdout


def resized(name: str, width: int, height: int) -> Pixels:
    return cv2.resize(photograph(name).pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def both(frame: EncodedFrame, numbers: Preprocessing = NUMBERS) -> tuple[Pixels, Pixels]:
    """Return the exact input, and that of the planes."""
    exact, planes = (np.zeros((*numbers.crop_size, numbers.depth), np.uint8) for _ in range(2))
    for way, out in (("exact", exact), ("planes", planes)):
        frame_decoder(numbers, ModelGroup(name="any", preparation=way), Limits())(frame, out)
    return exact, planes


def apart(frame: EncodedFrame, numbers: Preprocessing = NUMBERS) -> Pixels:
    exact, planes = both(frame, numbers)
    return np.abs(exact.astype(int) - planes).astype(np.uint8)


@pytest.mark.parametrize("size", [(600, 400), (1283, 963), (91, 130)])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_sampling_is_close_to_exact_at_every_size(sampling: str, size: tuple[int, int]) -> None:
    jpeg = sampled(resized("coffee", *size), "-sample", sampling)
    assert decode_planes(jpeg).factors == SAMPLINGS[sampling]
    difference = apart(frame_of(jpeg))
    assert 0 < difference.mean() < 0.5, "the planes are used, and each is where it belongs"
    assert (difference > 3).mean() < 0.02


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("pad", [False, True, "center"])
@pytest.mark.parametrize("size", [(400, 300), (300, 401)])
def test_every_resize_is_close_to_exact(size: tuple[int, int], pad: Pad, interpolation: Interpolation) -> None:
    crop = (256, 288) if pad else (224, 192)
    numbers = replace(NUMBERS, resize=crop if pad else 256, crop=crop, pad=pad, interpolation=interpolation)
    difference = apart(frame_of(JPEG(resized("chelsea", *size))), numbers)
    assert 0 < difference.mean() < 0.5
    assert (difference > 3).mean() < 0.02


@pytest.mark.parametrize("channels", ["bgr", "gray"])
def test_other_channels_are_made_of_planes_too(channels: ChannelOrder) -> None:
    numbers = replace(NUMBERS, channels=channels, mean=(0,) * 3, std=(1,) * 3)
    assert 0 < apart(frame_of(JPEG(resized("coffee", 640, 480))), numbers).mean() < 0.5


@pytest.mark.parametrize("arguments", [(), ("-sample", "2x2"), ("-progressive",)])
def test_grey_is_exact(arguments: tuple[str, ...]) -> None:
    frame = frame_of(sampled(resized("cameraman", 301, 399), "-grayscale", *arguments))
    assert decode_planes(frame.data).chroma is None
    np.testing.assert_array_equal(*both(frame))


def test_values_beyond_the_range_are_clipped_not_wrapped() -> None:
    hard = np.zeros((300, 300, 3), np.uint8)
    hard[:, ::7] = (255, 0, 0)
    hard[::9] = (255, 255, 255)
    exact, planes = both(frame_of(sampled(hard)), replace(NUMBERS, interpolation="bicubic"))
    assert np.abs(exact.astype(int) - planes).max() < 100, "a value that wraps is off by more"
    assert np.abs(exact.astype(int) - planes).mean() < 8


def test_planes_are_what_the_jpeg_stores() -> None:
    jpeg = sampled(resized("coffee", 97, 61), "-sample", "1x1")
    planes = decode_planes(jpeg)
    assert planes.size == (97, 61)
    assert planes.chroma is not None
    ycrcb = np.stack([planes.luma, planes.chroma[1], planes.chroma[0]], axis=2)
    found = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)
    assert np.abs(found.astype(int) - decode_image(frame_of(jpeg), PictureRules()).pixels).max() <= 1


# What has no such planes.


def cmyk(pixels: Pixels) -> bytes:
    written = BytesIO()
    Pillow.fromarray(pixels).convert("CMYK").save(written, "JPEG")
    return written.getvalue()


@pytest.mark.parametrize("kind", ["rgb", "cmyk", "1x4", *(each for each in ALL_ENCODERS if "jpeg" not in each)])
def test_what_has_no_such_planes_is_prepared_exactly(kind: str) -> None:
    pixels = resized("coffee", 301, 299)
    encoders = {"rgb": lambda: sampled(pixels, "-rgb"), "1x4": lambda: sampled(pixels, "-sample", "1x4")}
    picture = cmyk(pixels) if kind == "cmyk" else encoders.get(kind, lambda: ALL_ENCODERS[kind](pixels))()
    with pytest.raises(ImageUndecodable, match="use another decoder"):
        decode_planes(picture)
    np.testing.assert_array_equal(*both(frame_of(picture)))


def test_a_picture_that_is_to_be_turned_is_prepared_exactly() -> None:
    frame = frame_of(jpeg_with_exif(scene(300, 280)))
    outs = [np.empty((224, 224, 3), np.uint8) for _ in range(3)]
    for out, way, orientation in zip(
        outs, ("exact", "planes", "planes"), ("upright", "upright", "stored"), strict=True
    ):
        frame_decoder(NUMBERS, ModelGroup(name="any", preparation=way, orientation=orientation), Limits())(frame, out)
    np.testing.assert_array_equal(outs[1], outs[0])
    assert np.abs(outs[2].astype(int) - outs[0]).mean() > 10


# Damage.


def fate(way: str, picture: bytes, damaged: str) -> tuple[str, list[Flawed]]:
    """Return what becomes of a picture, and what is told of it."""
    told = list[Flawed]()

    def flawed(_: Frame, flaw: Flawed) -> None:
        told.append(flaw)

    decode = frame_decoder(SMALL, ModelGroup(name="any", preparation=way), Limits(damaged=damaged), flawed=flawed)
    try:
        decode(frame_of(picture), np.empty((8, 8, 3), np.uint8))
    except FrameRejected as error:
        return f"{type(error).__name__}, {error.reason}: {error}", told
    return "taken", told


@pytest.mark.parametrize("damaged", ["refuse", "accept"])
@pytest.mark.parametrize("arguments", [(), ("-sample", "1x1"), ("-progressive",), ("-grayscale",), ("-restart", "1")])
def test_a_damaged_jpeg_fares_as_with_exact(arguments: tuple[str, ...], damaged: str) -> None:
    jpeg, other = (sampled(resized(each, 328, 248), *arguments) for each in ("chelsea", "coffee"))
    makes = {**SURE, **LIKELY, **{name: each.make for name, each in HARMLESS.items()}}
    makes |= SURE_WITH_RESTARTS if "-restart" in arguments else {}
    for name, make in makes.items():
        with suppress(ValueError):  # not every JPEG has what is to be broken
            picture = make(jpeg, other, random.Random(name))  # noqa: S311 seeded on purpose
            assert fate("planes", picture, damaged) == fate("exact", picture, damaged), name


@pytest.mark.parametrize("damaged", ["refuse", "accept"])
def test_a_jpeg_with_wrong_bytes_fares_as_with_exact(damaged: str) -> None:
    jpeg, rng, flawed = JPEG(resized("chelsea", 72, 54)), random.Random(1), 0  # noqa: S311 seeded on purpose
    for _ in range(100):
        picture = bytearray(jpeg)
        for _ in range(rng.randint(1, 3)):
            picture[rng.randrange(2, len(jpeg) - 2)] = rng.randrange(256)
        found = fate("planes", bytes(picture), damaged)
        assert found == fate("exact", bytes(picture), damaged)
        flawed += found != ("taken", [])
    assert 20 < flawed < 100


# The library.


def test_several_threads_decode_at_once() -> None:
    frames = [frame_of(JPEG(resized("coffee", 300 + 2 * number, 260))) for number in range(8)]
    decode = frame_decoder(NUMBERS, ModelGroup(name="any", preparation="planes"), Limits())
    alone, together = np.empty((8, 224, 224, 3), np.uint8), np.empty((64, 224, 224, 3), np.uint8)
    for frame, out in zip(frames, alone, strict=True):
        decode(frame, out)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, frames * 8, together))
    np.testing.assert_array_equal(together, np.tile(alone, (8, 1, 1, 1)))


@pytest.mark.parametrize("name", ["libno.such.so.0", "libm.so.6"])
def test_without_the_library_the_error_says_how_to_get_it(name: str) -> None:
    with pytest.raises(
        ModelUnavailable,
        match=rf"needs the library TurboJPEG .* {name} .*apt-get install libturbojpeg0, or set .*exact$",
    ):
        load_turbojpeg((name,))


@pytest.mark.parametrize("numbers", [replace(NUMBERS, antialias=False), replace(NUMBERS, interpolation="nearest")])
def test_what_the_resize_does_not_support_is_refused_at_once(numbers: Preprocessing) -> None:
    with pytest.raises(ModelUnavailable, match=r"model\.preparation planes needs .*: set model\.preparation: exact$"):
        frame_decoder(numbers, ModelGroup(name="any", preparation="planes"), Limits())


def test_each_thread_has_as_many_threads_for_its_products_as_torch_was_told() -> None:
    """In a process of its own: here, OMP_NUM_THREADS is 1 in any case."""
    program = """
import os, threading
import numpy as np
import torch
from tests.support.pictures import JPEG, frame_of, scene
from tests.unit.test_planes import NUMBERS
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup
torch.set_num_threads(1)
frame, out = frame_of(JPEG(scene(640, 480))), np.empty((224, 224, 3), np.uint8)
decode = frame_decoder(NUMBERS, ModelGroup(name="any", preparation="planes"), Limits())
decode(frame, out)  # what is needed once is there
before, found = len(os.listdir("/proc/self/task")), []
def prepare():
    decode(frame, out)
    found.append(len(os.listdir("/proc/self/task")))
thread = threading.Thread(target=prepare)
thread.start()
thread.join()
print(found[0] - before)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "3"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["1"], "the thread itself, and no other"
