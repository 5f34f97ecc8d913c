"""Pictures for tests: valid ones of every accepted kind, and invalid ones of every sort."""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.domain.frames import EncodedFrame, Frame, RawLayout
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic

Pixels = NDArray[np.uint8]
Encode = Callable[[Pixels], bytes]


def frame_of(value: bytes | None, *, content_type: str | None = None, raw: RawLayout | None = None) -> EncodedFrame:
    """Wrap a picture in an arbitrary envelope."""
    at = EventMillis(0)
    record = Record(Position(TopicPartition("frames", 0), 0), b"camera", value, (), at)
    frame = Frame(record.position, "camera", "frame", at, at, Monotonic(0.0))
    return EncodedFrame(frame, record, content_type, raw)


def scene(width: int, height: int) -> Pixels:
    """Paint a smooth RGB picture without symmetry, so that a rotation, a flip or swapped channels change it."""
    across, down = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    red, green, blue = 255 * across + 0 * down, 255 * down + 0 * across, 127 * np.sin(9 * across * down) + 127
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def _opencv(extension: str, *options: int) -> Encode:
    def encode(pixels: Pixels) -> bytes:
        return cv2.imencode(extension, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)[1].tobytes()

    return encode


def _grey(extension: str) -> Encode:
    return lambda pixels: cv2.imencode(extension, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[1].tobytes()


def _transparent(extension: str, *options: int) -> Encode:
    def encode(pixels: Pixels) -> bytes:
        bgra = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA)
        bgra[:, : (1 + bgra.shape[1]) // 2, 3] = 60
        return cv2.imencode(extension, bgra, options)[1].tobytes()

    return encode


def _deep_png(pixels: Pixels) -> bytes:
    deep = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(np.uint16) * 256 + 255
    return cv2.imencode(".png", deep)[1].tobytes()


def jpeg_with_exif(pixels: Pixels) -> bytes:
    """Encode a JPEG whose EXIF has a rotation by 90 degrees and a thumbnail, which is a complete JPEG in the header."""
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + orientation + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff + JPEG(pixels[::8, ::8])
    picture = JPEG(pixels)
    return picture[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + picture[2:]


def jpeg_with_filling(pixels: Pixels) -> bytes:
    """Encode a JPEG with fill bytes, a comment that looks like markers, stray bytes and markers without a length."""
    picture = JPEG(pixels)
    return picture[:2] + b"\xff\xff\xff\xfe\0\x06\xff\xd9\xff\xda" + b"\0stray\xff\0\xff\xd0\xff\x01\xff" + picture[2:]


JPEG: Final = _opencv(".jpg")
PNG: Final = _opencv(".png")

ENCODERS: Final[Mapping[str, Encode]] = {
    "jpeg 4:2:0": JPEG,
    "jpeg 4:2:2": _opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
    "jpeg 4:4:4": _opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "jpeg 4:4:0": _opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
    "jpeg 4:1:1": _opencv(".jpg", cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    "jpeg progressive": _opencv(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpeg restart markers": _opencv(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    "jpeg grey": _grey(".jpg"),
    "jpeg exif": jpeg_with_exif,
    "jpeg filling": jpeg_with_filling,
    "png": PNG,
    "png grey": _grey(".png"),
    "png alpha": _transparent(".png"),
    "webp lossy": _opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "webp lossless": _opencv(".webp"),
    "webp alpha": _transparent(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),  # VP8X, the container's third form
}
"""Every accepted form of picture that torchvision also reads to 8 bits."""

ALL_ENCODERS: Final[Mapping[str, Encode]] = {**ENCODERS, "png 16 bit": _deep_png}


def chunk(name: bytes, body: bytes) -> bytes:
    """Build one PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_bomb(width: int, height: int) -> bytes:
    """Build a valid black PNG of one bit per pixel; decoded to RGB it is about 20,000 times as large."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + (width + 7) // 8)), 9)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def webp(first: bytes, body: bytes) -> bytes:
    """Build a WebP container around one chunk."""
    inner = b"WEBP" + first + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def jpeg_header(
    *, process: int = 0, bits: int = 8, width: int = 8, height: int = 8, components: int = 3, scan: bytes = b"\1\0\0"
) -> bytes:
    """Build a JPEG that has only a header, an empty scan and an end marker."""
    frame = struct.pack(">BHHB", bits, height, width, components) + bytes(3 * components)
    return (
        b"\xff\xd8"
        + struct.pack(">BBH", 0xFF, 0xC0 + process, 2 + len(frame))
        + frame
        + struct.pack(">BBH", 0xFF, 0xDA, 2 + len(scan))
        + scan
        + b"\xff\xd9"
    )
