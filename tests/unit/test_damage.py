"""What becomes of damaged pictures: refused where pixels are missing or wrong, taken where they are all there."""

import random
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import cv2
import numpy as np
import pytest

from tests.support.broken_pictures import HARMLESS, LIKELY, SURE, SURE_WITH_RESTARTS, with_stray
from tests.support.models import photograph
from tests.support.pictures import Pixels, frame_of
from worker.domain.errors import ImageUndecodable, Reason
from worker.domain.frames import Image
from worker.domain.pictures import Flaw, PictureRules
from worker.media.images import decode_image

SEEDS: Final = range(2)
ACCEPT: Final = PictureRules(damaged="accept")
OPTIONS: Final[Mapping[str, tuple[int, ...]]] = {
    "4:2:0": (),
    "4:2:2": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422),
    "4:4:4": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "optimised": (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
}
RESTARTS: Final = (cv2.IMWRITE_JPEG_RST_INTERVAL, 20)
every_seed = pytest.mark.parametrize("seed", SEEDS)


def jpeg_of(name: str, *options: int, grey: bool = False) -> bytes:
    pixels = cv2.resize(photograph(name).pixels, (328, 248), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85, *options])[1].tobytes()


def decoded(picture: bytes, rules: PictureRules | None = None, *, shorter_side: int | None = None) -> Image:
    return decode_image(frame_of(picture), rules or PictureRules(), shorter_side=shorter_side)


def refusal(picture: bytes, rules: PictureRules | None = None) -> ImageUndecodable:
    with pytest.raises(ImageUndecodable) as caught:
        decoded(picture, rules)
    return caught.value


def pixels_of(picture: bytes) -> Pixels:
    return decoded(picture).pixels


@every_seed
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("name", SURE)
def test_a_jpeg_without_all_its_pixels_is_refused(name: str, kind: str, seed: int) -> None:
    jpeg, other = (jpeg_of(each, *OPTIONS[kind]) for each in ("chelsea", "coffee"))
    broken = SURE[name](jpeg, other, random.Random(seed))  # noqa: S311 seeded on purpose
    refused = refusal(broken)
    assert refused.flaw is not None
    assert re.search(r"; send \S+ .*$", str(refused)), "a refusal ends in what to do"


@every_seed
@pytest.mark.parametrize("name", SURE_WITH_RESTARTS)
def test_a_jpeg_without_all_its_restart_intervals_is_refused(name: str, seed: int) -> None:
    jpeg, other = (jpeg_of(each, *RESTARTS) for each in ("chelsea", "coffee"))
    refusal(SURE_WITH_RESTARTS[name](jpeg, other, random.Random(seed)))  # noqa: S311 seeded on purpose


@every_seed
@pytest.mark.parametrize("kind", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("name", HARMLESS)
def test_a_jpeg_with_all_its_pixels_is_taken(name: str, kind: str, seed: int) -> None:
    jpeg, other = (jpeg_of(each, *OPTIONS[kind]) for each in ("chelsea", "coffee"))
    found = decoded(HARMLESS[name].make(jpeg, other, random.Random(seed)))  # noqa: S311 seeded on purpose
    np.testing.assert_array_equal(found.pixels, pixels_of(jpeg))
    assert (found.flawed and found.flawed.flaw) == HARMLESS[name].flaw


@every_seed
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("interval", [1, 7, 20, 21])
def test_stray_bytes_before_restart_markers_cost_no_pixels(seed: int, interval: int, grey: bool) -> None:  # noqa: FBT001
    jpeg = jpeg_of("chelsea", cv2.IMWRITE_JPEG_RST_INTERVAL, interval, grey=grey)
    found = decoded(with_stray(jpeg, random.Random(seed)))  # noqa: S311 seeded on purpose
    np.testing.assert_array_equal(found.pixels, pixels_of(jpeg))
    assert found.flawed is not None
    assert found.flawed.flaw is Flaw.EXTRANEOUS


@pytest.mark.parametrize("name", LIKELY)
def test_most_jpegs_with_a_hole_or_a_wrong_part_are_refused(name: str) -> None:
    jpeg, other = jpeg_of("chelsea"), jpeg_of("coffee")
    rng, refused = random.Random(name), 0  # noqa: S311 seeded on purpose
    for _ in range(50):
        try:
            decoded(LIKELY[name](jpeg, other, rng))
        except ImageUndecodable:
            refused += 1
    assert refused >= 35, "libjpeg-turbo reports no more; python -m tests.benchmarks.damage tells the rates"


@pytest.mark.parametrize("way", [None, 100])
def test_a_reduced_jpeg_is_judged_in_the_same_way(way: int | None) -> None:
    jpeg = jpeg_of("chelsea")
    half = jpeg[: len(jpeg) // 2] + b"\xff\xd9"
    with pytest.raises(ImageUndecodable, match="premature end of data segment"):
        decoded(half, shorter_side=way)
    assert decoded(jpeg[:-2], shorter_side=way).pixels.shape[0] == (124 if way else 248)


@pytest.mark.parametrize(
    ("name", "flaw", "reason", "text"),
    [
        ("end marker after half", Flaw.PREMATURE_END, Reason.TRUNCATED, "truncated: Corrupt JPEG data: premature end"),
        ("an unknown marker", Flaw.CORRUPT, Reason.NOT_A_PICTURE, "damaged: Unsupported marker type 0x87"),
        ("cut, then the next frame", Flaw.MERGED, Reason.TRUNCATED, "another one begins at byte"),
        ("many bytes too many", Flaw.CORRUPT, Reason.NOT_A_PICTURE, "extraneous bytes before marker 0xd9"),
    ],
)
def test_a_refusal_repeats_the_decoder(name: str, flaw: Flaw, reason: Reason, text: str) -> None:
    refused = refusal(SURE[name](jpeg_of("chelsea"), jpeg_of("coffee"), random.Random(1)))  # noqa: S311 seeded
    assert (refused.flaw, refused.reason) == (flaw, reason)
    assert text in str(refused)


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    jpeg = jpeg_of("chelsea", *OPTIONS["progressive"])
    scans = [found.start() for found in re.finditer(rb"\xff\xda", jpeg)]
    for end in scans[1:]:
        refused = refusal(jpeg[: jpeg.rindex(b"\xff\xc4", 0, end)] + b"\xff\xd9")
        assert (refused.flaw, refused.reason) == (Flaw.MISSING_SCANS, Reason.TRUNCATED)


def test_damage_is_accepted_if_asked_for() -> None:
    jpeg = jpeg_of("chelsea")
    found = decoded(jpeg[: len(jpeg) // 2] + b"\xff\xd9", ACCEPT)
    whole = pixels_of(jpeg)
    np.testing.assert_array_equal(found.pixels[:88], whole[:88])
    assert found.pixels.shape == whole.shape
    assert found.flawed is not None
    assert found.flawed.flaw is Flaw.PREMATURE_END


def test_two_frames_in_one_record_are_never_accepted() -> None:
    for name in ("cut, then the next frame", "whole but for its end, then the next frame"):
        broken = SURE[name](jpeg_of("chelsea"), jpeg_of("coffee"), random.Random(2))  # noqa: S311 seeded
        assert refusal(broken, ACCEPT).flaw is Flaw.MERGED


@pytest.mark.parametrize("name", SURE)
def test_what_is_accepted_has_pixels_of_the_decoder_alone(name: str) -> None:
    """An array that nobody has written to would hold whatever lay in memory."""
    broken = SURE[name](jpeg_of("chelsea"), jpeg_of("coffee"), random.Random(3))  # noqa: S311 seeded on purpose
    found = set[bytes]()
    for grey in range(4):
        np.full((248, 328, 3), grey, np.uint8)  # leaves its pixels in memory
        with suppress(ImageUndecodable):
            found.add(decoded(broken, ACCEPT).pixels.tobytes())
    assert len(found) <= 1


@pytest.mark.parametrize("rules", [PictureRules(), ACCEPT])
def test_a_decoder_writes_nothing_to_standard_error(rules: PictureRules, capfd: pytest.CaptureFixture[str]) -> None:
    jpeg, other = jpeg_of("chelsea"), jpeg_of("coffee")
    png = cv2.imencode(".png", photograph("chelsea").pixels)[1].tobytes()
    webp = cv2.imencode(".webp", photograph("chelsea").pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    makes = [*SURE.values(), *LIKELY.values(), *(each.make for each in HARMLESS.values())]
    pictures = [make(jpeg, other, random.Random(4)) for make in makes]  # noqa: S311 seeded on purpose
    for whole in (png, webp):
        places = range(100, len(whole) - 100, len(whole) // 20)
        pictures.extend(whole[:at] + b"damaged" + whole[at + 7 :] for at in places)
    for picture in pictures:
        with suppress(ImageUndecodable):
            decoded(picture, rules)
    assert capfd.readouterr().err == ""
