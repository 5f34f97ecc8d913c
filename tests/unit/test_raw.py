"""Raw pictures of every layout, compared with what the formulas of the standards give."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import ALL_ENCODERS, Encode, Pixels, frame_of, scene
from worker.domain.errors import EnvelopeInvalid, FrameRejected, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import COLOR_MATRICES, COLOR_RANGES, PIXEL_FORMATS, RawLayout
from worker.domain.pictures import PictureRules
from worker.media.images import decode_image

WIDTH, HEIGHT = 22, 14
YUV_FORMATS = {
    "nv12": (2, 2),
    "nv21": (2, 2),
    "i420": (2, 2),
    "yv12": (2, 2),
    "yuyv422": (2, 1),
    "uyvy422": (2, 1),
    "yuv422p": (2, 1),
    "yuv444p": (1, 1),
}
"""Pixels across and down that share their chroma."""
Planes = tuple[Pixels, Pixels, Pixels]


def planes(across: int, down: int, *, seed: int, full: bool = False) -> Planes:
    """Paint luma and chroma at random, in the range that is allowed."""
    chance = np.random.default_rng(seed)
    low, luma, chroma = (0, 256, 256) if full else (16, 236, 241)
    small = (HEIGHT // down, WIDTH // across)
    return (
        chance.integers(low, luma, (HEIGHT, WIDTH)).astype(np.uint8),
        chance.integers(low, chroma, small).astype(np.uint8),
        chance.integers(low, chroma, small).astype(np.uint8),
    )


def in_memory(pixel_format: str, y: Pixels, u: Pixels, v: Pixels) -> list[Pixels]:
    """Lay planes out as a format says, pixel by pixel: the rows of each of its planes."""
    match pixel_format:
        case "nv12" | "nv21":
            first, second = (u, v) if pixel_format == "nv12" else (v, u)
            return [y, np.stack([first, second], axis=2).reshape(len(u), -1)]
        case "yuyv422" | "uyvy422":
            rows = []
            for row_y, row_u, row_v in zip(y.tolist(), u.tolist(), v.tolist(), strict=True):
                quads = zip(row_y[::2], row_u, row_y[1::2], row_v, strict=True)
                rows.append(
                    [
                        part
                        for a, b, c, d in quads
                        for part in ((a, b, c, d) if pixel_format == "yuyv422" else (b, a, d, c))
                    ]
                )
            return [np.array(rows, np.uint8)]
        case "yv12":
            return [y, v, u]
    return [y, u, v]


def by_formula(y: Pixels, u: Pixels, v: Pixels, matrix: str, color_range: str) -> NDArray[np.float64]:
    """Compute RGB as ITU-R BT.601, BT.709 and BT.2020 define it, one pixel after the other."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]
    rgb = np.empty((*y.shape, 3))
    for row, column in np.ndindex(y.shape):
        place = row * len(u) // len(y), column * u.shape[1] // y.shape[1]
        if color_range == "limited":
            luma, cb, cr = (int(y[row, column]) - 16) / 219, (int(u[place]) - 128) / 224, (int(v[place]) - 128) / 224
        else:
            luma, cb, cr = int(y[row, column]) / 255, (int(u[place]) - 128) / 255, (int(v[place]) - 128) / 255
        r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
        rgb[row, column] = r, (luma - red * r - blue * b) / (1 - red - blue), b
    clipped: NDArray[np.float64] = np.clip(255 * rgb, 0, 255)
    return clipped


def decoded(data: bytes, layout: RawLayout) -> Pixels:
    return decode_image(frame_of(data, raw=layout), PictureRules()).pixels


def refused(data: bytes, layout: RawLayout) -> FrameRejected:
    with pytest.raises(FrameRejected) as caught:
        decoded(data, layout)
    return caught.value


def tight(rows: list[Pixels]) -> bytes:
    return b"".join(each.tobytes() for each in rows)


def padded(rows: list[Pixels], *, stride: int, slice_height: int, seed: int) -> bytes:
    """Put noise after each row and each plane."""
    chance, data = np.random.default_rng(seed), []
    for each in rows:
        whole = (slice_height * len(each) // HEIGHT, stride * each.shape[1] // rows[0].shape[1])
        noisy = chance.integers(0, 256, whole).astype(np.uint8)
        noisy[: each.shape[0], : each.shape[1]] = each
        data.append(noisy)
    return tight(data)


def sample(pixel_format: str, seed: int) -> list[Pixels]:
    """Make the planes of any format, at random."""
    if pixel_format in YUV_FORMATS:
        return in_memory(pixel_format, *planes(*YUV_FORMATS[pixel_format], seed=seed))
    size = {"gray8": 1, "gray16le": 2, "rgba": 4, "bgra": 4}.get(pixel_format, 3)
    return [np.random.default_rng(seed).integers(0, 256, (HEIGHT, size * WIDTH)).astype(np.uint8)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("color_range", COLOR_RANGES)
@pytest.mark.parametrize("matrix", COLOR_MATRICES)
@pytest.mark.parametrize("pixel_format", YUV_FORMATS)
def test_yuv_becomes_what_its_standard_says(pixel_format: str, matrix: str, color_range: str, seed: int) -> None:
    y, u, v = planes(*YUV_FORMATS[pixel_format], seed=seed, full=color_range == "full")
    layout = RawLayout(pixel_format, WIDTH, HEIGHT, color_range=color_range, color_matrix=matrix)
    found = decoded(tight(in_memory(pixel_format, y, u, v)), layout)
    np.testing.assert_allclose(found, by_formula(y, u, v, matrix, color_range), atol=1.6)


@pytest.mark.parametrize("pixel_format", YUV_FORMATS)
def test_without_headers_yuv_is_limited_bt601(pixel_format: str) -> None:
    data = tight(sample(pixel_format, 1))
    plain, said = RawLayout(pixel_format, WIDTH, HEIGHT), RawLayout(pixel_format, WIDTH, HEIGHT, None, None, "limited")
    np.testing.assert_array_equal(decoded(data, plain), decoded(data, said))


@pytest.mark.parametrize(
    ("pixel_format", "conversion"),
    [
        ("nv12", cv2.COLOR_YUV2RGB_NV12),
        ("nv21", cv2.COLOR_YUV2RGB_NV21),
        ("i420", cv2.COLOR_YUV2RGB_I420),
        ("yv12", cv2.COLOR_YUV2RGB_YV12),
        ("bgr24", cv2.COLOR_BGR2RGB),
        ("gray8", cv2.COLOR_GRAY2RGB),
    ],
)
def test_what_opencv_converts_is_opencvs_bit_for_bit(pixel_format: str, conversion: int) -> None:
    data = np.random.default_rng(5).integers(0, 256, HEIGHT * WIDTH * 3, np.uint8)
    rows = {"bgr24": (HEIGHT, WIDTH, 3), "gray8": (HEIGHT, WIDTH)}.get(pixel_format, (HEIGHT * 3 // 2, WIDTH))
    pixels = data[: int(np.prod(rows))].reshape(rows)
    found = decoded(pixels.tobytes(), RawLayout(pixel_format, WIDTH, HEIGHT))
    np.testing.assert_array_equal(found, cv2.cvtColor(pixels, conversion))


def test_rgb_grey_and_alpha_lie_as_their_names_say() -> None:
    rgb = scene(WIDTH, HEIGHT)
    alpha = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
    samples = {
        "rgb24": rgb,
        "bgr24": rgb[..., ::-1],
        "rgba": np.concatenate([rgb, alpha], axis=2),
        "bgra": np.concatenate([rgb[..., ::-1], alpha], axis=2),
    }
    for pixel_format, pixels in samples.items():
        found = decoded(pixels.tobytes(), RawLayout(pixel_format, WIDTH, HEIGHT))
        np.testing.assert_array_equal(found, rgb, err_msg=pixel_format)
        assert found.flags.writeable
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    deep = rgb[..., 0].astype("<u2") * 256 + 200
    np.testing.assert_array_equal(decoded(rgb[..., 0].tobytes(), RawLayout("gray8", WIDTH, HEIGHT)), grey)
    np.testing.assert_array_equal(decoded(deep.tobytes(), RawLayout("gray16le", WIDTH, HEIGHT)), grey)


@pytest.mark.parametrize("pixel_format", ["gray8", "gray16le"])
def test_grey_is_full_range_unless_it_is_said_to_be_limited(pixel_format: str) -> None:
    levels = np.arange(16, 236, dtype=np.uint8).reshape(10, 22)
    data = levels.tobytes() if pixel_format == "gray8" else (levels.astype("<u2") * 256).tobytes()
    plain = decoded(data, RawLayout(pixel_format, 22, 10))
    limited = decoded(data, RawLayout(pixel_format, 22, 10, color_range="limited"))
    np.testing.assert_array_equal(plain[..., 1], levels)
    np.testing.assert_allclose(limited[..., 1], (levels.astype(float) - 16) * 255 / 219, atol=1)


@pytest.mark.parametrize(("extra", "rows"), [(0, 2), (10, 0), (42, 18)])
@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
def test_padding_is_left_out(pixel_format: str, extra: int, rows: int) -> None:
    planes_of = sample(pixel_format, seed=extra)
    stride, slice_height = planes_of[0].shape[1] + extra, HEIGHT + rows
    layout = RawLayout(pixel_format, WIDTH, HEIGHT)
    found = decoded(
        padded(planes_of, stride=stride, slice_height=slice_height, seed=rows),
        replace(layout, stride=stride if extra else None, slice_height=slice_height if rows else None),
    )
    np.testing.assert_array_equal(found, decoded(tight(planes_of), layout))


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize(("change", "reason"), [(-1, Reason.TRUNCATED), (1, Reason.NOT_A_PICTURE)])
@pytest.mark.parametrize("stride", [None, 256])
def test_a_raw_picture_is_exactly_as_long_as_its_layout_says(
    pixel_format: str, change: int, reason: Reason, stride: int | None
) -> None:
    rows = sample(pixel_format, 0)
    whole = tight(rows) if stride is None else padded(rows, stride=stride, slice_height=HEIGHT, seed=0)
    error = refused((whole + b"\0")[: len(whole) + change], RawLayout(pixel_format, WIDTH, HEIGHT, stride))
    assert isinstance(error, ImageUndecodable)
    assert error.reason is reason
    assert f"is {len(whole)} bytes, but the record has {len(whole) + change}: send the true layout" in str(error)
    assert "'stride' (bytes of a row) and 'slice-height'" in str(error)


@pytest.mark.parametrize(("pixel_format", "shared"), YUV_FORMATS.items())
@pytest.mark.parametrize(("width", "height"), [(9, 8), (8, 9)])
def test_shared_chroma_needs_even_sides(pixel_format: str, shared: tuple[int, int], width: int, height: int) -> None:
    layout = RawLayout(pixel_format, width, height)
    if width % shared[0] or height % shared[1]:
        error = refused(bytes(10**4), layout)
        assert isinstance(error, ImageUnsupported)
        assert "send an even width" in str(error)
    else:
        assert decoded(bytes(width * height * (3 if shared == (1, 1) else 2)), layout).shape == (height, width, 3)


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (RawLayout("rgb24", 8, 8, stride=8), "header 'stride' is 8: send the bytes, not pixels, .* at least 24$"),
        (RawLayout("gray16le", 8, 8, stride=15), "header 'stride' is 15: .* at least 16$"),
        (RawLayout("nv12", 8, 8, stride=6), "header 'stride' is 6: .* at least 8$"),
        (RawLayout("i420", 8, 8, stride=9), "header 'stride' is 9: .* at least 8 and even$"),
        (RawLayout("nv12", 8, 8, slice_height=6), "header 'slice-height' is 6: send the rows .* least 8 and even$"),
        (RawLayout("nv12", 8, 8, slice_height=9), "header 'slice-height' is 9: .* at least 8 and even$"),
        (RawLayout("gray8", 8, 8, slice_height=7), "header 'slice-height' is 7: .* at least 8$"),
    ],
)
def test_an_impossible_padding_is_named(layout: RawLayout, text: str) -> None:
    error = refused(bytes(10_000), layout)
    assert isinstance(error, EnvelopeInvalid)
    with pytest.raises(EnvelopeInvalid, match=text):
        raise error


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "rgba", "bgra"])
def test_rgb_of_limited_range_is_refused_rather_than_read_too_dull(pixel_format: str) -> None:
    rows = tight(sample(pixel_format, 0))
    error = refused(rows, RawLayout(pixel_format, WIDTH, HEIGHT, color_range="limited"))
    assert isinstance(error, ImageUnsupported)
    assert str(error).endswith("send it in full range")
    assert decoded(rows, RawLayout(pixel_format, WIDTH, HEIGHT, color_range="full")).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("encode", ALL_ENCODERS.values(), ids=ALL_ENCODERS)
def test_an_encoded_picture_with_a_layout_says_which_of_the_two_to_leave_out(encode: Encode) -> None:
    error = refused(encode(scene(64, 48)), RawLayout("rgb24", 64, 48))
    assert error.reason is Reason.BAD_HEADER
    assert "but header 'pixel-format' says that it is raw rgb24: leave out 'pixel-format' to send the " in str(error)


def test_a_raw_picture_that_begins_like_a_jpeg_is_read_as_raw() -> None:
    pixels = np.full((8, 8, 3), 255, np.uint8)
    pixels[0, :2] = [[255, 216, 255], [224, 0, 16]]
    np.testing.assert_array_equal(decoded(pixels.tobytes(), RawLayout("rgb24", 8, 8)), pixels)


@pytest.mark.parametrize("content_type", ["image/x-raw", "video/x-raw; format=RGB"])
def test_an_encoded_picture_with_a_raw_content_type_and_no_layout_is_taken_for_what_it_is(content_type: str) -> None:
    picture = ALL_ENCODERS["jpeg 4:2:0"](scene(64, 48))
    found = decode_image(frame_of(picture, content_type=content_type), PictureRules())
    np.testing.assert_array_equal(found.pixels, decode_image(frame_of(picture), PictureRules()).pixels)
