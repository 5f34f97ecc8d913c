"""Raw, uncompressed pictures: check that the bytes fit their layout, and convert them to RGB."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import EnvelopeInvalid, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import RawLayout
from worker.media.colors import LIMITED, yuv_to_rgb
from worker.media.deep_grey import grey_of
from worker.media.foreign import accepted_kind

Pixels = NDArray[np.uint8]


class _Format(NamedTuple):
    """How a pixel format lies in memory.

    Attributes:
        planes: of each plane, the bytes of two pixels of a row, and how many rows of pixels share one of its rows.
        across: pixels of a row that share their chroma.
        yuv: cuts the planes into Y, U and V; None for RGB and grey.
        opencv: OpenCV's conversion to RGB, of YUV for BT.601 and limited range; None if it has none.
    """

    planes: Sequence[tuple[int, int]]
    across: int = 1
    yuv: Callable[[Sequence[Pixels]], tuple[Pixels, Pixels, Pixels]] | None = None
    opencv: int | None = None

    @property
    def down(self) -> int:
        """Rows of pixels that share their chroma."""
        return self.planes[-1][1]


def _interleaved(u: int, v: int) -> Callable[[Sequence[Pixels]], tuple[Pixels, Pixels, Pixels]]:
    return lambda planes: (planes[0], planes[1][:, u::2], planes[1][:, v::2])


def _packed(y: int, u: int, v: int) -> Callable[[Sequence[Pixels]], tuple[Pixels, Pixels, Pixels]]:
    return lambda planes: (planes[0][:, y::2], planes[0][:, u::4], planes[0][:, v::4])


def _planar(u: int, v: int) -> Callable[[Sequence[Pixels]], tuple[Pixels, Pixels, Pixels]]:
    return lambda planes: (planes[0], planes[u], planes[v])


_TWO_PLANES: Final = ((2, 1), (2, 2))
_QUARTER_PLANES: Final = ((2, 1), (1, 2), (1, 2))
_FORMATS: Final = {
    "rgb24": _Format([(6, 1)]),
    "bgr24": _Format([(6, 1)], opencv=cv2.COLOR_BGR2RGB),
    "rgba": _Format([(8, 1)], opencv=cv2.COLOR_RGBA2RGB),
    "bgra": _Format([(8, 1)], opencv=cv2.COLOR_BGRA2RGB),
    "gray8": _Format([(2, 1)], opencv=cv2.COLOR_GRAY2RGB),
    "gray16le": _Format([(4, 1)], opencv=cv2.COLOR_GRAY2RGB),
    "nv12": _Format(_TWO_PLANES, 2, _interleaved(0, 1), cv2.COLOR_YUV2RGB_NV12),
    "nv21": _Format(_TWO_PLANES, 2, _interleaved(1, 0), cv2.COLOR_YUV2RGB_NV21),
    "i420": _Format(_QUARTER_PLANES, 2, _planar(1, 2), cv2.COLOR_YUV2RGB_I420),
    "yv12": _Format(_QUARTER_PLANES, 2, _planar(2, 1), cv2.COLOR_YUV2RGB_YV12),
    "yuyv422": _Format([(4, 1)], 2, _packed(0, 1, 3), cv2.COLOR_YUV2RGB_YUYV),
    "uyvy422": _Format([(4, 1)], 2, _packed(1, 0, 2), cv2.COLOR_YUV2RGB_UYVY),
    "yuv422p": _Format([(2, 1), (1, 1), (1, 1)], 2, _planar(1, 2)),
    "yuv444p": _Format([(2, 1), (2, 1), (2, 1)], 1, _planar(1, 2)),
}
_USUAL_MATRIX: Final = "bt601"
_GREY: Final = frozenset({"gray8", "gray16le"})


class _Plane(NamedTuple):
    """Where a plane lies: `rows` rows of `stride` bytes, of which `shown` rows and `width` bytes are the picture."""

    rows: int
    stride: int
    shown: int
    width: int


def check_layout(data: bytes, layout: RawLayout) -> None:
    """Check that the bytes of a raw picture fit its layout.

    Raises:
        ImageUnsupported: the pixel format is not known, or does not allow this size, stride or range.
        ImageUndecodable: there are more or fewer bytes than the layout says.
        EnvelopeInvalid: the layout contradicts itself, or the bytes are an encoded picture.
    """
    form, width, height = _FORMATS.get(layout.pixel_format), layout.width, layout.height
    if form is None:
        raise ImageUnsupported(
            f"pixel format {layout.pixel_format!r} is not supported: send one of {', '.join(_FORMATS)}"
        )
    if width % form.across or height % form.down:
        even = "width and height" if form.down > 1 else "width"
        raise ImageUnsupported(f"{layout.pixel_format} of {width}x{height}: send an even {even}")
    _check_padding(layout, form)
    if form.yuv is None and layout.pixel_format not in _GREY and layout.color_range == LIMITED:
        raise ImageUnsupported(f"{layout.pixel_format} of limited range is not supported: send it in full range")
    expected = sum(plane.rows * plane.stride for plane in _planes(layout, form))
    if len(data) != expected:
        raise _wrong_length(data, layout, expected)


def unpack(data: bytes, layout: RawLayout, bit_depth: int | None) -> Pixels:
    """Convert a raw picture that fits its layout to RGB, (height, width, 3), uint8, in its own memory.

    Args:
        data: the picture.
        layout: its layout.
        bit_depth: bits that samples of 16 bits use, 9 to 16, counted from the lowest; None if nothing is known.

    Raises:
        ImageUnsupported: nothing is known of 16-bit samples, and the picture would be nearly black.
    """
    form = _FORMATS[layout.pixel_format]
    planes = _cut(data, _planes(layout, form))
    if form.yuv is not None:
        if form.opencv is None or layout.color_range not in (None, LIMITED) or layout.color_matrix != _USUAL_MATRIX:
            y, u, v = form.yuv(planes)
            u, v = _full_size(u, form), _full_size(v, form)
            return yuv_to_rgb(y, u, v, layout.color_matrix, layout.color_range)
        return _by_opencv(_for_opencv(planes, layout), form.opencv)
    (plane,) = planes
    if layout.pixel_format == "gray16le":
        what = f"{layout.pixel_format} of {layout.width}x{layout.height} pixels"
        plane = grey_of(np.ascontiguousarray(plane).view("<u2"), bit_depth, what)
    if layout.pixel_format in _GREY and layout.color_range == LIMITED:
        grey = np.full_like(plane, 128)
        return yuv_to_rgb(plane, grey, grey, layout.color_matrix, LIMITED)
    pixels = plane.reshape(layout.height, layout.width, -1)
    # Torch does not share read-only memory, and the bytes belong to the record.
    return pixels.copy() if form.opencv is None else _by_opencv(pixels, form.opencv)


def _check_padding(layout: RawLayout, form: _Format) -> None:
    """Check that a stride and a slice height are possible."""
    least, across = layout.width * form.planes[0][0] // 2, 2 if any(each == 1 for each, _ in form.planes) else 1
    if layout.stride is not None and (layout.stride < least or layout.stride % across):
        raise EnvelopeInvalid(
            f"header 'stride' is {layout.stride}: send the bytes, not pixels, from one row of the first plane to the "
            f"next, for {layout.pixel_format} at least {least}{' and even' if across > 1 else ''}"
        )
    if layout.slice_height is not None and (layout.slice_height < layout.height or layout.slice_height % form.down):
        raise EnvelopeInvalid(
            f"header 'slice-height' is {layout.slice_height}: send the rows of the first plane with its padding, at "
            f"least {layout.height}{' and even' if form.down > 1 else ''}"
        )


def _planes(layout: RawLayout, form: _Format) -> list[_Plane]:
    first = form.planes[0][0]
    stride, rows = layout.stride or layout.width * first // 2, layout.slice_height or layout.height
    return [
        _Plane(rows // down, stride * size // first, layout.height // down, layout.width * size // 2)
        for size, down in form.planes
    ]


def _wrong_length(data: bytes, layout: RawLayout, expected: int) -> EnvelopeInvalid | ImageUndecodable:
    if (kind := accepted_kind(data)) is not None:
        return EnvelopeInvalid(
            f"the value is a {kind}, but header 'pixel-format' says that it is raw {layout.pixel_format}: leave out "
            f"'pixel-format' to send the {kind}, or send the raw pixels instead"
        )
    padded = layout.stride is not None or layout.slice_height is not None
    what = f"{layout.pixel_format} of {layout.width}x{layout.height}{' with its padding' if padded else ''}"
    return ImageUndecodable(
        Reason.TRUNCATED if len(data) < expected else Reason.NOT_A_PICTURE,
        f"{what} is {expected} bytes, but the record has {len(data)}: send the true layout; if rows or planes are "
        f"padded, the headers 'stride' (bytes of a row) and 'slice-height' (rows of the first plane) say how",
    )


def _cut(data: bytes, planes: Sequence[_Plane]) -> list[Pixels]:
    """Return the planes without their padding, each (rows, bytes)."""
    found, at = list[Pixels](), 0
    for plane in planes:
        size = plane.rows * plane.stride
        rows = np.frombuffer(data, np.uint8, size, at).reshape(plane.rows, plane.stride)
        found.append(rows[: plane.shown, : plane.width])
        at += size
    return found


def _for_opencv(planes: Sequence[Pixels], layout: RawLayout) -> Pixels:
    """Return YUV as OpenCV takes it: (height, width, 2) if it is packed, else all planes as rows of the first."""
    if len(planes) == 1:
        return planes[0].reshape(layout.height, layout.width, 2)
    return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, layout.width)


def _by_opencv(pixels: Pixels, conversion: int) -> Pixels:
    return cv2.cvtColor(pixels, conversion).astype(np.uint8, copy=False)


def _full_size(chroma: Pixels, form: _Format) -> Pixels:
    return chroma.repeat(form.down, axis=0).repeat(form.across, axis=1)
