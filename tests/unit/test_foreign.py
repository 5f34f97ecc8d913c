"""What producers send instead of a picture is named, and the text ends in what to do."""

import re

import pytest

from tests.support.mistakes import HOSTILE, OTHER, WRAPPED, pictures, raw_pictures
from tests.support.pictures import ALL_ENCODERS, Encode, scene
from worker.domain.errors import FrameRejected, ImageUndecodable, ImageUnsupported, Reason
from worker.media.foreign import accepted_kind
from worker.media.headers import inspect_picture

ENDS_IN_WHAT_TO_DO = re.compile(r"[:,;] (and )?(send|decode|read|to compress) [^:]*$")


def refusal(data: bytes) -> FrameRejected:
    with pytest.raises((ImageUndecodable, ImageUnsupported)) as caught:
        inspect_picture(data)
    return caught.value


@pytest.mark.parametrize("name", WRAPPED)
def test_a_picture_in_a_wrapper_is_seen_and_the_wrapper_is_named(name: str) -> None:
    text, make = WRAPPED[name]
    for number, (kind, picture) in enumerate(pictures(seed=len(name), count=4)):
        if name == "without its beginning" and kind == "WebP":
            continue  # nothing marks the end of a WebP
        error = refusal(make(picture))
        assert error.reason is Reason.NOT_A_PICTURE
        assert text.format(kind=kind) in str(error), f"{number}: {error}"
        assert ENDS_IN_WHAT_TO_DO.search(str(error)), str(error)


@pytest.mark.parametrize("name", OTHER)
def test_other_data_is_named(name: str) -> None:
    text, reason, data = OTHER[name]
    error = refusal(data)
    assert error.reason is reason
    assert text in str(error)
    assert ENDS_IN_WHAT_TO_DO.search(str(error)), str(error)


@pytest.mark.parametrize("seed", range(5))
def test_a_raw_picture_without_a_layout_is_not_taken_for_something_else(seed: int) -> None:
    for data in raw_pictures(seed, count=40):
        error = refusal(data)
        assert error.reason is Reason.NOT_A_PICTURE
        assert str(error).startswith(f"no JPEG, PNG or WebP begins with the bytes {data[:8].hex(' ')}: send ")
        assert "'pixel-format', 'width' and 'height'" in str(error)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_data_is_looked_at_for_long(name: str) -> None:
    error = refusal(HOSTILE[name])
    assert error.reason is Reason.NOT_A_PICTURE
    assert "None" not in str(error)


@pytest.mark.parametrize("encode", ALL_ENCODERS.values(), ids=ALL_ENCODERS)
def test_an_accepted_picture_is_known_by_its_beginning(encode: Encode) -> None:
    picture = encode(scene(40, 30))
    assert accepted_kind(picture) == inspect_picture(picture).kind.value
    assert accepted_kind(picture[1:]) is None
