"""Read the structure of a JPEG: its segments, its scans and its end. Nothing is decoded here.

ITU-T T.81, annex B: segments of marker, length and body up to the first scan, then scans up to the end marker. Between
segments libjpeg skips bytes that are no marker. This code does the same; otherwise the two might read different sizes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason
from worker.domain.pictures import Flaw
from worker.media.refusals import damaged, truncated

SCAN: Final = 0xDA
PROGRESSIVE: Final = 0xC2
END: Final = b"\xff\xd9"
_EXIF: Final = b"Exif\0\0"

# Restart markers and TEM (01) have no length.
_NEXT_SEGMENT: Final = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
# Within a scan, a zero follows each FF of the pixels.
_NEXT_IN_SCAN: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_START_OF_PICTURE: Final = 0xD8
_END_OF_PICTURE: Final = 0xD9
_ENDS: Final = frozenset({_START_OF_PICTURE, _END_OF_PICTURE})
_APP1: Final = 0xE1
_JPEG_LS: Final = 0xF7
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {_JPEG_LS}
_OTHER_PROCESSES: Final = {
    0xC3: "lossless coding",
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "hierarchical coding"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic coding"),
    0xCB: "lossless arithmetic coding",
    **dict.fromkeys((0xCD, 0xCE, 0xCF), "hierarchical arithmetic coding"),
}
_BETWEEN_SCANS: Final = frozenset({0x01, 0xC4, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE})
_FIRST_SEGMENT: Final = 2
_SEGMENT_START: Final = 4  # bytes: marker and length
_FRAME_FIELDS: Final = Struct(">BHHB")
_COMPONENT: Final = 3  # bytes
_COMPONENTS: Final = frozenset({1, 3, 4})
_COEFFICIENTS: Final = 64
# For each scan, even one of a few bytes, the decoder processes the whole picture, so an unlimited number of scans would
# keep a worker busy for minutes. Encoders write about ten.
_MAX_SCANS: Final = 100


Segment = tuple[int, int, int]
"""A segment: its marker's second byte, and where its body begins and ends."""


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """What a JPEG consists of.

    Attributes:
        width: in pixels.
        height: in pixels.
        components: how many: 1 of grey, 3 of YCbCr or RGB, 4 of CMYK or YCCK.
        segments: of the header; the last one begins the first scan.
        scans: how many there are.
        end: where the picture ends, its end marker included; bytes behind it do not belong to it.
        has_end: whether there is an end marker.
        fault: what its scans leave out, or which marker they cannot have; None if they are as they should be.
    """

    width: int
    height: int
    components: int
    segments: tuple[Segment, ...]
    scans: int
    end: int
    has_end: bool
    fault: str | None

    @property
    def pixels_at(self) -> int:
        """Where the coded pixels of the first scan begin."""
        return self.segments[-1][2]

    @property
    def has_gaps(self) -> bool:
        """Whether other bytes lie between the segments of the header."""
        begins = [body - _SEGMENT_START for _, body, _ in self.segments]
        return begins != [_FIRST_SEGMENT, *(end for _, _, end in self.segments[:-1])]

    def frame(self, data: bytes) -> bytes:
        """Return the body of the frame header: precision, size, and three bytes of each component."""
        return next(data[body:end] for code, body, end in self.segments if code in _FRAMES)

    def exif(self, data: bytes) -> bytes:
        """Return the EXIF data, which begins with a TIFF header; empty if there is none."""
        for code, body, end in self.segments:
            if code == _APP1 and data.startswith(_EXIF, body, end):
                return data[body + len(_EXIF) : end]
        return b""


def inspect_jpeg(data: bytes) -> JpegStructure:
    """Read the structure of a JPEG that begins with a start marker.

    A missing end marker is no fault here: only the decoder can tell whether pixels are missing.

    Raises:
        ImageUndecodable: the header is truncated or inconsistent, or another picture begins within this one.
        ImageUnsupported: a JPEG of a rare process, or of too many scans.
    """
    segments, frame = _header(data)
    _, body, end = segments[-1]
    if frame is None or body == end:
        raise damaged("JPEG", "its pixels come before its size")
    code, at, _ = frame
    _, height, width, components = _FRAME_FIELDS.unpack_from(data, at)
    scans, end, has_end, fault = _scans(data, segments[-1])
    if len(scans) > _MAX_SCANS:
        raise ImageUnsupported(
            f"this is a JPEG of more than {_MAX_SCANS} scans: send at most {_MAX_SCANS}, encoders write about ten"
        )
    if fault is None and (code == PROGRESSIVE or data[body] != components):
        missing = _missing_coefficients if code == PROGRESSIVE else _missing_components
        names = data[at + _FRAME_FIELDS.size :: _COMPONENT][:components]
        fault = missing(names, [data[body:stop] for _, body, stop in scans])
    return JpegStructure(width, height, components, tuple(segments), len(scans), end, has_end, fault)


def _header(data: bytes) -> tuple[list[Segment], Segment | None]:
    """Return the segments up to the first scan, and the frame header among them."""
    found, at, code, frame = list[Segment](), _FIRST_SEGMENT, 0, None
    while code != SCAN:
        marker = _NEXT_SEGMENT.search(data, at)
        if marker is None:
            raise truncated("JPEG", f"no pixels in its {len(data)} bytes")
        start = marker.end()
        code, length = data[start - 1], int.from_bytes(data[start : start + 2])
        at = start + length
        if length < 2 or at > len(data) or code in _ENDS:
            raise _bad_segment(data, code, start, length)
        found.append(segment := (code, start + 2, at))
        if code in _FRAMES:
            if frame is not None:
                raise damaged("JPEG", "there are two frame headers")
            _check_frame(data, segment)
            frame = segment
    return found, frame


def _bad_segment(data: bytes, code: int, start: int, length: int) -> ImageUndecodable:
    if code in _ENDS:
        return damaged("JPEG", "it ends or starts again before any pixels")
    end = start + max(length, 2)
    if len(data) < end:
        return truncated("JPEG", f"a segment of its header ends at byte {end}, but there are only {len(data)} bytes")
    return damaged("JPEG", f"a segment of its header is {length} bytes long")


def _check_frame(data: bytes, frame: Segment) -> None:
    code, body, end = frame
    if code == _JPEG_LS:
        raise ImageUnsupported("this is a JPEG-LS: send baseline or progressive JPEG")
    if end - body < _FRAME_FIELDS.size:
        raise damaged("JPEG", "its frame header is too short")
    precision, _, _, components = _FRAME_FIELDS.unpack_from(data, body)
    odd = _OTHER_PROCESSES.get(code)
    if odd is None and precision != 8:
        odd = f"{precision} bits a sample"
    if odd is None and components not in _COMPONENTS:
        odd = f"{components} components"
    if odd is not None:
        raise ImageUnsupported(
            f"this is a JPEG with {odd}: send baseline or progressive JPEG of 8 bits, grey or colour"
        )
    if end - body < _FRAME_FIELDS.size + components * _COMPONENT:
        raise damaged("JPEG", "its frame header is too short")


def _scans(data: bytes, first: Segment) -> tuple[list[Segment], int, bool, str | None]:
    """Return the headers of all scans, where the picture ends, whether it has an end marker, and the first fault."""
    scans, at, fault = [first], first[2], None
    while (marker := _NEXT_IN_SCAN.search(data, at)) is not None and len(scans) <= _MAX_SCANS:
        code, at = data[marker.end() - 1], marker.end()
        if code == _END_OF_PICTURE:
            return scans, at, True, fault
        if code == _START_OF_PICTURE:
            raise ImageUndecodable(
                Reason.TRUNCATED,
                f"the JPEG is truncated: another one begins at byte {at - 2}, within its pixels; "
                f"send one whole picture in each record",
                Flaw.MERGED,
            )
        if code == SCAN:
            scans.append((code, at + 2, min(len(data), at + int.from_bytes(data[at : at + 2]))))
        elif code not in _BETWEEN_SCANS:
            fault = fault or f"marker ff {code:02x} within its pixels"
    return scans, len(data), False, fault


def _missing_components(names: bytes, scans: Sequence[bytes]) -> str | None:
    found = {name for scan in scans if scan for name in scan[1 : 1 + 2 * scan[0] : 2]}
    missing = sum(name not in found for name in names)
    return f"{missing} of its {len(names)} components are missing" if missing else None


def _missing_coefficients(names: bytes, scans: Sequence[bytes]) -> str | None:
    """Say so if a progressive JPEG lacks coefficients, or their last bits.

    Each scan gives some bits of some coefficients. Without the last scans, the picture is there, but it is blurred.
    """
    unknown = 16  # bits
    bits_left = {name: [unknown] * _COEFFICIENTS for name in names}
    for scan in scans:
        count = scan[0] if scan else 0
        if len(scan) < 1 + 2 * count + 3:
            continue
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
        for name in scan[1 : 1 + 2 * count : 2]:
            if name in bits_left and first <= last < _COEFFICIENTS:
                bits_left[name][first : last + 1] = [bits & 15] * (last + 1 - first)
    missing = sum(bits != 0 for each in bits_left.values() for bits in each)
    total = len(names) * _COEFFICIENTS
    return f"{missing} of its {total} coefficients are missing or not complete" if missing else None
