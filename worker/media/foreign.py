"""Say what data is that is no picture of an accepted kind, and what to send instead.

Producers make the same few mistakes: they wrap the picture, write it as text, or send another kind of file. What is
said here is a guess for a person; the data is refused in any case.
"""

import codecs
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final

from worker.domain.errors import ImageUndecodable, ImageUnsupported, Reason
from worker.media.foreign_kinds import (
    FILES,
    PICTURES,
    RECORDS,
    SEND_BYTES,
    SEND_COMPRESSED,
    SEND_RAW,
    SEND_SERIALIZED,
    STREAMS,
    TEXTS,
)

_ACCEPTED: Final = {
    "JPEG": rb"\xff\xd8\xff([\xc0-\xfe][\0-\x7f]|\xff)",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF.{4}WEBPVP8[ LX]",
}
_PICTURE: Final = re.compile(
    b"|".join(b"(?P<%s>%s)" % (kind.encode(), each) for kind, each in _ACCEPTED.items()), re.DOTALL
)
_IN_BASE64: Final = re.compile(rb"([/_]9j[/_](?=[w-z\d+/_-])|iVBORw0KGgo|UklGR[\w+/-]{6}XRUJQVlA4)[\w+/-]{20}")
_BASE64: Final = re.compile(rb"[\s\"']{0,9}((?:[\w+/-]{4}){4,16})")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_HEX: Final = re.compile(rb"\s{0,9}[\"']?(?:0x|\\x|%)?((?:[0-9a-fA-F]{2}[ :,]?(?:0x|\\x|%)?){12,32})")
_UTF_16: Final = re.compile(rb"\xff\xfe|\xfe\xff|([\t\n\r -~]\0){8}|(\0[\t\n\r -~]){8}", re.DOTALL)
_ZLIB: Final = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")
_JPEG_END: Final = b"\xff\xd9"
_PNG_END: Final = b"IEND\xaeB\x60\x82"

_SEARCHED: Final = 4096
"""Bytes at the beginning of the data that are looked at."""
_QUOTED: Final = 40
_MAGIC: Final = 5
"""Bytes that a schema registry's serializer puts before its data: 0, and the id of the schema."""


def accepted_kind(data: bytes) -> str | None:
    """Return which kind of accepted picture the data begins as; None if it begins as none."""
    found = _PICTURE.match(data)
    return found.lastgroup if found else None


def is_text(data: bytes) -> bool:
    """Tell whether data is text in UTF-8 with letters beyond ASCII, which no intact picture is."""
    head = data[:_SEARCHED]
    if head.isascii():
        return False
    try:
        codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(head)
    except UnicodeDecodeError:
        return False
    return True


def refuse_foreign(data: bytes) -> ImageUndecodable | ImageUnsupported:
    """Return the error for data that is no JPEG, PNG or WebP; its text says what the data is and what to send."""
    for kind in (*FILES, *RECORDS):
        if kind.pattern.match(data):
            found = f"this is {kind.name}: {kind.advice}"
            return ImageUnsupported(found) if kind in PICTURES else _no_picture(found)
    for look in _LOOKS:
        text = look(data)
        if text is not None:
            return _no_picture(text)
    for kind in STREAMS:
        if kind.pattern.match(data):
            return ImageUnsupported(f"this is {kind.name}: {kind.advice}")
    return _no_picture(_as_part(data) or _as_unknown(data))


def _no_picture(text: str) -> ImageUndecodable:
    return ImageUndecodable(Reason.NOT_A_PICTURE, text)


def _name(data: bytes) -> str | None:
    """Return what the data begins as, with its article; None if it is not known."""
    if (accepted := accepted_kind(data)) is not None:
        return f"a {accepted}"
    return next((kind.name for kind in FILES if kind.pattern.match(data)), None)


def _as_written(data: bytes) -> str | None:
    """Recognise a file that is written in hexadecimal digits or in base64."""
    if found := _HEX.match(data):
        digits = re.sub(rb"[ :,%]|0x|\\x", b"", found[1])
        if name := _name(bytes.fromhex(digits.decode())):
            return f"this is {name} in hexadecimal digits: decode them, and {SEND_BYTES}"
    if (found := _BASE64.match(data)) and (name := _name(_decoded(found[1]))):
        return f"this is {name} in base64: decode it, and {SEND_BYTES}"
    return None


def _as_known_text(data: bytes) -> str | None:
    return next((f"this is {kind.name}: {kind.advice}" for kind in TEXTS if kind.pattern.match(data)), None)


def _as_utf_16(data: bytes) -> str | None:
    """Recognise text in UTF-16. Without a mark it must be known as text: dark grey of 16 bits looks the same."""
    if not _UTF_16.match(data):
        return None
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    big = data.startswith((codecs.BOM_UTF16_BE, b"\0"))
    head = data[2:_SEARCHED] if marked else data[:_SEARCHED]
    inner = head[: len(head) // 2 * 2].decode("utf-16-be" if big else "utf-16-le", "replace").encode()
    what = _as_written(inner) or _as_known_text(inner) or (_as_text(inner) if marked else None)
    return f"this is text in UTF-16; as text, {what}" if what else None


def _as_text(data: bytes) -> str | None:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data[:_SEARCHED])
    except UnicodeDecodeError:
        return None
    # Rows of a grey wall are all letters too: a long text has lines.
    if not all(each.isprintable() or each.isspace() for each in text) or (len(data) > _SEARCHED and "\n" not in text):
        return None
    return f"this is text, {text[:_QUOTED]!r}: {SEND_BYTES}"


def _as_compressed(data: bytes) -> str | None:
    if not _ZLIB.match(data):
        return None
    name = "gzip" if data.startswith(b"\x1f") else "zlib"
    try:
        inner = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data[:_SEARCHED], 64)
    except zlib.error:
        return f"this is damaged {name} data: {SEND_COMPRESSED}" if name == "gzip" else None
    around = f" around {known}" if (known := _name(inner)) else ""
    return f"this is {name} data{around}: {SEND_COMPRESSED}"


def _as_wrapped(data: bytes) -> str | None:
    """Recognise a picture that other bytes precede."""
    head = data[:_SEARCHED]
    if found := _PICTURE.search(head):
        return _preceded(data, found.start(), f"a {found.lastgroup}")
    if found := _IN_BASE64.search(head):
        return _preceded(data, found.start(), f"{_name(_decoded(found[0][:24]))} in base64")
    if data.startswith(b"\0") and re.match(rb"\s*\{\s*[\"}]", head[_MAGIC:]):
        return _preceded(data, _MAGIC, "JSON")
    return None


def _decoded(base64: bytes) -> bytes:
    """Decode base64, of its usual alphabet or that of addresses."""
    return b64decode(base64.translate(_FROM_URL_SAFE))


def _preceded(data: bytes, at: int, name: str) -> str:
    before, rest = data[:at], len(data) - at
    if not before.strip():
        return f"a line end or space comes before {name}: {SEND_BYTES} alone"
    if before == codecs.BOM_UTF8:
        return f"a byte order mark comes before {name}: {SEND_BYTES} alone"
    if at <= 8 and {int.from_bytes(before, "big"), int.from_bytes(before, "little")} & {rest, len(data)}:
        return f"a length of {at} bytes comes before {name}: {SEND_BYTES} alone"
    if before.startswith(b"\0") and at >= _MAGIC:
        number = int.from_bytes(before[1:_MAGIC], "big")
        return f"the id {number} of a schema registry comes before {name}: {SEND_SERIALIZED}"
    return f"{name} begins only at byte {at}: {SEND_BYTES} alone, and other fields as headers"


def _as_part(data: bytes) -> str | None:
    """Recognise the last part of a picture that was cut, and a buffer that nothing was written to."""
    for name, end in (("JPEG", _JPEG_END), ("PNG", _PNG_END)):
        if data.rstrip(b"\0").endswith(end):
            return f"this is the end of a {name} without its beginning: send the whole picture in one record"
    if data.count(data[:1]) == len(data) > 1:
        return f"all {len(data)} bytes are {data[:1].hex()}, as in a buffer that nothing was written to: {SEND_RAW}"
    return None


def _as_unknown(data: bytes) -> str:
    return f"no JPEG, PNG or WebP begins with the bytes {data[:8].hex(' ')}: {SEND_RAW}"


_LOOKS: Final[Sequence[Callable[[bytes], str | None]]] = (
    *(_as_written, _as_known_text, _as_utf_16, _as_text),
    *(_as_compressed, _as_wrapped),
)
