"""Pictures with EXIF data that says how the camera was held."""

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Final

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from torchvision.io import ImageReadMode  # type: ignore[import-untyped]
from torchvision.io import decode_image as torchvision_decode

from tests.support.models import SMALL
from tests.support.pictures import JPEG, PNG, Pixels, chunk, frame_of, scene
from worker.domain.geometry import Geometry
from worker.domain.pictures import PictureRules
from worker.media.images import decode_image
from worker.media.orientation import orientation_of
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup

UPRIGHT: Final = PictureRules(orientation="upright")
by_torchvision = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")


def tiff(orientation: int, order: str = ">") -> bytes:
    """Build EXIF data of three entries, of which the last is the orientation."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entries = [(0x0100, 4, 1, 640), (0x010E, 2, 4, 0x61626300)]
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    last = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 3) + body + last + bytes(4)


def jpeg(pixels: Pixels, exif: bytes) -> bytes:
    picture = JPEG(pixels)
    return picture[:2] + _app1(b"Exif\0\0" + exif) + picture[2:]


def jpeg_with_xmp(pixels: Pixels, exif: bytes) -> bytes:
    """Encode a JPEG in which other data comes before the EXIF data, in a segment of the same kind."""
    picture = jpeg(pixels, exif)
    return picture[:2] + _app1(b"http://ns.adobe.com/xap/1.0/\0<x/>") + picture[2:]


def _app1(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body


def png(pixels: Pixels, exif: bytes) -> bytes:
    picture = PNG(pixels)
    return picture[:33] + chunk(b"eXIf", exif) + picture[33:]


def webp(pixels: Pixels, exif: bytes) -> bytes:
    file = BytesIO()
    Pillow.fromarray(pixels).save(file, "WEBP", lossless=True, exif=b"Exif\0\0" + exif)
    return file.getvalue()


KINDS: Final[Mapping[str, Callable[[Pixels, bytes], bytes]]] = {
    "jpeg": jpeg,
    "jpeg with XMP": jpeg_with_xmp,
    "png": png,
    "webp": webp,
}
every_orientation = pytest.mark.parametrize("orientation", range(1, 9))


@every_orientation
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_become_upright_as_opencv_turns_them(kind: str, order: str, orientation: int) -> None:
    picture = KINDS[kind](scene(40, 24), tiff(orientation, order))
    expected = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB)
    found = decode_image(frame_of(picture), UPRIGHT)
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.sent == found.size == ((24, 40) if orientation >= 5 else (40, 24))


@by_torchvision
@every_orientation
@pytest.mark.parametrize("kind", ["jpeg", "png"])  # it reads no EXIF of WebP, and none behind XMP
def test_pictures_become_upright_as_torchvision_turns_them(kind: str, orientation: int) -> None:
    picture = KINDS[kind](scene(40, 24), tiff(orientation))
    data = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
    expected = torchvision_decode(data, ImageReadMode.RGB, apply_exif_orientation=True)
    np.testing.assert_array_equal(decode_image(frame_of(picture), UPRIGHT).pixels, expected.permute(1, 2, 0).numpy())


@every_orientation
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_stay_as_they_are_stored_by_default(kind: str, orientation: int) -> None:
    picture, plain = (KINDS[kind](scene(40, 24), tiff(each)) for each in (orientation, 1))
    found = decode_image(frame_of(picture), PictureRules())
    np.testing.assert_array_equal(found.pixels, decode_image(frame_of(plain), PictureRules()).pixels)
    assert found.sent == (40, 24)


@by_torchvision
@pytest.mark.parametrize("way", ["exact", "reduced", "nvjpeg"])
def test_places_are_those_of_the_upright_picture(way: str) -> None:
    group = ModelGroup(name="any", preparation=way, orientation="upright")
    turned, out = jpeg(scene(320, 160), tiff(6)), np.empty((8, 8, 3), np.uint8)
    found = frame_decoder(SMALL, group, Limits())(frame_of(turned), out)
    assert isinstance(found, Geometry)
    assert (found.width, found.height) == (160, 320)
    upright = cv2.rotate(decode_image(frame_of(turned), PictureRules()).pixels, cv2.ROTATE_90_CLOCKWISE)
    expected = np.empty_like(out)
    same = frame_decoder(SMALL, ModelGroup(name="any"), Limits())(frame_of(PNG(upright.astype(np.uint8))), expected)
    assert found == same
    assert np.abs(out.astype(int) - expected).max() <= (0 if way != "reduced" else 8)


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_that_means_nothing_turns_nothing(value: int) -> None:
    assert orientation_of(tiff(value)) == 1


@given(st.binary(max_size=60), st.sampled_from([b"", b"MM\0*", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff"]))
def test_broken_exif_turns_nothing_and_breaks_nothing(noise: bytes, start: bytes) -> None:
    assert orientation_of(start + noise) in range(1, 9)


@pytest.mark.parametrize("end", range(0, 60, 3))
def test_exif_that_is_cut_breaks_nothing(end: int) -> None:
    whole = tiff(6)
    assert orientation_of(whole[:end]) == (6 if end >= len(whole) - 4 else 1)
