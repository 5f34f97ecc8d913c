import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from torchvision.io import ImageReadMode  # type: ignore[import-untyped]
from torchvision.io import decode_image as torchvision_decode

from tests.support.pictures import (
    ALL_ENCODERS,
    ENCODERS,
    JPEG,
    PNG,
    Encode,
    Pixels,
    frame_of,
    jpeg_header,
    png_bomb,
    scene,
)
from worker.domain.errors import (
    EnvelopeInvalid,
    FrameRejected,
    ImageTooLarge,
    ImageUndecodable,
    ImageUnsupported,
    Reason,
)
from worker.domain.frames import PIXEL_FORMATS, EncodedFrame, RawLayout
from worker.domain.pictures import PictureRules
from worker.media.headers import PictureHeader, inspect_picture
from worker.media.images import decode_image, inspect_frame, limit_opencv_threads

LIMIT = 1_000_000
SMALL = {name: encode(scene(24, 17)) for name, encode in ALL_ENCODERS.items()}
every_kind = pytest.mark.parametrize("encode", ALL_ENCODERS.values(), ids=ALL_ENCODERS)
RAW_FORMATS = ["rgb24", "bgr24", "gray8", "nv12", "i420"]


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")  # torchvision hands it on to torchcodec
@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (37, 53), (320, 240)])
def test_pixels_are_torchvisions_bit_for_bit(encode: Encode, width: int, height: int) -> None:
    picture = encode(scene(width, height))
    tensor = torchvision_decode(torch.frombuffer(bytearray(picture), dtype=torch.uint8), ImageReadMode.RGB)
    np.testing.assert_array_equal(decoded(picture), tensor.permute(1, 2, 0).numpy())


@given(st.sampled_from(sorted(ALL_ENCODERS)), st.integers(3, 70), st.integers(3, 70))
def test_every_kind_and_size_comes_out_as_rgb(name: str, width: int, height: int) -> None:
    pixels = decoded(ALL_ENCODERS[name](scene(width, height)))
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("name", ["png", "png alpha", "png 16 bit", "webp lossless"])
def test_a_lossless_picture_comes_back_as_it_was(name: str) -> None:
    np.testing.assert_array_equal(decoded(ALL_ENCODERS[name](scene(64, 48))), scene(64, 48))


@every_kind
def test_a_picture_is_neither_turned_nor_swapped(encode: Encode) -> None:
    original, pixels = scene(64, 48).astype(int), decoded(encode(scene(64, 48))).astype(int)
    if (pixels[..., 0] == pixels[..., 2]).all():
        original[:] = cv2.cvtColor(scene(64, 48), cv2.COLOR_RGB2GRAY)[..., None]
    assert np.abs(original - pixels).mean() < 6


def test_sixteen_bits_keep_the_high_byte() -> None:
    deep = np.array([[0x0000, 0x00FF, 0x0100, 0x7FFF, 0xFFFF]], np.uint16)
    pixels = decoded(cv2.imencode(".png", deep)[1].tobytes())
    assert pixels[0, :, 0].tolist() == [0x00, 0x00, 0x01, 0x7F, 0xFF]


@every_kind
def test_refuses_a_picture_cut_anywhere(encode: Encode) -> None:
    picture = encode(scene(9, 7))
    whole = decoded(picture)
    for end in range(len(picture)):
        try:
            pixels = decoded(picture[:end])
        except FrameRejected as refused:
            assert refused.reason is (Reason.TRUNCATED if end else Reason.EMPTY)  # noqa: PT017 many ends, some taken
        else:
            assert end >= len(picture) - 3, "only an end marker, and bits that fill a byte, may be missing"
            np.testing.assert_array_equal(pixels, whole)


def test_refuses_a_tombstone() -> None:
    assert rejection(frame_of(None)).reason is Reason.EMPTY
    assert rejection(frame_of(None, content_type="image/x-raw")).reason is Reason.EMPTY
    assert rejection(frame_of(None, raw=RawLayout("rgb24", 2, 2))).reason is Reason.EMPTY


@pytest.mark.parametrize("content_type", ["image/png", "text/plain", "", "image/jpeg; q=1"])
def test_the_bytes_are_believed_not_the_content_type(content_type: str) -> None:
    picture = JPEG(scene(8, 8))
    pixels = decode_image(frame_of(picture, content_type=content_type), PictureRules()).pixels
    np.testing.assert_array_equal(pixels, decoded(picture))


def test_takes_a_picture_of_just_the_limit() -> None:
    picture = frame_of(PNG(scene(20, 10)))
    assert decode_image(picture, PictureRules(max_pixels=200)).pixels.shape == (10, 20, 3)
    with pytest.raises(ImageTooLarge, match=r"20x10 is 200 pixels, the limit is 199"):
        decode_image(picture, PictureRules(max_pixels=199))


@pytest.mark.parametrize("way", ["jpeg", "png", "raw"])
def test_a_thread_of_a_picture_is_refused(way: str) -> None:
    def wrap(width: int, height: int) -> EncodedFrame:
        pixels = scene(width, height)
        return raw_frame("rgb24", pixels) if way == "raw" else frame_of((JPEG if way == "jpeg" else PNG)(pixels))

    assert decode_image(wrap(64, 2), PictureRules()).pixels.shape == (2, 64, 3)
    for width, height in ((66, 2), (2, 66), (5_000, 2)):
        refused = rejection(wrap(width, height))
        assert isinstance(refused, ImageUnsupported)
        assert f"is {width}x{height}: no side may be more than 32 times as long as the other" in str(refused)


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = frame_of(png_bomb(20_000, 20_000))  # some tens of kilobytes, 1.2 GB once decoded
    before = peak_memory()
    with pytest.raises(ImageTooLarge):
        decode_image(bomb, PictureRules())
    assert peak_memory() - before < 10_000_000


def test_no_memory_is_not_the_frames_fault() -> None:
    large = frame_of(png_bomb(25_000, 25_000))  # more than a model that was tested before has left behind
    with address_space(headroom=100_000_000), pytest.raises(MemoryError):
        decode_image(large, PictureRules(max_pixels=1_000_000_000))


def test_a_photograph_of_50_megapixels_is_taken_by_default() -> None:
    assert isinstance(inspect_frame(frame_of(jpeg_header(width=8160, height=6144)), PictureRules()), PictureHeader)


@pytest.mark.parametrize(("aspect", "taken"), [(1, False), (3, False), (4, True), (100, True)])
def test_the_longest_shape_is_a_rule(aspect: int, taken: bool) -> None:  # noqa: FBT001 a case
    for frame in (frame_of(JPEG(scene(40, 10))), frame_of(PNG(scene(10, 40))), raw_frame("rgb24", scene(40, 10))):
        if taken:
            decode_image(frame, PictureRules(max_aspect=aspect))
            continue
        with pytest.raises(ImageUnsupported, match=f"more than {aspect} times.* raise limits.max_aspect$"):
            decode_image(frame, PictureRules(max_aspect=aspect))


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("kind", ["Adobe's CMYK", "CMYK without Adobe", "YCCK"])
def test_four_colours_become_rgb_as_torchvision_converts_them(kind: str) -> None:
    file = BytesIO()
    Pillow.fromarray(scene(61, 35)).convert("CMYK").save(file, "JPEG", quality=95)
    picture, adobe = file.getvalue(), file.getvalue().index(b"\xff\xee")
    if kind == "CMYK without Adobe":
        picture = picture[:adobe] + picture[adobe + 16 :]
    elif kind == "YCCK":
        picture = picture[: adobe + 15] + b"\2" + picture[adobe + 16 :]
    tensor = torchvision_decode(torch.frombuffer(bytearray(picture), dtype=torch.uint8), ImageReadMode.RGB)
    np.testing.assert_allclose(decoded(picture).astype(int), tensor.permute(1, 2, 0).numpy().astype(int), atol=1)


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_a_jpeg_of_rgb_is_read_as_torchvision_does() -> None:
    file = BytesIO()
    Pillow.fromarray(scene(61, 35)).save(file, "JPEG", quality=95, keep_rgb=True)
    tensor = torchvision_decode(torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8), ImageReadMode.RGB)
    np.testing.assert_array_equal(decoded(file.getvalue()), tensor.permute(1, 2, 0).numpy())
    assert np.abs(decoded(file.getvalue()).astype(int) - scene(61, 35)).mean() < 3


@pytest.mark.parametrize(("name", "offset"), [(b"IHDR", 17), (b"IDAT", 8)], ids=["header", "pixels"])
def test_a_wrong_checksum_is_damage(name: bytes, offset: int) -> None:
    picture = bytearray(PNG(scene(32, 32)))
    picture[picture.index(name) + offset] ^= 1
    refused = rejection(frame_of(bytes(picture)))
    assert isinstance(refused, ImageUndecodable)
    assert refused.reason is Reason.NOT_A_PICTURE
    assert f"the PNG of 32x32 pixels is damaged: the checksum of its chunk {name.decode()} is wrong; send" in str(
        refused
    )


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected(noise: bytes) -> None:
    rejection(frame_of(noise))


@given(st.sampled_from(sorted(SMALL)), st.randoms(use_true_random=False))
def test_a_damaged_picture_is_decoded_or_rejected(name: str, rng: random.Random) -> None:
    damaged = bytearray(SMALL[name])
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(damaged) - 8)
        damaged[at : at + rng.choice([0, 1, 1, 4])] = rng.randbytes(rng.choice([0, 1, 1, 4]))
    with suppress(FrameRejected):
        pixels, header = decoded(bytes(damaged)), inspect_picture(bytes(damaged))
        assert pixels.shape == (header.height, header.width, 3)


@pytest.mark.parametrize("pixel_format", RAW_FORMATS)
def test_a_raw_picture_comes_out_as_rgb(pixel_format: str) -> None:
    pixels = decode_image(raw_frame(pixel_format, scene(64, 48)), PictureRules()).pixels
    expected = scene(64, 48)
    if pixel_format == "gray8":
        expected = cv2.cvtColor(cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
    lossy = pixel_format in {"nv12", "i420"}
    assert np.abs(expected.astype(int) - pixels).mean() <= (5 if lossy else 0)
    assert pixels.flags.writeable


@pytest.mark.parametrize("pixel_format", RAW_FORMATS)
@pytest.mark.parametrize(("change", "reason"), [(-1, Reason.TRUNCATED), (1, Reason.NOT_A_PICTURE)])
def test_a_raw_picture_is_exactly_as_long_as_its_layout_says(pixel_format: str, change: int, reason: Reason) -> None:
    whole = raw_frame(pixel_format, scene(8, 6))
    refused = rejection(frame_of((whole.data + b"\0")[: len(whole.data) + change], raw=whole.raw))
    assert refused.reason is reason
    assert f"is {len(whole.data)} bytes, but the record has {len(whole.data) + change}" in str(refused)


@pytest.mark.parametrize("pixel_format", ["nv12", "i420"])
@pytest.mark.parametrize(("width", "height"), [(3, 2), (2, 3)])
def test_subsampled_chroma_needs_even_sizes(pixel_format: str, width: int, height: int) -> None:
    refused = rejection(frame_of(bytes(width * height * 3 // 2), raw=RawLayout(pixel_format, width, height)))
    assert isinstance(refused, ImageUnsupported)
    assert "even" in str(refused)


def test_refuses_a_raw_format_it_does_not_know() -> None:
    refused = rejection(frame_of(bytes(12), raw=RawLayout("yuyv", 2, 3)))
    assert isinstance(refused, ImageUnsupported)
    assert str(refused).endswith(f"send one of {', '.join(PIXEL_FORMATS)}")


def test_a_raw_layout_has_the_same_limit() -> None:
    refused = rejection(frame_of(b"tiny", raw=RawLayout("rgb24", 10**20, 10**20)))
    assert isinstance(refused, ImageTooLarge)


@pytest.mark.parametrize("content_type", ["image/x-raw", "video/x-raw; format=RGB", "Image/X-Raw"])
def test_a_raw_picture_without_layout_is_a_fault_of_its_envelope(content_type: str) -> None:
    assert isinstance(rejection(frame_of(bytes(12), content_type=content_type)), EnvelopeInvalid)


def test_opencv_keeps_to_its_threads() -> None:
    before = cv2.getNumThreads()
    try:
        limit_opencv_threads(1)
        assert cv2.getNumThreads() == 1
    finally:
        limit_opencv_threads(before)


def decoded(picture: bytes) -> Pixels:
    return decode_image(frame_of(picture), PictureRules()).pixels


def rejection(frame: EncodedFrame) -> FrameRejected:
    with pytest.raises(FrameRejected) as caught:
        decode_image(frame, PictureRules())
    return caught.value


def raw_frame(pixel_format: str, rgb: Pixels) -> EncodedFrame:
    height, width = rgb.shape[:2]
    i420 = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).ravel()
    luma, chroma = i420[: width * height], i420[width * height :].reshape(2, -1)
    data = {
        "rgb24": rgb,
        "bgr24": rgb[..., ::-1],
        "gray8": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
        "nv12": np.concatenate([luma, chroma.T.ravel()]),
        "i420": i420,
    }[pixel_format]
    return frame_of(data.tobytes(), content_type="image/x-raw", raw=RawLayout(pixel_format, width, height))


def peak_memory() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def address_space(*, headroom: int) -> Iterator[None]:
    """Let this process map no more than `headroom` bytes beyond what it has mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + headroom, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
