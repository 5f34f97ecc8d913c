"""Read the layout of a raw picture from its headers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from worker.domain.frames import COLOR_MATRICES, COLOR_RANGES, PIXEL_FORMATS, RawLayout
from worker.domain.records import Headers
from worker.wire.header_values import HeaderReader, positive

PIXEL_FORMAT: Final = "pixel-format"
WIDTH: Final = "width"
HEIGHT: Final = "height"
STRIDE: Final = "stride"
SLICE_HEIGHT: Final = "slice-height"
COLOR_RANGE: Final = "color-range"
COLOR_MATRIX: Final = "color-matrix"

# FFmpeg's, GStreamer's, V4L2's and ROS's names of the same formats, in lower case.
_OTHER_FORMATS: Final = {
    **dict.fromkeys(("rgb", "rgb8", "rgb3"), "rgb24"),
    **dict.fromkeys(("bgr", "bgr8", "bgr3"), "bgr24"),
    **dict.fromkeys(("rgba8", "rgbx", "rgb0", "rgba32"), "rgba"),
    **dict.fromkeys(("bgra8", "bgrx", "bgr0", "bgra32"), "bgra"),
    **dict.fromkeys(("gray", "grey", "mono8", "y8", "y800", "l8"), "gray8"),
    **dict.fromkeys(("gray16_le", "gray16", "mono16", "y16"), "gray16le"),
    **dict.fromkeys(("yuv420p", "yu12", "iyuv"), "i420"),
    **dict.fromkeys(("yuyv", "yuy2"), "yuyv422"),
    **dict.fromkeys(("uyvy",), "uyvy422"),
    **dict.fromkeys(("y42b",), "yuv422p"),
    **dict.fromkeys(("y444",), "yuv444p"),
    **{f"yuvj{each}p": f"{'i420' if each == 420 else f'yuv{each}p'} with color-range full" for each in (420, 422, 444)},
}
_OTHER_RANGES: Final = {**dict.fromkeys(("tv", "mpeg", "16-235"), "limited"), **dict.fromkeys(("pc", "jpeg"), "full")}
_OTHER_MATRICES: Final = {
    **dict.fromkeys(("601", "smpte170m", "bt470bg", "bt.601"), "bt601"),
    **dict.fromkeys(("709", "bt.709"), "bt709"),
    **dict.fromkeys(("2020", "bt2020nc", "bt.2020"), "bt2020"),
}


def read_layout(reader: HeaderReader) -> RawLayout | None:
    """Return the layout of a picture with the header `pixel-format`; None if there are faults, which are noted.

    Without `pixel-format` the others mean nothing: a picture is not refused for them.
    """
    pixel_format = reader.take(PIXEL_FORMAT, _one_of(PIXEL_FORMATS, _OTHER_FORMATS))
    width, height = reader.take(WIDTH, positive), reader.take(HEIGHT, positive)
    stride, slice_height = reader.take(STRIDE, positive), reader.take(SLICE_HEIGHT, positive)
    color_range = reader.take(COLOR_RANGE, _one_of(COLOR_RANGES, _OTHER_RANGES))
    color_matrix = reader.take(COLOR_MATRIX, _one_of(COLOR_MATRICES, _OTHER_MATRICES))
    if missing := [name for name in (WIDTH, HEIGHT) if name not in reader.headers]:
        reader.faults.append(
            f"a raw picture has no {' and no '.join(f'header {name!r}' for name in missing)}: send {WIDTH!r} and "
            f"{HEIGHT!r} in pixels; if the value is a JPEG, PNG or WebP, leave {PIXEL_FORMAT!r} out"
        )
    if not (pixel_format and width and height):
        return None
    return RawLayout(pixel_format, width, height, stride, slice_height, color_range, color_matrix or COLOR_MATRICES[0])


def layout_headers(layout: RawLayout) -> Headers:
    """Return the headers from which `read_layout` reads a layout."""
    named = {
        PIXEL_FORMAT: layout.pixel_format,
        WIDTH: layout.width,
        HEIGHT: layout.height,
        STRIDE: layout.stride,
        SLICE_HEIGHT: layout.slice_height,
        COLOR_RANGE: layout.color_range,
        COLOR_MATRIX: layout.color_matrix,
    }
    return tuple((name, str(value).encode()) for name, value in named.items() if value is not None)


def _one_of(values: Sequence[str], others: Mapping[str, str]) -> Callable[[bytes], str]:
    """Return how to read one of some words; `others` are words for the same that people also know."""

    def read(raw: bytes) -> str:
        text = raw.decode(errors="replace")
        if text in values:
            return text
        known = text.strip().lower()
        if found := known if known in values else others.get(known):
            raise ValueError(f"send {found}, which is the name of this here")
        raise ValueError(f"send one of {', '.join(values)}")

    return read
