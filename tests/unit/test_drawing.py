"""What is drawn where: sizes from tiny to 4K, names of any length and script, and the pixels in between."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import scene
from worker.domain.times import EventMillis
from worker.views.clock import clock
from worker.views.drawing import _GROOVE, _LOUD, _TONES, draw, fit
from worker.views.layout import Panel, Row, Tone, layout, padding, parts, text_size
from worker.views.shown import Event, Facts, Meter, Share, Truth
from worker.views.text import ELLIPSIS, Font, OutlineFont, StrokeFont, default_font, shorten

Pixels = NDArray[np.uint8]

SIZES = [(160, 120), (176, 144), (640, 272), (1920, 1080), (3840, 2160), (90, 400), (900, 60), (48, 48), (9, 7), (1, 1)]
READABLE = SIZES[:5]
LONG = "Überwachungskamera am Nordeingang der Straße zur großen Brücke, 日本語, " * 3
CLASSES = (Share("Egyptian cat", 0.87), Share(LONG, 0.09), Share("ロケット", 0.02), Share("never shown", 0.01))
CLASSIFIED = Facts(camera="desk", captured_at=EventMillis(0), classes=CLASSES, truth=Truth("Egyptian cat", right=True))
VALUED = Facts(camera="street", captured_at=EventMillis(1280), meter=Meter(0.83, 0.5), event=Event("cut"))
KINDS = {
    "classes": CLASSIFIED,
    "long": replace(CLASSIFIED, camera=LONG, truth=Truth(LONG, right=False), note=LONG),
    "clip": replace(CLASSIFIED, note="clip: 14 of 16 frames", truth=Truth("nothing known", None)),
    "event": VALUED,
    "after": replace(VALUED, event=Event(LONG, 3)),
    "dead letter": Facts(camera="", captured_at=EventMillis(1_790_000_000_123), note="no prediction: truncated"),
}
FONTS = {"default": default_font(), "strokes": StrokeFont()}


painted = cache(scene)


def inside(panel: Panel) -> tuple[slice, slice]:
    return slice(panel.y, panel.y + panel.height), slice(panel.x, panel.x + panel.width)


def check_only_the_panels_change(width: int, height: int, facts: Facts, font: Font) -> None:
    pixels, before = painted(width, height), painted(width, height).copy()
    drawn = draw(pixels, facts, font)
    assert (drawn.shape, drawn.dtype) == (pixels.shape, pixels.dtype)
    assert np.array_equal(pixels, before)
    panels = layout(width, height, facts, font)
    assert all((drawn[inside(panel)] != pixels[inside(panel)]).any() for panel in panels)
    for panel in panels:
        drawn[inside(panel)] = pixels[inside(panel)]
    assert np.array_equal(drawn, pixels)


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
@pytest.mark.parametrize("facts", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("width", "height"), [size for size in SIZES if max(size) < 1000])
def test_only_the_panels_change(width: int, height: int, facts: Facts, font: Font) -> None:
    check_only_the_panels_change(width, height, facts, font)


@pytest.mark.parametrize(("width", "height"), [size for size in SIZES if max(size) >= 1000])
def test_only_the_panels_of_a_large_picture_change(width: int, height: int) -> None:
    check_only_the_panels_change(width, height, KINDS["long"], default_font())


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
@pytest.mark.parametrize("facts", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_panels_lie_within_the_picture_and_apart(width: int, height: int, facts: Facts, font: Font) -> None:
    panels = layout(width, height, facts, font)
    for panel in panels:
        assert panel.x >= 0
        assert panel.y >= 0
        assert panel.x + panel.width <= width
        assert panel.bottom <= height
    for one, other in combinations(panels, 2):
        assert one.bottom <= other.y or other.bottom <= one.y


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
@pytest.mark.parametrize("facts", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_text_fits_into_its_row(width: int, height: int, facts: Facts, font: Font) -> None:
    for panel in layout(width, height, facts, font):
        room = panel.width - 2 * padding(panel.size)
        for row in panel.rows:
            text, value = parts(row, panel.size, room, font)
            assert font.width(text, panel.size) + font.width(value, panel.size) <= room


@pytest.mark.parametrize(("width", "height"), READABLE)
def test_a_usual_picture_says_who_when_and_what(width: int, height: int) -> None:
    font = default_font()
    top, bottom = layout(width, height, CLASSIFIED, font)
    room = top.width - 2 * padding(top.size)
    assert parts(top.rows[0], top.size, room, font) == ("desk", "00:00:00.000")
    room = bottom.width - 2 * padding(bottom.size)
    assert parts(bottom.rows[0], bottom.size, room, font) == ("Egyptian cat", "87 %")
    assert bottom.rows[-1].text == "label: Egyptian cat"
    assert bottom.rows[-1].value == "right"
    assert "never shown" not in {row.text for row in bottom.rows}


def test_what_matters_least_is_left_out_first() -> None:
    said = [
        layout(width, height, CLASSIFIED, default_font())[-1].rows
        for width, height in ((160, 64), (160, 120), (640, 480))
    ]
    assert [len(rows) for rows in said] == [2, 3, 4]
    assert all(rows[0].text == "Egyptian cat" and rows[-1].tone is Tone.RIGHT for rows in said)


@pytest.mark.parametrize(("right", "word", "tone"), [(True, "right", Tone.RIGHT), (False, "wrong", Tone.WRONG)])
def test_right_and_wrong_differ_in_word_colour_and_mark(right: bool, word: str, tone: Tone) -> None:  # noqa: FBT001
    facts = replace(CLASSIFIED, classes=(), truth=Truth("", right))
    (_, panel) = layout(640, 272, facts, default_font())
    assert [(row.value, row.tone) for row in panel.rows] == [(word, tone)]
    box = draw(np.zeros((272, 640, 3), np.uint8), facts)[inside(panel)]
    assert (box == _TONES[tone]).all(axis=2).any()


def test_an_event_is_loud_on_its_frame_only() -> None:
    def loud(event: Event | None) -> float:
        """Return the share of the place below the camera's name that has the loud colour."""
        place = draw(scene(640, 272), replace(VALUED, meter=None, event=event))[34:76, 4:76]
        return float((place == _LOUD).all(axis=2).mean())

    assert loud(Event("cut", 0)) > 0.7
    assert all(loud(event) < 0.3 for event in (None, Event("cut", 1), Event("cut", 9)))
    banners = [layout(640, 272, replace(VALUED, event=Event("cut", ago)), default_font())[1] for ago in (0, 1, 2)]
    assert [panel.rows[0].text for panel in banners] == ["CUT", "CUT, 1 frame ago", "CUT, 2 frames ago"]


def filled(value: float, width: int) -> tuple[int, int]:
    """Return how many pixels of the meter are filled, and how many there are, in the bar's middle."""
    facts = Facts(camera="c", captured_at=EventMillis(0), meter=Meter(value, threshold=1.0))
    drawn = draw(np.zeros((width * 9 // 16, width, 3), np.uint8), facts)
    empty = (drawn == _GROOVE).all(axis=2).sum(axis=1)
    colour = _TONES[Tone.EVENT if value >= 1 else Tone.PLAIN]
    full = (drawn == colour).all(axis=2).sum(axis=1)
    line = int(np.argmax(empty + full))
    return int(full[line]), int(empty[line] + full[line])


@pytest.mark.parametrize("width", [176, 640, 1920])
@pytest.mark.parametrize("value", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_a_meter_is_filled_in_proportion(value: float, width: int) -> None:
    full, whole = filled(value, width)
    mark = 6  # the mark of the threshold covers the right end
    assert whole > 80
    assert full == pytest.approx(value * whole, abs=mark)


def test_a_value_out_of_range_fills_no_more_than_the_bar() -> None:
    assert filled(-3.0, 640)[0] == 0
    draw(scene(64, 64), Facts(camera="c", captured_at=EventMillis(0), meter=Meter(7.0, -2.0)))


def test_the_threshold_is_marked_where_it_is() -> None:
    facts = Facts(camera="", captured_at=EventMillis(0), meter=Meter(0.0, 0.25))
    (*_, panel) = layout(640, 272, facts, default_font())
    box = draw(np.zeros((272, 640, 3), np.uint8), facts)[inside(panel)]
    groove = (box == _GROOVE).all(axis=2)
    line = box[int(np.argmax(groove.sum(axis=1)))]
    (marked,) = np.nonzero((line > 200).all(axis=1))
    pad = padding(panel.size)
    assert marked.mean() == pytest.approx(pad + 0.25 * (panel.width - 2 * pad), abs=1.5)


def test_light_text_is_readable_on_white_and_on_black() -> None:
    for ground in (0, 255):
        pixels = np.full((272, 640, 3), ground, np.uint8)
        (header, *_) = layout(640, 272, CLASSIFIED, default_font())
        box = draw(pixels, CLASSIFIED)[inside(header)]
        assert box.max() > 230
        assert np.median(box) < 90


def test_a_picture_of_another_kind_is_told() -> None:
    for pixels in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="a picture is"):
            draw(pixels, CLASSIFIED)  # type: ignore[arg-type]


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
def test_a_name_is_shortened_by_its_measured_width(font: Font) -> None:
    whole = font.width("Egyptian cat", 20)
    assert shorten("Egyptian cat", 20, whole, font) == "Egyptian cat"
    short = shorten("Egyptian cat", 20, whole - 1, font)
    assert short.endswith(ELLIPSIS)
    assert "Egyptian cat".startswith(short.removesuffix(ELLIPSIS))
    longer = short.removesuffix(ELLIPSIS)
    assert font.width("Egyptian cat"[: len(longer) + 2] + ELLIPSIS, 20) > whole - 1
    assert shorten("Egyptian cat", 20, 1, font) == ""
    assert shorten("", 20, 0, font) == ""
    assert shorten("two\nlines\t", 20, 500, font) == "two lines "


def written(font: Font, text: str) -> Pixels:
    pixels = np.zeros((40, 300, 3), np.uint8)
    font.write(pixels, text, (5, 30), 24, (255, 255, 255))
    return pixels


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="this OpenCV has no such font")
@pytest.mark.parametrize("name", ["größer", "čeština", "Ελλάδα", "Москва", "日本語", "القط"])
def test_letters_of_many_scripts_are_no_question_marks(name: str) -> None:
    font = OutlineFont()
    assert written(font, name).any()
    for letter in set(name):
        assert not np.array_equal(written(font, letter), written(font, "?"))


def test_strokes_leave_out_accents() -> None:
    font = StrokeFont()
    assert np.array_equal(written(font, "größer ≥ čaj"), written(font, "grosser >= caj"))


def test_text_grows_with_the_picture() -> None:
    sizes = [text_size(width, height) for width, height in READABLE]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[3]) == (10, 33)


def test_a_time_has_a_date_where_it_is_one() -> None:
    assert clock(EventMillis(3_661_007)) == "01:01:01.007"
    assert clock(EventMillis(1_790_000_000_123)) == "2026-09-21 14:13:20.123"
    assert clock(EventMillis(253_402_300_799_999)) == "9999-12-31 23:59:59.999"
    assert clock(EventMillis(2**63 - 1)) == "9223372036854775807 ms"


def test_the_date_gives_way_to_the_cameras_name() -> None:
    facts = replace(CLASSIFIED, captured_at=EventMillis(1_790_000_000_123))
    wide, narrow = (layout(width, 144, facts, default_font())[0].rows for width in (640, 176))
    assert wide == (Row("desk", "2026-09-21 14:13:20.123"),)
    assert narrow == (Row("desk", "14:13:20.123"),)


def test_a_picture_is_fitted_whole_and_centred() -> None:
    red = np.full((100, 50, 3), (250, 10, 20), np.uint8)
    fitted = fit(red, 300, 200)
    assert fitted.shape == (200, 300, 3)
    assert (fitted[:, 100:200] == (250, 10, 20)).all()
    assert not fitted[:, :100].any()
    assert not fitted[:, 200:].any()
    assert fit(red, 50, 100) is red
    assert fit(scene(2000, 3), 8, 8).shape == (8, 8, 3)
