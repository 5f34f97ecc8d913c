"""What producers send instead of a picture: each mistake makes its data itself, several of a kind."""

import base64
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from bz2 import compress as bzip2
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import cv2
import msgspec
import numpy as np

from tests.support.pictures import ENCODERS, JPEG, PNG, scene
from worker.domain.errors import Reason

Make = Callable[[bytes], bytes]
WEBP: Final = ENCODERS["webp lossy"]


def pictures(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield pictures of all accepted kinds, of sizes that the seed chooses."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        width, height = (int(each) for each in chance.integers(17, 90, 2))
        for name, encode in (("JPEG", JPEG), ("PNG", PNG), ("WebP", WEBP)):
            yield name, encode(scene(width, height))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _in_json(picture: bytes) -> bytes:
    return json.dumps({"camera": "gate", "image": base64.b64encode(picture).decode()}).encode()


def _multipart(picture: bytes) -> bytes:
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(picture), picture)


def _http(picture: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s" % (len(picture), picture)


def _zipped(picture: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("picture.jpg", picture)
    return file.getvalue()


def _tarred(picture: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("picture.jpg")
        member.size = len(picture)
        archive.addfile(member, io.BytesIO(picture))
    return file.getvalue()


def _npy(picture: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.frombuffer(picture, np.uint8))
    return file.getvalue()


def _avro(picture: bytes) -> bytes:
    """Write a record of a string and bytes, as Avro does: lengths as zigzag numbers."""
    return b"\x08gate" + _varint(len(picture) << 1) + picture


def _protobuf(picture: bytes) -> bytes:
    return b"\x0a\x04gate\x12" + _varint(len(picture)) + picture


# Named by what the text must say. {kind} is the kind of the picture.
WRAPPED: Final[Mapping[str, tuple[str, Make]]] = {
    "base64": ("this is a {kind} in base64: decode it", base64.b64encode),
    "base64 in lines": ("this is a {kind} in base64: decode it", base64.encodebytes),
    "base64 for addresses": ("this is a {kind} in base64: decode it", base64.urlsafe_b64encode),
    "base64 in quotes": ("this is a {kind} in base64: decode it", lambda p: b'"%s"' % base64.b64encode(p)),
    "base64 after a line end": ("this is a {kind} in base64: decode it", lambda p: b"\n" + base64.b64encode(p)),
    "data URL": ("this is a data URL: decode it", lambda p: b"data:image/jpeg;base64," + base64.b64encode(p)),
    "JSON": ("this is JSON: send the picture's own bytes", _in_json),
    "JSON in a list": ("this is JSON", lambda p: b"[" + _in_json(p) + b"]"),
    "JSON of numbers": ("this is JSON", lambda p: json.dumps(list(p)).encode()),
    "JSON of nested numbers": ("this is JSON", lambda p: json.dumps([[list(p)]]).encode()),
    "Node.js's Buffer": ("this is JSON", lambda p: json.dumps({"type": "Buffer", "data": list(p)}).encode()),
    "JSON after a byte order mark": ("this is JSON", lambda p: b"\xef\xbb\xbf" + _in_json(p)),
    "decoded with replacement": ("has lost bytes", lambda p: p.decode(errors="replace").encode()),
    "decoded as Latin-1": ("converted to UTF-8 as if it were text", lambda p: p.decode("latin-1").encode()),
    "decoded with surrogates": (
        "converted to UTF-8 as if it were text",
        lambda p: p.decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass"),
    ),
    "multipart": ("this is a part of a multipart message", _multipart),
    "headers and body": (
        "this is a message with headers before its body",
        lambda p: _multipart(p)[len("--frame\r\n") :],
    ),
    "line end": ("a line end or space comes before a {kind}", lambda p: b"\r\n" + p),
    "byte order mark": ("a byte order mark comes before a {kind}", lambda p: b"\xef\xbb\xbf" + p),
    "HTTP reply": ("this is an HTTP reply", _http),
    "HTTP request": ("this is an HTTP request", lambda p: b"POST /frames HTTP/1.1\r\nHost: gate\r\n\r\n" + p),
    "gzip": ("this is gzip data around a {kind}", gzip.compress),
    "zlib": ("this is zlib data around a {kind}", zlib.compress),
    "bzip2": ("this is bzip2 data", bzip2),
    "xz": ("this is xz data", lzma.compress),
    "ZIP": ("this is a ZIP archive", _zipped),
    "tar": ("this is a tar archive", _tarred),
    "pickle": ("this is a Python pickle", pickle.dumps),
    "pickle of a dictionary": ("this is a Python pickle", lambda p: pickle.dumps({"camera": "gate", "image": p})),
    "old pickle": ("this is a Python pickle", lambda p: pickle.dumps(p, protocol=2)),
    "npy": ("this is a NumPy array", _npy),
    "MessagePack": ("this is MessagePack", lambda p: msgspec.msgpack.encode({"image": p})),
    "CBOR": ("this is CBOR", lambda p: b"\xa1\x65imageY" + struct.pack(">H", len(p)) + p),
    "registry and Avro": ("the id 70000 of a schema registry", lambda p: struct.pack(">bI", 0, 70_000) + _avro(p)),
    "registry, low id": ("the id 1 of a schema registry", lambda p: struct.pack(">bI", 0, 1) + _avro(p)),
    "registry, id of 321": ("the id 321 of a schema registry", lambda p: struct.pack(">bI", 0, 321) + _avro(p)),
    "registry and Protobuf": (
        "the id 7 of a schema registry",
        lambda p: struct.pack(">bI", 0, 7) + b"\0" + _protobuf(p),
    ),
    "registry, Protobuf, indexes": (
        "the id 7 of a schema registry",
        lambda p: struct.pack(">bI", 0, 7) + b"\x04\x02\x00" + _protobuf(p),
    ),
    "registry and JSON": ("the id 7 of a schema registry", lambda p: struct.pack(">bI", 0, 7) + _in_json(p)),
    "registry and base64": (
        "a {kind} in base64",
        lambda p: struct.pack(">bI", 0, 7) + _avro(base64.b64encode(p)),
    ),
    "Protobuf": ("a {kind} begins only at byte", _protobuf),
    "length, big-endian": ("a length of 4 bytes comes before a {kind}", lambda p: struct.pack(">I", len(p)) + p),
    "length, little-endian": ("a length of 4 bytes comes before a {kind}", lambda p: struct.pack("<I", len(p)) + p),
    "length of eight bytes": ("a length of 8 bytes comes before a {kind}", lambda p: struct.pack(">Q", len(p)) + p),
    "gRPC": ("a length of 5 bytes comes before a {kind}", lambda p: struct.pack(">bI", 0, len(p)) + p),
    "header of its own": ("a {kind} begins only at byte 12", lambda p: b"\x01\x02\x03\x04gate\0\0\0\x09" + p),
    "hexadecimal": ("this is a {kind} in hexadecimal digits", lambda p: p.hex().encode()),
    "hexadecimal, upper case": ("this is a {kind} in hexadecimal digits", lambda p: p.hex(" ").upper().encode()),
    "hexadecimal of SQL": ("this is a {kind} in hexadecimal digits", lambda p: b"\\x" + p.hex().encode()),
    "hexadecimal of C": (
        "this is a {kind} in hexadecimal digits",
        lambda p: "".join(f"\\x{each:02x}" for each in p).encode(),
    ),
    "per cent": ("this is a {kind} in hexadecimal digits", lambda p: "".join(f"%{each:02X}" for each in p).encode()),
    "Python's bytes": ("this is Python's text for bytes", lambda p: repr(p).encode()),
    "Python's bytearray": ("this is Python's text for bytes", lambda p: repr(bytearray(p)).encode()),
    "base64 of Python's bytes": (
        "this is Python's text for bytes",
        lambda p: repr(base64.b64encode(p)).encode(),
    ),
    "UTF-16": ("this is text in UTF-16; as text, this is a {kind} in base64", lambda p: _utf_16(p).encode("utf-16")),
    "UTF-16, no mark": ("this is text in UTF-16; as text, this is a {kind}", lambda p: _utf_16(p).encode("utf-16-le")),
    "UTF-16, big-endian": (
        "this is text in UTF-16; as text, this is a {kind}",
        lambda p: _utf_16(p).encode("utf-16-be"),
    ),
    "without its beginning": ("this is the end of a ", lambda p: p[len(p) // 2 :]),
}
"""By mistake: what the text says, and how it is made of a picture."""


def _utf_16(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _bmp() -> bytes:
    return cv2.imencode(".bmp", scene(20, 10))[1].tobytes()


def _box(name: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + name + b"\0\0\0\0" + name + b"mif1" + bytes(200)


def _icon() -> bytes:
    png = PNG(scene(32, 32))
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(png), 22) + png


OTHER: Final[Mapping[str, tuple[str, Reason, bytes]]] = {
    "GIF": ("this is a GIF", Reason.UNSUPPORTED, b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0;"),
    "BMP": ("this is a BMP", Reason.UNSUPPORTED, _bmp()),
    "TIFF": ("this is a TIFF", Reason.UNSUPPORTED, cv2.imencode(".tiff", scene(20, 10))[1].tobytes()),
    "HEIC": ("this is a HEIC", Reason.UNSUPPORTED, _box(b"heic")),
    "AVIF": ("this is an AVIF", Reason.UNSUPPORTED, _box(b"avif")),
    "JPEG XL": ("this is a JPEG XL", Reason.UNSUPPORTED, b"\xff\x0a\xfa\x7f\x01\x90\x08" + bytes(40)),
    "JPEG XL container": ("this is a JPEG XL", Reason.UNSUPPORTED, b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)),
    "JPEG 2000": ("this is a JPEG 2000", Reason.UNSUPPORTED, cv2.imencode(".jp2", scene(80, 80))[1].tobytes()),
    "icon": ("this is an icon", Reason.UNSUPPORTED, _icon()),
    "PNM": ("this is a PNM picture", Reason.UNSUPPORTED, cv2.imencode(".ppm", scene(20, 10))[1].tobytes()),
    "PDF": ("this is a PDF", Reason.UNSUPPORTED, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj"),
    "SVG": ("this is an SVG", Reason.UNSUPPORTED, b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'),
    "SVG with a prolog": ("this is an SVG", Reason.UNSUPPORTED, b'<?xml version="1.0"?>\n<svg width="1"></svg>'),
    "MP4": ("this is an MP4 video", Reason.UNSUPPORTED, _box(b"isom")),
    "MKV": ("this is a Matroska or WebM video", Reason.UNSUPPORTED, b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01" + bytes(40)),
    "AVI": ("this is an AVI video", Reason.UNSUPPORTED, b"RIFF\x24\x10\0\0AVI LIST" + bytes(40)),
    "H.264 stream": (
        "this is an H.264 or H.265 stream",
        Reason.UNSUPPORTED,
        bytes.fromhex("00000001 6764001f acd9 00000001 68ebe3cb") + bytes(40),
    ),
    "H.264 frame": ("H.264 or H.265", Reason.UNSUPPORTED, bytes.fromhex("00000001 419a2104 7f") + bytes(40)),
    "H.264 after a delimiter": ("H.264 or H.265", Reason.UNSUPPORTED, bytes.fromhex("00000001 09f0 00000001 67640028")),
    "H.265 stream": ("H.264 or H.265", Reason.UNSUPPORTED, bytes.fromhex("00000001 40010c01ffff") + bytes(40)),
    "MPEG transport stream": (
        "this is an MPEG transport stream",
        Reason.UNSUPPORTED,
        (b"\x47\x40\x11\x10" + bytes(184)) * 3,
    ),
    "HTML": ("this is HTML", Reason.NOT_A_PICTURE, b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>"),
    "XML": ("this is XML", Reason.NOT_A_PICTURE, b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    "JSON of an error": ("this is JSON", Reason.NOT_A_PICTURE, b'{"error": "camera offline"}'),
    "null": ("this is JSON", Reason.NOT_A_PICTURE, b"null"),
    "an address": ("this is an address: read the file", Reason.NOT_A_PICTURE, b"s3://frames/gate/1.jpg"),
    "another address": ("this is an address", Reason.NOT_A_PICTURE, b"https://gate.example/snapshot?size=large"),
    "a file": ("this is the name of a file", Reason.NOT_A_PICTURE, b"/data/gate/frame 12.jpg"),
    "a file of Windows": ("this is the name of a file", Reason.NOT_A_PICTURE, rb"C:\frames\12.PNG"),
    "a path": ("this is a path", Reason.NOT_A_PICTURE, b"/mnt/frames/gate/12"),
    "an object of Python": (
        "this is Python's text for an object",
        Reason.NOT_A_PICTURE,
        b"<_io.BytesIO object at 0x7f21c0a3b0e0>",
    ),
    "an array of Java": ("this is Java's text", Reason.NOT_A_PICTURE, b"[B@6d06d69c"),
    "an object of JavaScript": ("this is JavaScript's text", Reason.NOT_A_PICTURE, b"[object Blob]"),
    "a message": ("this is text, 'camera offline since 12:00'", Reason.NOT_A_PICTURE, b"camera offline since 12:00"),
    "a message in UTF-16": ("as text, this is text, 'camera", Reason.NOT_A_PICTURE, "camera offline".encode("utf-16")),
    "an Avro file": ("this is an Avro file", Reason.NOT_A_PICTURE, b"Obj\x01\x04\x14avro.codec\x08null" + bytes(40)),
    "a Parquet file": ("this is a Parquet file", Reason.NOT_A_PICTURE, b"PAR1\x15\x04\x15\x80" + bytes(40)),
    "a serialized Java object": (
        "this is a serialized Java object",
        Reason.NOT_A_PICTURE,
        b"\xac\xed\0\x05ur\0\x02[B\xac\xf3\x17\xf8\x06\x08T\xe0" + bytes(40),
    ),
    "an empty buffer": ("all 921600 bytes are 00", Reason.NOT_A_PICTURE, bytes(921_600)),
}
"""By name: what the text says, the reason, and the data."""


LONG: Final = 3_000_000
HOSTILE: Final[Mapping[str, bytes]] = {
    "spaces": b" " * LONG + b"\1",
    "a path of spaces": b"/" + b" " * LONG + b"\1",
    "an address and spaces": b"http://gate" + b" " * LONG + b"\1",
    "a list of spaces": b"[" + b" " * LONG,
    "a list of one number": b"[" + b"1" * LONG,
    "a tag without an end": b"<" + b"a." * (LONG // 2) + b"\1",
    "a prolog of spaces": b"<?xml?>" + b" " * LONG + b"\1",
    "a comment without an end": b"<!--" + b"-" * LONG,
    "names of files": b"a.jpg" * (LONG // 5),
    "a header of spaces": b"P5" + b" " * LONG,
    "start codes": b"\0\0\1\6" + b"\0\0\1" * (LONG // 3),
    "dots of a pickle": b"\x80\4" + b"." * LONG + b"x",
    "base64 of nothing": b"/9j/" + b"A" * LONG,
    "quotes": b'"' + b"a" * LONG,
}
"""Data that takes minutes or more where a pattern tries every way to divide it."""


def raw_pictures(seed: int, count: int) -> Iterator[bytes]:
    """Yield raw pictures without a layout: dark ones, depth in 16 bits, a grey wall, and noise."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        yield chance.integers(0, 3, (48, 64, 3), np.uint8).tobytes()
        yield b"\0\0\0\1" + chance.integers(0, 6, 48 * 64, np.uint8).tobytes()
        yield b"\0\0\1\0" + chance.integers(0, 6, 48 * 64, np.uint8).tobytes()
        yield chance.integers(40, 100, (96, 64), np.uint16).tobytes()
        yield chance.integers(97, 110, (96, 64), np.uint8).tobytes()
        yield chance.integers(0, 256, (96, 64), np.uint8).tobytes()
