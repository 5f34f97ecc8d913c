"""Decode JPEGs with libjpeg-turbo, and judge what it reports.

A damaged JPEG still gives pixels: libjpeg-turbo fills the rest with grey, or goes on at the wrong place, and reports
that. OpenCV and torchvision throw these reports away; simplejpeg raises them. Some of them are harmless: cameras write
stray bytes before markers, or a wrong length of a comment.

libjpeg-turbo keeps only its first report of a picture, so a harmless one may hide another. Therefore what has caused a
harmless one is removed, or each restart interval is decoded alone.
"""

import re
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from worker.domain.errors import ImageUndecodable, Reason
from worker.domain.pictures import Flaw, Flawed
from worker.media.jpeg_rewriting import plain_jpeg, restart_intervals
from worker.media.jpeg_structure import END, JpegStructure

_STRAY: Final = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_MAX_STRAY: Final = 9
"""Stray bytes between the pixels and a marker that are taken for a habit of the camera: up to 9 are known. More of them
are likely to be pixels that the decoder has found no place for."""
_READ_AHEAD: Final = 9
"""Bytes of padding that the decoder may have read and not report: 7 in its buffer, and 2 that may belong to pixels."""
_ODD_HEADER: Final = ("unknown JFIF revision", "Unknown Adobe color transform", "bad ICC marker")
_CUT: Final = frozenset({Flaw.PREMATURE_END, Flaw.MISSING_SCANS})
_HARMLESS: Final = frozenset({Flaw.EXTRANEOUS, Flaw.ODD_HEADER, Flaw.NO_END})

Pixels = NDArray[np.uint8]


def decode_jpeg(
    data: bytes, jpeg: JpegStructure, size: tuple[int, int], *, accept_damage: bool
) -> tuple[Pixels, Flawed | None]:
    """Decode a JPEG.

    Args:
        data: the whole record.
        jpeg: its structure.
        size: (width, height) to decode at: the JPEG's own, or a half, a quarter or an eighth of it, rounded up.
        accept_damage: whether to return what pixels there are of a damaged JPEG.

    Returns:
        RGB, (height, width, 3), uint8, and what is wrong with the JPEG.

    Raises:
        ImageUndecodable: the JPEG is damaged, or pixels are missing.
        MemoryError: the machine has no memory for the picture.
    """
    picture = data[: jpeg.end] if jpeg.has_end else data.removesuffix(b"\xff") + END
    pixels = np.empty((size[1], size[0], 4 if jpeg.components == 4 else 3), np.uint8)
    flawed = _decode(picture, jpeg, pixels)
    if flawed is not None and flawed.flaw not in _HARMLESS:
        if not accept_damage:
            raise _refusal(jpeg, flawed, "send it as its encoder wrote it, or set limits.damaged: accept")
        # After a report of the header, pixels may be missing in the array.
        if (fatal := _report(plain_jpeg(picture, jpeg), pixels, strict=False)) is not None:
            raise _refusal(jpeg, Flawed(flawed.flaw, fatal), "send it as its encoder wrote it")
    return _rgb(pixels), flawed


def _decode(picture: bytes, jpeg: JpegStructure, pixels: Pixels) -> Flawed | None:
    """Decode into `pixels`, and return what is wrong."""
    flawed, report = None, _report(picture, pixels)
    if report is not None and _is_of_header(report, jpeg):
        flawed = Flawed(Flaw.ODD_HEADER, report)
        report = _report(plain_jpeg(picture, jpeg), pixels)
    if report is not None:
        flawed = _judge(report, picture, jpeg)
    if jpeg.fault is not None and (flawed is None or flawed.flaw in _HARMLESS):
        return Flawed(Flaw.MISSING_SCANS, jpeg.fault)
    if flawed is None and not jpeg.has_end:
        return Flawed(Flaw.NO_END, "the end marker is missing, and no pixels are")
    return flawed


def _report(picture: bytes, pixels: Pixels | None = None, *, strict: bool = True) -> str | None:
    """Decode, and return the decoder's first report.

    Args:
        picture: a JPEG.
        pixels: where to, (height, width, 3) or, for CMYK, (height, width, 4); None for nowhere.
        strict: whether every report counts, or only one that says that there are no pixels.
    """
    height, width, channels = (0, 0, 3) if pixels is None else pixels.shape
    colours = "CMYK" if channels == 4 else "RGB"
    try:
        simplejpeg.decode_jpeg(picture, colours, min_height=height, min_width=width, buffer=pixels, strict=strict)
    except ValueError as error:
        if "Insufficient memory" in str(error):
            raise MemoryError(f"no memory to decode a JPEG of {width}x{height} pixels: {error}") from error
        return str(error)
    return None


def _is_of_header(report: str, jpeg: JpegStructure) -> bool:
    """Tell whether a report may be about the header."""
    stray = _STRAY.search(report)
    if stray is not None:
        return jpeg.has_gaps and int(stray[2], 16) != END[1]
    return any(each in report for each in _ODD_HEADER)


def _judge(report: str, picture: bytes, jpeg: JpegStructure) -> Flawed:
    """Tell what the first report of the pixels means."""
    stray = _STRAY.search(report)
    if stray is None or int(stray[2], 16) == END[1] or jpeg.scans > 1:
        return _judge_end(report, picture[jpeg.pixels_at :])
    intervals = restart_intervals(picture, jpeg)
    if intervals is None:
        return Flawed(Flaw.CORRUPT, f"{report}; restart markers are missing or out of order")
    found = (_judge_end(each, coded) for alone, coded in intervals if (each := _report(alone)) is not None)
    return next((each for each in found if each.flaw not in _HARMLESS), Flawed(Flaw.EXTRANEOUS, report))


def _judge_end(report: str, coded: bytes) -> Flawed:
    """Tell what a report means if it hides no other.

    Args:
        report: about a JPEG.
        coded: its pixels, and perhaps its end marker.
    """
    stray = _STRAY.search(report)
    if stray is not None and int(stray[2], 16) == END[1] and _is_padding(int(stray[1]), coded.removesuffix(END)):
        return Flawed(Flaw.EXTRANEOUS, report)
    return Flawed(Flaw.PREMATURE_END if "remature end" in report else Flaw.CORRUPT, report)


def _is_padding(stray: int, coded: bytes) -> bool:
    """Tell whether bytes that the decoder had no use for are no pixels.

    Zeros are padding. But if the decoder has read many of them as pixels, the true pixels end before.

    Args:
        stray: how many bytes the decoder reports.
        coded: the pixels, and what follows them.
    """
    zeros = len(coded) - len(coded.rstrip(b"\0"))
    return zeros <= stray + _READ_AHEAD and (stray <= _MAX_STRAY or stray <= zeros)


def _refusal(jpeg: JpegStructure, flawed: Flawed, advice: str) -> ImageUndecodable:
    is_cut = flawed.flaw in _CUT or not jpeg.has_end
    what = "truncated" if is_cut else "damaged"
    end = "" if jpeg.has_end else "no end marker, and "
    return ImageUndecodable(
        Reason.TRUNCATED if is_cut else Reason.NOT_A_PICTURE,
        f"the JPEG of {jpeg.width}x{jpeg.height} pixels is {what}: {end}{flawed.text}; {advice}",
        flawed.flaw,
    )


def _rgb(pixels: Pixels) -> Pixels:
    """Turn CMYK into RGB as torchvision does it: inverted, as Adobe writes it."""
    if pixels.shape[2] == 3:
        return pixels
    black = pixels[..., 3:].astype(np.uint32)
    taken = black * (255 - pixels[..., :3]) + 128
    return (black - (((taken >> 8) + taken) >> 8)).astype(np.uint8)
