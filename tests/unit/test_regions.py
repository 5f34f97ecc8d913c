"""Boxes and areas in pictures: where they are painted, in which colour, and what stays as it was."""

from typing import Final

import numpy as np
import pytest

from tests.support.pictures import Pixels, scene
from worker.domain.boxes import Box, TrueBox
from worker.domain.png import grey_png
from worker.domain.times import EventMillis
from worker.views.drawing import draw, fit
from worker.views.layout import layout, text_size
from worker.views.regions import colour_of, paint_boxes, paint_overlay
from worker.views.shown import Compared, Facts, Overlay, Share, ShownBox
from worker.views.text import StrokeFont, default_font

FONTS: Final = {"default": default_font(), "strokes": StrokeFont()}
SIZES: Final = [(320, 240), (640, 480), (1920, 1080), (48, 48), (9, 7), (1, 1)]
GREY: Final = 90


def grey(width: int, height: int) -> Pixels:
    return np.full((height, width, 3), GREY, np.uint8)


def test_the_colour_of_a_class_is_fixed_and_unlike_the_next_ones() -> None:
    colours = np.array([colour_of(index) for index in range(91)], int)
    assert colour_of(47) == colour_of(47)
    for near in (1, 2, 3):
        assert np.abs(colours[near:] - colours[:-near]).sum(axis=1).min() > 60
    assert len({*map(tuple, colours.tolist())}) == 91


@pytest.mark.parametrize(("width", "height"), SIZES[:3])
def test_a_box_is_drawn_where_it_is_and_nothing_changes_away_from_it(width: int, height: int) -> None:
    picture, box = grey(width, height), Box(0.25 * width, 0.5 * height, 0.5 * width, 0.75 * height)
    paint_boxes(picture, [ShownBox(47, "cup", 0.9, box)], [], default_font())
    left, top, right, bottom = map(round, box)
    reach = text_size(width, height)

    assert tuple(picture[(top + bottom) // 2, left]) == colour_of(47)
    assert tuple(picture[bottom - 1, (left + right) // 2]) == colour_of(47)
    assert (picture[top + reach : bottom - reach, left + reach : right - reach] == GREY).all()
    assert (picture[bottom + reach :] == GREY).all()
    assert (picture[: top - 2 * reach] == GREY).all()
    assert (picture[top - reach // 2 : top, left : left + reach] != GREY).any()  # name and score


@pytest.mark.parametrize("font", FONTS.values(), ids=FONTS)
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    "box",
    [Box(0, 0, 1, 1), Box(0, 0, 0.01, 0.01), Box(0.99, 0.99, 1, 1), Box(0.4, 0, 0.6, 0.1), Box(0.5, 0.5, 0.5, 0.5)],
)
def test_any_box_in_any_picture(width: int, height: int, box: Box, font: StrokeFont) -> None:
    sides = Box(box.left * width, box.top * height, box.right * width, box.bottom * height)
    found = (ShownBox(1, "a name that is longer than the picture is wide, 日本語", 0.5, sides),)
    facts = Facts(
        camera="c",
        captured_at=EventMillis(0),
        boxes=found,
        true_boxes=(TrueBox("x", sides),),
        compared=Compared(1, 1, 0),
    )
    pixels = scene(width, height)
    before = pixels.copy()

    assert draw(pixels, facts, font).shape == pixels.shape
    assert np.array_equal(pixels, before)


def test_a_true_box_is_a_thin_dashed_line_and_leaves_a_found_one_visible() -> None:
    picture, box = grey(640, 480), Box(100, 200, 300, 400)
    paint_boxes(picture, [], [TrueBox("cup", box)], default_font())
    changed = picture[(picture != GREY).any(axis=2)]

    assert len(changed) <= 4 * 200
    assert {*map(tuple, changed.tolist())} == {(255, 255, 255), (16, 18, 22)}
    paint_boxes(picture, [ShownBox(47, "cup", 0.9, box)], [TrueBox("cup", box)], default_font())
    assert tuple(picture[300, 101]) == colour_of(47)


def test_areas_get_the_colour_of_their_class_and_the_background_stays() -> None:
    picture = grey(64, 32)
    classes = np.zeros((4, 8), np.uint8)
    classes[:, 4:6] = 8
    paint_overlay(picture, Overlay(grey_png(classes), Box(0, 0, 64, 32)))
    painted = (picture != GREY).any(axis=2)

    assert painted[:, 32:48].all()
    assert painted.sum() == 16 * 32
    assert np.abs(picture[0, 40].astype(int) - (np.array(colour_of(8)) + GREY) / 2).max() <= 1


def test_an_overlay_covers_only_its_part_of_the_picture() -> None:
    picture = grey(60, 40)
    paint_overlay(picture, Overlay(grey_png(np.full((2, 2), 3, np.uint8)), Box(10, 0, 50, 40)))
    painted = (picture != GREY).any(axis=2)

    assert painted[:, 10:50].all()
    assert painted.sum() == 40 * 40


@pytest.mark.parametrize("png", [b"", b"no png"])
def test_a_damaged_mask_changes_nothing(png: bytes) -> None:
    picture = grey(60, 40)
    if png:
        paint_overlay(picture, Overlay(png, Box(10, 0, 50, 40)))
    assert (picture == GREY).all()


def test_the_legend_has_five_classes_in_their_colours() -> None:
    shares = tuple(Share(f"class {index}", 0.16, index) for index in range(7))
    facts = Facts(camera="c", captured_at=EventMillis(0), classes=shares)
    panel = layout(640, 480, facts, default_font())[-1]
    drawn = draw(grey(640, 480), facts)[panel.y : panel.bottom, panel.x : panel.x + panel.width]
    colours = {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()}

    assert [row.index for row in panel.rows] == [0, 1, 2, 3, 4]
    assert {colour_of(index) for index in (1, 2, 3, 4)} <= colours
    assert colour_of(0) not in colours


def test_boxes_move_with_a_picture_that_is_fitted() -> None:
    facts = Facts(camera="c", captured_at=EventMillis(0), boxes=(ShownBox(47, "cup", 0.9, Box(200, 100, 300, 200)),))
    fitted = draw(grey(320, 240), facts, size=(640, 640))  # twice as large, from 80 on

    assert fitted.shape == (640, 640, 3)
    assert np.abs(fitted[80 + 300, 400].astype(int) - colour_of(47)).max() < 60
    assert np.array_equal(draw(grey(320, 240), facts, size=(320, 240)), draw(grey(320, 240), facts))
    bare = Facts(camera="c", captured_at=EventMillis(0))
    assert np.array_equal(draw(scene(320, 240), bare, size=(640, 640)), draw(fit(scene(320, 240), 640, 640), bare))
