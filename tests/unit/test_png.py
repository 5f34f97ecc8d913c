"""PNGs of every kind, and what is damaged, deep, or odd."""

import re
import struct
import zlib
from io import BytesIO
from itertools import product
from typing import Final

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torchvision.io import ImageReadMode  # type: ignore[import-untyped]
from torchvision.io import decode_image as torchvision_decode

from tests.support.pictures import PNG, PNG_SIGNATURE, Pixels, chunk, frame_of, scene
from worker.domain.errors import FrameRejected, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import RawLayout
from worker.domain.pictures import Flaw, PictureRules
from worker.media.images import decode_image

WIDTH, HEIGHT = 23, 17


def build(depth: int, colour: int, rows: bytes, *, before: bytes = b"", interlace: int = 0) -> bytes:
    header = struct.pack(">II5B", WIDTH, HEIGHT, depth, colour, 0, 0, interlace)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return PNG_SIGNATURE + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND", b"")


def rows_of(bits: int, *, seed: int = 3) -> bytes:
    """Return rows without filter, of noise."""
    rng, size = np.random.default_rng(seed), -(-WIDTH * bits // 8)
    return b"".join(b"\0" + rng.integers(0, 256, size, np.uint8).tobytes() for _ in range(HEIGHT))


def decoded(picture: bytes, bit_depth: int | None = None) -> Pixels:
    return decode_image(frame_of(picture), PictureRules(bit_depth=bit_depth)).pixels


def refusal(picture: bytes, bit_depth: int | None = None) -> FrameRejected:
    with pytest.raises(FrameRejected) as caught:
        decoded(picture, bit_depth)
    return caught.value


CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE: Final = chunk(b"PLTE", bytes(range(256)) * 3)


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize(
    ("depth", "colour"),
    [*product((1, 2, 4, 8), (0, 3)), (8, 2), (8, 4), (8, 6)],
)
@pytest.mark.parametrize("transparent", [False, True])
def test_every_kind_of_pixel_is_read_as_torchvision_does(depth: int, colour: int, transparent: bool) -> None:  # noqa: FBT001
    clear = {0: b"\0\1", 2: bytes(6), 3: bytes(100)}.get(colour, b"") if transparent else b""
    colours = chunk(b"PLTE", (bytes(range(256)) * 3)[: 3 << depth]) if colour == 3 else b""
    before = colours + (chunk(b"tRNS", clear[: 1 << depth] if colour == 3 else clear) if clear else b"")
    picture = build(depth, colour, rows_of(depth * CHANNELS[colour]), before=before)
    expected = torchvision_decode(torch.frombuffer(bytearray(picture), dtype=torch.uint8), ImageReadMode.RGB)
    np.testing.assert_array_equal(decoded(picture), expected.permute(1, 2, 0).numpy())


def test_an_interlaced_picture_is_read() -> None:
    picture = cv2.imencode(".png", scene(WIDTH, HEIGHT)[..., ::-1])[1].tobytes()
    file = BytesIO()
    Pillow.open(BytesIO(picture)).save(file, "PNG", interlace=1)
    np.testing.assert_array_equal(decoded(file.getvalue()), scene(WIDTH, HEIGHT))


GOOD: Final = rows_of(24)


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (build(8, 2, GOOD[:300]), "truncated"),
        (build(8, 2, b"\x09" + GOOD[1:]), "unrecognized data"),
        (PNG(scene(9, 7)).replace(b"IDAT", b"IDAT", 1)[:-12] + chunk(b"IDAT", b"") + chunk(b"IEND", b""), ""),
        (build(8, 3, rows_of(8), before=chunk(b"PLTE", bytes(9))), "colours that its palette lacks"),
    ],
    ids=["too few rows", "an unknown filter", "an empty chunk of pixels", "a short palette"],
)
def test_a_fault_within_right_checksums_is_damage_and_makes_no_noise(
    picture: bytes, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if text:
        refused = refusal(picture)
        assert isinstance(refused, ImageUndecodable)
        assert (refused.reason, refused.flaw) == (Reason.NOT_A_PICTURE, Flaw.CORRUPT)
        assert re.search(rf"the PNG of \d+x\d+ pixels is damaged: .*{text}.*; send the picture as", str(refused))
    else:
        np.testing.assert_array_equal(decoded(picture), scene(9, 7))
    assert capfd.readouterr().err == ""


def test_damaged_deflate_with_a_right_checksum_is_damage(capfd: pytest.CaptureFixture[str]) -> None:
    packed = bytearray(zlib.compress(GOOD))
    packed[40:60] = bytes(20)
    header = struct.pack(">II5B", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    picture = PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(packed)) + chunk(b"IEND", b"")
    assert isinstance(refusal(picture), ImageUndecodable)
    assert capfd.readouterr().err == ""


def test_odd_chunks_that_pixels_do_not_need_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    picture = PNG(scene(WIDTH, HEIGHT))
    odd = chunk(b"iCCP", b"no profile") + chunk(b"tEXt", b"\0" * 9)[:-1] + b"?" + chunk(b"zTXt", b"a\0\0broken")
    np.testing.assert_array_equal(decoded(picture[:33] + odd + picture[33:]), scene(WIDTH, HEIGHT))
    assert capfd.readouterr().err == ""


def deep(samples: Pixels, *, scale: int, channels: int = 1) -> bytes:
    values = samples[..., :channels].astype(np.uint16) * scale
    return cv2.imencode(".png", values[..., 0] if channels == 1 else values)[1].tobytes()


GREY: Final = cv2.cvtColor(scene(WIDTH, HEIGHT), cv2.COLOR_RGB2GRAY)[..., None].astype(np.uint8)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_the_low_bits_are_read_where_their_number_is_known(bits: int) -> None:
    picture = deep(GREY, scale=1 << (bits - 8))
    np.testing.assert_array_equal(decoded(picture, bits)[..., :1], GREY)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("hot", [0, 1])
def test_a_nearly_black_picture_is_refused_where_nothing_is_known(bits: int, hot: int) -> None:
    samples = np.full((40, 60), (1 << bits) - 1, np.uint16)
    samples.flat[:hot] = 65535  # a pixel of the sensor that is broken
    refused = refusal(cv2.imencode(".png", samples)[1].tobytes())
    assert isinstance(refused, ImageUnsupported)
    assert f"uses only the lowest {bits} or so" in str(refused)
    assert "set model.bit_depth to the bits of the sensor, or to 16" in str(refused)


def test_a_dark_picture_is_taken_where_it_is_said_to_be_dark() -> None:
    picture = deep(GREY, scale=16)
    np.testing.assert_array_equal(decoded(picture, 16)[..., :1], GREY >> 4)


def test_samples_above_the_bits_become_white() -> None:
    samples = np.array([[0, 16, 4095, 4096, 65535]], np.uint16)
    assert decoded(cv2.imencode(".png", samples)[1].tobytes(), 12)[0, :, 0].tolist() == [0, 1, 255, 255, 255]


def test_dark_colour_of_16_bits_is_refused_too() -> None:
    picture = deep(scene(WIDTH, HEIGHT), scale=16, channels=3)
    assert "model.bit_depth" in str(refusal(picture))
    assert decoded(picture, 16).max() == 15
    assert "for grey only: send 8 bits" in str(refusal(picture, 12))


def test_a_picture_of_8_bits_does_not_depend_on_the_bits() -> None:
    np.testing.assert_array_equal(decoded(PNG(scene(WIDTH, HEIGHT)), 12), scene(WIDTH, HEIGHT))


def test_raw_grey_of_16_bits_is_read_in_the_same_way() -> None:
    samples = GREY[..., 0].astype("<u2") * 16
    frame = frame_of(samples.tobytes(), raw=RawLayout("gray16le", WIDTH, HEIGHT))
    np.testing.assert_array_equal(decode_image(frame, PictureRules(bit_depth=12)).pixels[..., :1], GREY)
    with pytest.raises(ImageUnsupported, match=r"gray16le of 23x17 pixels .* set model\.bit_depth"):
        decode_image(frame, PictureRules())
