"""Raw, uncompressed pictures: check that the bytes fit their layout, and convert them to RGB."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason
from worker.domain.frames import RawLayout


class _RawFormat(NamedTuple):
    bits: int  # per pixel, all planes together
    to_rgb: int | None  # OpenCV's conversion

    @property
    def subsampled(self) -> bool:
        return self.bits == 12  # 2x2 pixels share their chroma


_RAW_FORMATS: Final = {
    "rgb24": _RawFormat(24, None),
    "bgr24": _RawFormat(24, cv2.COLOR_BGR2RGB),
    "gray8": _RawFormat(8, cv2.COLOR_GRAY2RGB),
    "nv12": _RawFormat(12, cv2.COLOR_YUV2RGB_NV12),
    "i420": _RawFormat(12, cv2.COLOR_YUV2RGB_I420),
}


def check_layout(data: bytes, layout: RawLayout) -> None:
    """Check that the bytes of a raw picture fit its layout.

    Raises:
        ImageUnsupported: the pixel format is not known, or does not allow this size.
        ImageUndecodable: there are more or fewer bytes than the layout says.
    """
    form, width, height = _RAW_FORMATS.get(layout.pixel_format), layout.width, layout.height
    if form is None:
        raise ImageUnsupported(
            f"pixel format {layout.pixel_format!r} is not supported: send one of {', '.join(_RAW_FORMATS)}"
        )
    if form.subsampled and (width % 2 or height % 2):
        raise ImageUnsupported(f"{layout.pixel_format} of {width}x{height}: send an even width and height")
    expected = width * height * form.bits // 8
    if len(data) != expected:
        raise ImageUndecodable(
            Reason.TRUNCATED if len(data) < expected else Reason.NOT_A_PICTURE,
            f"{layout.pixel_format} of {width}x{height} is {expected} bytes, but the record has {len(data)}: "
            f"send the true layout, and rows without padding",
        )


def unpack(data: bytes, layout: RawLayout) -> NDArray[np.uint8]:
    """Convert a raw picture that fits its layout to RGB, (height, width, 3), uint8."""
    form = _RAW_FORMATS[layout.pixel_format]
    shape = (layout.height, layout.width, 3) if form.bits == 24 else (-1, layout.width)
    packed = np.frombuffer(data, np.uint8).reshape(shape)
    # Torch does not share read-only memory, and the bytes belong to the record.
    return packed.copy() if form.to_rgb is None else cv2.cvtColor(packed, form.to_rgb).astype(np.uint8, copy=False)
