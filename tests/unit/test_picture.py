import random
import re
import struct
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pictures import (
    ALL_ENCODERS,
    JPEG,
    PNG_SIGNATURE,
    chunk,
    jpeg_header,
    jpeg_with_exif,
    scene,
    webp,
)
from worker.domain.errors import FrameRejected, ImageUndecodable, ImageUnsupported, Reason
from worker.domain.pictures import Flaw
from worker.media.headers import PictureKind, inspect_picture
from worker.media.jpeg_structure import JpegStructure

SMALL = {name: encode(scene(24, 17)) for name, encode in ALL_ENCODERS.items()}
every_kind = pytest.mark.parametrize("picture", SMALL.values(), ids=SMALL)


def _ihdr(width: int, height: int, *, depth: int = 8, colour: int = 0) -> bytes:
    return struct.pack(">II5B", width, height, depth, colour, 0, 0, 0)


def _png(ihdr: bytes, *before: bytes) -> bytes:
    chunks = (chunk(b"IHDR", ihdr), *before, chunk(b"IDAT", b""), chunk(b"IEND", b""))
    return PNG_SIGNATURE + b"".join(chunks)


@given(st.sampled_from(sorted(ALL_ENCODERS)), st.integers(1, 70), st.integers(1, 70))
def test_reads_the_size_of_every_kind(name: str, width: int, height: int) -> None:
    header = inspect_picture(ALL_ENCODERS[name](scene(width, height)))
    assert (header.width, header.height) == (width, height)
    assert header.kind.lower() == name.partition(" ")[0]


@every_kind
def test_refuses_a_picture_cut_anywhere(picture: bytes) -> None:
    is_jpeg = picture.startswith(b"\xff\xd8")  # of which only the decoder knows where its pixels end
    stop = structure(picture).pixels_at if is_jpeg else len(picture)
    assert {rejection(picture[:end]).reason for end in range(stop)} == {Reason.TRUNCATED}


@pytest.mark.parametrize("name", [name for name in SMALL if name.startswith("jpeg")])
def test_a_jpeg_tells_whether_it_has_an_end_marker(name: str) -> None:
    whole, cut = structure(SMALL[name]), structure(SMALL[name][:-2])
    assert (whole.has_end, whole.end) == (True, len(SMALL[name]))
    assert (cut.has_end, cut.end) == (False, len(SMALL[name]) - 2)


@pytest.mark.parametrize("name", [name for name in SMALL if name.startswith("jpeg")])
def test_a_jpeg_within_the_pixels_of_another_is_refused(name: str) -> None:
    picture = SMALL[name]
    start = structure(picture).pixels_at
    for end in (start, start + 1, (start + len(picture)) // 2, len(picture) - 2, len(picture) - 1):
        refused = rejection(picture[:end] + JPEG(scene(24, 17)))
        assert isinstance(refused, ImageUndecodable)
        assert (refused.reason, refused.flaw) == (Reason.TRUNCATED, Flaw.MERGED)
        assert "send one whole picture in each record" in str(refused)


def test_scans_are_counted_within_the_picture() -> None:
    picture = SMALL["jpeg progressive"]
    assert structure(picture + 200 * b"\xff\xda\0\2").scans == structure(picture).scans == 10


def test_a_progressive_jpeg_without_its_last_scans_lacks_something() -> None:
    picture = SMALL["jpeg progressive"]
    ends = [match.start() for match in re.finditer(rb"\xff[\xc4\xda]", picture)]
    first = picture.index(b"\xff\xda")
    assert structure(picture).fault is None
    for end in (end for end in ends if end > first):
        assert "coefficients are missing" in (structure(picture[:end] + b"\xff\xd9").fault or "")


@every_kind
@pytest.mark.parametrize("tail", [b"\0" * 64, b"\xff" * 64, b"\xff\xd8\xff more", b"IEND"], ids=repr)
def test_takes_a_whole_picture_whatever_follows(picture: bytes, tail: bytes) -> None:
    assert inspect_picture(picture + tail) == inspect_picture(picture)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    picture = jpeg_with_exif(scene(64, 48))
    assert picture.count(b"\xff\xd9") == 2
    assert not structure(picture[:-2]).has_end


@pytest.mark.parametrize("text", [b"hello", b"{}", b"\0" * 40, b"BMW", b"RIFF\4\0\0\0WAVEfmt ", b"<svg/>"], ids=repr)
def test_refuses_what_is_no_picture(text: bytes) -> None:
    assert rejection(text).reason is Reason.NOT_A_PICTURE


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"GIF89a\1\0\1\0", "a GIF"),
        (b"BM\x66\7\0\0\0\0\0\0\x36\0", "a BMP"),
        (b"II*\0\x08\0\0\0", "a TIFF"),
        (b"MM\0*\0\0\0\x08", "a TIFF"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "an AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "a HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 video"),
        (b"RIFF\4\0\0\0AVI LIST", "an AVI video"),
        (b"\0\0\0\1\x67\x42\0\x1e", "an H.264"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
        (webp(b"VP8X", bytes([2]) + bytes(9)), "an animated WebP"),
        (PNG_SIGNATURE + chunk(b"IHDR", _ihdr(1, 1)) + chunk(b"acTL", bytes(8)), "an animated PNG"),
        (jpeg_header(components=2), "2 components"),
        (jpeg_header(bits=12), "12 bits"),
        (jpeg_header(process=3), "lossless coding"),
        (jpeg_header(process=5), "hierarchical coding"),
        (jpeg_header(process=9), "arithmetic coding"),
        (jpeg_header(process=10), "arithmetic coding"),
        (jpeg_header(process=0xF7 - 0xC0), "a JPEG-LS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_a_picture_that_is_not_taken(start: bytes, name: str) -> None:
    refused = rejection(start)
    assert isinstance(refused, ImageUnsupported)
    assert name in str(refused)


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(jpeg_header(width=0), id="jpeg of no width"),
        pytest.param(jpeg_header(height=0), id="jpeg of no height"),
        pytest.param(jpeg_header(scan=b""), id="jpeg scan without header"),
        pytest.param(b"\xff\xd8\xff\xda\0\5\1\0\0\xff\xd9", id="jpeg without frame"),
        pytest.param(jpeg_header()[:21] + jpeg_header()[2:], id="jpeg of two frames"),
        pytest.param(b"\xff\xd8\xff\xc0\0\4\x08\0" + jpeg_header()[2:], id="jpeg frame too short"),
        pytest.param(b"\xff\xd8\xff\xe0\0\1" + jpeg_header()[2:], id="jpeg segment shorter than its length"),
        pytest.param(b"\xff\xd8" + jpeg_header(), id="jpeg that starts twice"),
        pytest.param(b"\xff\xd8\xff\xd9", id="jpeg of nothing"),
        pytest.param(PNG_SIGNATURE + chunk(b"IDAT", bytes(13)), id="png without header"),
        pytest.param(_png(_ihdr(0, 0)), id="png of no size"),
        pytest.param(_png(_ihdr(8, 8, depth=3)), id="png of 3 bits"),
        pytest.param(_png(_ihdr(8, 8, colour=5)), id="png of colour type 5"),
        pytest.param(_png(_ihdr(8, 8, colour=3)), id="png without palette"),
        pytest.param(_png(_ihdr(8, 8), chunk(b"CgBI", bytes(4))), id="png with a chunk that nobody knows"),
        pytest.param(webp(b"ALPH", bytes(40)), id="webp that begins with alpha"),
        pytest.param(webp(b"VP8L", b"\x2f"), id="webp too short for its size"),
        pytest.param(webp(b"VP8 ", bytes(10)), id="webp of no size"),
    ],
)
def test_refuses_a_header_that_contradicts_itself(picture: bytes) -> None:
    refused = rejection(picture)
    assert isinstance(refused, ImageUndecodable)
    assert refused.reason is Reason.NOT_A_PICTURE


@pytest.mark.parametrize(
    ("picture", "header"),
    [
        (jpeg_header(width=65535, height=65500), (PictureKind.JPEG, 65535, 65500)),
        (
            _png(_ihdr(2**31 - 1, 60000)),
            (PictureKind.PNG, 2**31 - 1, 60000),
        ),
        (webp(b"VP8L", b"\x2f" + b"\xff" * 4), (PictureKind.WEBP, 16384, 16384)),
        (webp(b"VP8X", bytes(4) + b"\xff" * 6), (PictureKind.WEBP, 2**24, 2**24)),
        (webp(b"VP8 ", b"\x9d" * 6 + b"\xff" * 4), (PictureKind.WEBP, 16383, 16383)),
    ],
    ids=["jpeg", "png", "webp lossless", "webp extended", "webp lossy"],
)
def test_reads_the_largest_size_a_header_can_hold(picture: bytes, header: tuple[PictureKind, int, int]) -> None:
    found = inspect_picture(picture)
    assert (found.kind, found.width, found.height) == header


@pytest.mark.parametrize("picture", [SMALL["jpeg progressive"], jpeg_header()], ids=["progressive", "one by one"])
def test_refuses_a_jpeg_of_scans_without_number(picture: bytes) -> None:
    last = picture[picture.rfind(b"\xff\xda") : -2]
    inspect_picture(picture[:-2] + 80 * last + b"\xff\xd9")
    with pytest.raises(ImageUnsupported, match="scans"):
        inspect_picture(picture[:-2] + 100 * last + b"\xff\xd9")


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", PNG_SIGNATURE, b"RIFF\x20\0\0\0WEBPVP8X"]))
def test_arbitrary_bytes_are_read_or_rejected(noise: bytes, start: bytes) -> None:
    assert_read_or_rejected(start + noise)


@given(st.sampled_from(sorted(SMALL)), st.randoms(use_true_random=False))
def test_a_damaged_picture_is_read_or_rejected(name: str, rng: random.Random) -> None:
    damaged = bytearray(SMALL[name])
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    assert_read_or_rejected(bytes(damaged))


@pytest.mark.parametrize("filler", [b"\xff\xd0", b"\xff\x01", b"\0", b"\xff\xfe\0\2", b"\xff"], ids=repr)
def test_a_long_header_takes_time_in_proportion(filler: bytes) -> None:
    started = time.process_time()
    rejection(b"\xff\xd8" + b"\xff\xe0\0\2" + filler * (1_000_000 // len(filler)))
    assert time.process_time() - started < 5


def test_a_header_reads_as_words() -> None:
    assert str(inspect_picture(SMALL["webp lossy"])) == "WebP of 24x17 pixels"


def structure(picture: bytes) -> JpegStructure:
    found = inspect_picture(picture).structure
    assert isinstance(found, JpegStructure)
    return found


def rejection(picture: bytes) -> FrameRejected:
    with pytest.raises(FrameRejected) as caught:
        inspect_picture(picture)
    return caught.value


def assert_read_or_rejected(picture: bytes) -> None:
    with suppress(FrameRejected):
        header = inspect_picture(picture)
        assert header.width > 0
        assert header.height > 0
