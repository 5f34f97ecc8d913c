"""Which bytes begin the files, wrappers and texts that producers send by mistake."""

import re
from typing import Final, NamedTuple

SEND_PICTURE: Final = "send JPEG, PNG or WebP, or a raw picture with its layout"
SEND_BYTES: Final = "send the picture's own bytes as the value"
SEND_RAW: Final = (
    "send the encoded picture alone as the value, or raw pixels with the headers 'pixel-format', 'width' and 'height'"
)
_SEND_FRAMES: Final = "send each frame in a record of its own, as JPEG, PNG or WebP"
_SEND_BODY: Final = f"{SEND_BYTES}, which is the body alone"
_SEND_DECODED: Final = f"decode it, and {SEND_BYTES}"
SEND_COMPRESSED: Final = f"{SEND_BYTES}; to compress records, set compression.type of the producer"
SEND_SERIALIZED: Final = f"{SEND_BYTES}, with a serializer for bytes, and other fields as headers"
SEND_UNCHANGED: Final = f"{SEND_BYTES}, and do not convert them to text on the way"


class Kind(NamedTuple):
    """A kind of data.

    Producers choose the data, so a pattern repeats nothing without a limit that it could divide in several ways.

    Attributes:
        name: with its article.
        advice: what to do instead.
        pattern: matches its beginning.
    """

    name: str
    advice: str
    pattern: re.Pattern[bytes]


def _kinds(advice: str, patterns: dict[str, bytes]) -> tuple[Kind, ...]:
    return tuple(Kind(name, advice, re.compile(pattern, re.DOTALL)) for name, pattern in patterns.items())


_STILL: Final = _kinds(
    SEND_PICTURE,
    {
        "a GIF": rb"GIF8[79]a",
        "a BMP": rb"BM.{4}\0{4}",  # many texts begin with these two letters, so the reserved zeros must match too
        "a TIFF": rb"II\*\0|MM\0\*|II\+\0\x08\0|MM\0\+\0\x08",
        "an AVIF": rb".{4}ftypavi[fs]",
        "a HEIC": rb".{4}ftyp(he|mif1|msf1)",
        "a JPEG XL": rb"\xff\x0a|\0{3}\x0cJXL ",
        "a JPEG XR": rb"II\xbc\x01",
        "a JPEG 2000": rb"\xff\x4f\xff\x51|\0{3}\x0cjP  ",
        # Count, then of the first icon: reserved zero, planes, bits a pixel.
        "an icon": rb"\0\0\x01\0[\x01-\x40]\0.{3}\0[\0\x01]\0[\0\x01\x04\x08\x10\x18\x20]\0",
        "a Photoshop file": rb"8BPS\0[\x01\x02]",
        "an OpenEXR picture": rb"v/1\x01",
        "a DDS texture": rb"DDS \x7c\0\0\0",
        "a QOI picture": rb"qoif.{8}[\x03\x04][\0\x01]",
        "a PNM picture": rb"P[1-7][\s#]{1,99}\d{1,9}[\s#]|P[Ff]\s{1,9}\d{1,9}\s",
        "a Radiance picture": rb"#\?R(ADIANCE|GBE)\n",
        "a DICOM file": rb".{128}DICM",
        "an SVG": (
            rb"\s{0,9}(<\?xml[^>]{0,99}>\s{0,9})?(<!--.{0,999}?-->\s{0,9})?"
            rb"(<!DOCTYPE svg[^>]{0,199}>\s{0,9})?<svg[\s>]"
        ),
        "a PDF": rb"%PDF-\d",
    },
)
_VIDEOS: Final = _kinds(
    _SEND_FRAMES,
    {
        "an MP4 video": rb".{4}(ftyp|moov|mdat|moof|styp|wide|free|skip)",
        "an AVI video": rb"RIFF.{4}AVI ",
        "a Matroska or WebM video": rb"\x1a\x45\xdf\xa3",
        "a Windows Media video": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "an FLV video": rb"FLV\x01",
        "an Ogg video": rb"OggS\0",
        "an MPEG transport stream": rb"\x47.{187}\x47(.{187}\x47|.{0,187}\Z)",
    },
)
_COMPRESSED: Final = _kinds(
    SEND_COMPRESSED,
    {
        "Zstandard data": rb"\x28\xb5\x2f\xfd",
        "LZ4 data": rb"\x04\x22\x4d\x18",
        "bzip2 data": rb"BZh[1-9]1AY&SY",
        "xz data": rb"\xfd7zXZ\0",
        "Snappy data": rb"\xff\x06\0\0sNaPpY|\x82SNAPPY\0",
        "a ZIP archive, as .npz and .pt files are": rb"PK(\x03\x04|\x05\x06)",
        "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
        "a RAR archive": rb"Rar!\x1a\x07",
        "a tar archive": rb".{257}ustar",
    },
)
_OBJECTS: Final = _kinds(
    SEND_RAW,
    {
        "a NumPy array (.npy)": rb"\x93NUMPY",
        "a Python pickle": rb"\x80[\x02-\x05].*\.\Z",
        "an HDF5 file": rb"\x89HDF\r\n\x1a\n",
        "a serialized Java object": rb"\xac\xed\0\x05",
    },
)
# The first key of a map: its length, and as many letters. A shorter rule would also find it in noise.
_MSGPACK_KEY: Final = b"|".join(b"\\x%02x[\\w.-]{%d}" % (0xA0 + length, length) for length in range(2, 32))
_CBOR_KEY: Final = b"|".join(b"\\x%02x[\\w.-]{%d}" % (0x60 + length, length) for length in range(2, 24))
RECORDS: Final = _kinds(
    SEND_SERIALIZED,
    {
        "an Avro file": rb"Obj\x01",
        "a Parquet file": rb"PAR1",
        "an Arrow file or stream": rb"ARROW1\0\0|\xff{4}.{2}\0\0\x10\0\0\0",
        "MessagePack": rb"([\x81-\x8f]|\xde..)(" + _MSGPACK_KEY + rb")[\x80-\xdf]",
        "CBOR": rb"([\xa1-\xb7]|\xb8.|\xbf)(" + _CBOR_KEY + rb")[\x40-\xfb]",
    },
)
_DAMAGED: Final = _kinds(
    SEND_UNCHANGED,
    {
        "a picture that was converted to text and back, which has lost bytes": (
            rb"(\xef\xbf\xbd){2}|\xef\xbf\xbdPNG|\?PNG\r?\n|\?{3,4}..(JFIF|Exif)"
            rb"|RIFF([\0-\x7f]|\xef\xbf\xbd){4}WEBP.{0,999}?\xef\xbf\xbd"
        ),
        "a picture that was converted to UTF-8 as if it were text": (
            rb"\xc3\xbf\xc3\x98\xc3\xbf|\xed\xb3\xbf\xed\xb3\x98|(\xc2\x89|\xe2\x80\xb0|\xed\xb2\x89)PNG"
            rb"|RIFF([\0-\x7f]|[\xc2\xc3][\x80-\xbf]|\xed[\xb2\xb3].){4}WEBP.{0,999}?([\xc2\xc3][\x80-\xbf]|\xed[\xb2\xb3])"
        ),
        "a picture without the highest bit of each byte": rb"\x7fX\x7f|\x09PNG\r\n\x1a\n",
        "a PNG whose line ends were changed": rb"\x89PNG[\r\n]{1,4}\x1a[\r\n]",
    },
)
FILES: Final = (*_DAMAGED, *_STILL, *_VIDEOS, *_COMPRESSED, *_OBJECTS)
PICTURES: Final = frozenset((*_STILL, *_VIDEOS))
"""Pictures and videos, which are good but not accepted."""

# A start code alone also begins icons, dark raw pictures and ids of a schema registry. So the first unit must be one
# with which a stream or a frame begins, and the byte after its type must fit it.
_H264: Final = (
    rb"[\x67\x47\x27][\x42\x4d\x58\x64\x6e\x7a\xf4]|[\x68\x48\x28][\x80-\xff]|\x09[\x10\x30\x50\x70\x90\xb0\xd0\xf0]"
    rb"|(\x06.{1,250}?\0\0\x01)?[\x65\x45\x25\x61\x41\x21][\x80-\xff]"
)
_H265: Final = rb"[\x40\x42\x44\x46\x4e]\x01|[\x02\x26\x28]\x01[\x80-\xff]"
STREAMS: Final = _kinds(
    _SEND_FRAMES,
    {
        "an H.264 or H.265 stream": rb"\0{2,3}\x01(" + _H264 + rb"|" + _H265 + rb")",
        "an MPEG video": rb"\0\0\x01[\xb3\xba]",
    },
)
"""Kinds that are known by little; what is more certain comes first."""

_FILE: Final = rb"jpe?g|jfif|png|webp|gif|bmp|tiff?|heic|mp4"
_JSON: Final = (
    rb"\{\s{0,99}[\"'}]|\[\s{0,99}([\[{\"\]]|-?\d{1,20}\s{0,9}[,\]])"  # an object, or a list
    rb"|\"[^\0-\x1f\"]*\"\s{0,9}\Z|(null|true|false)\s{0,9}\Z"
)
TEXTS: Final = (
    *_kinds(_SEND_DECODED, {"a data URL": rb"\s{0,9}[\"']?data:[\w.+-]+/"}),
    *_kinds(
        _SEND_BODY,
        {
            "an HTTP reply": rb"HTTP/\d",
            "an HTTP request": rb"(GET|POST|PUT|PATCH) \S{1,2000} HTTP/\d",
            "a part of a multipart message": rb"\s{0,4}--[^\s\0]{1,70}\r?\n",
            "a message with headers before its body": rb"(?i)(content-(type|length)|date|server): ?[^\n]*\n",
        },
    ),
    *_kinds(
        SEND_BYTES,
        {
            "HTML": rb"(?i)\s{0,9}(<!doctype html|<html|<head|<body)",
            "XML": rb"\s{0,9}<\?xml|\s{0,9}<[A-Za-z]\w{0,99}[ >]",
        },
    ),
    *_kinds(
        f"{SEND_BYTES}, not what a language prints for them",
        {
            "Python's text for bytes": rb"\s{0,9}(bytearray\()?[bB][\"']|<memory at ",
            "Python's text for an object": (
                rb"\s{0,9}<[\w.]{1,99}[^>]{0,200} at 0x[0-9A-Fa-f]+>|<PIL\.|\s{0,9}(tensor|array)\("
            ),
            "Java's text for an array of bytes": rb"\[B@[0-9a-f]+",
            "JavaScript's text for an object": rb"\[object \w+\]",
        },
    ),
    *_kinds(
        f"read the file, and {SEND_BYTES}",
        {
            "an address": rb"\s{0,9}[\"']?[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s\"']{1,1999}[\"']?\s{0,9}\Z",
            "the name of a file": rb"(?i)\s{0,9}[\"']?[^\n\0\"'{]{0,999}\.(" + _FILE + rb")[\"']?\s{0,9}\Z",
            "a path": rb"\s{0,9}[\"']?(/|\.\.?/|~/|[A-Za-z]:[\\/])[\w.\\/ -]{1,999}[\"']?\s{0,9}\Z",
        },
    ),
    *_kinds(SEND_SERIALIZED, {"JSON": rb"(\xef\xbb\xbf)?\s{0,9}(" + _JSON + rb")"}),
)
