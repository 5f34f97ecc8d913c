"""Boxes lie where a known rectangle lies, whatever the picture's size, encoding, and way into the model."""

from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from tests.support.bright import LABELS, LETTERBOX, bright_program, with_rectangles
from tests.support.models import small_model
from tests.support.pictures import ENCODERS, JPEG, PNG, Encode, frame_of
from worker.domain.boxes import Box
from worker.domain.frames import EncodedFrame, RawLayout
from worker.domain.preprocessing import Preprocessing
from worker.domain.results import Detections
from worker.models.preparation import frame_decoder
from worker.ports import Asked
from worker.settings import Limits, ModelGroup

WAYS: Final = {
    "letterboxed": LETTERBOX,
    "letterboxed to a square": replace(LETTERBOX, resize=112, crop=112),
    "letterboxed without antialias": replace(LETTERBOX, antialias=False),
    "letterboxed in the middle": replace(LETTERBOX, pad="center", fill=(20, 20, 20)),
    "letterboxed in the middle of a tall input": replace(LETTERBOX, resize=(160, 96), crop=(160, 96), pad="center"),
    "stretched to a wide input": replace(LETTERBOX, resize=(96, 160), crop=(96, 160), pad=False),
    "reversed channels": replace(LETTERBOX, channels="bgr"),
    "up to 255": replace(LETTERBOX, max_value=255, std=(255.0,) * 3),
    "stretched": replace(LETTERBOX, resize=(112, 112), crop=(112, 112), pad=False),
    "cropped": replace(LETTERBOX, resize=128, crop=112, pad=False),
}
SIZES: Final = ((320, 240), (240, 320), (640, 360), (301, 299), (97, 61), (128, 96), (900, 120))


def found(frame: EncodedFrame, numbers: Preprocessing, preparation: str = "exact") -> dict[str, Box]:
    """Return the boxes by their names."""
    model = small_model(bright_program(numbers), preprocessing=numbers, labels=LABELS, task="detect")
    out = np.empty((1, *model.input_shape), np.uint8)
    decode = frame_decoder(numbers, ModelGroup(name="any", preparation=preparation), Limits())
    geometry = decode(frame, out[0])
    ((result,),) = model.task.results(model.run(out), [Asked(geometry, (0,))])
    assert isinstance(result, Detections)
    return {each.name: each.box for each in result.boxes}


def near(box: Box, expected: Box, tolerance: float) -> bool:
    return max(abs(one - other) for one, other in zip(box, expected, strict=True)) <= tolerance


def middle(width: int, height: int) -> Box:
    """Return a rectangle that no crop reaches, off the centre."""
    side = min(width, height)
    left, top = width // 2 - side // 4, height // 2 - side // 3
    return Box(left, top, left + side // 3, top + side // 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", SIZES)
def test_a_rectangle_is_found_where_it_is(size: tuple[int, int], way: str) -> None:
    expected = middle(*size)
    boxes = found(frame_of(PNG(with_rectangles(*size, white=expected))), WAYS[way])

    numbers, (width, height) = WAYS[way], size
    # Pixels of the picture in one pixel of the input.
    coarse = max(width / numbers.crop_size[1], height / numbers.crop_size[0], 1)
    assert boxes.keys() == {"white"}
    assert near(boxes["white"], expected, 0.35 * coarse if numbers.antialias else 0.6 * coarse), boxes


@pytest.mark.parametrize("name", ENCODERS)
def test_a_rectangle_is_found_in_every_encoding_and_a_turned_picture_is_taken_as_it_is_stored(name: str) -> None:
    expected = Box(90, 30, 170, 90)
    boxes = found(frame_of(ENCODERS[name](with_rectangles(320, 200, white=expected))), LETTERBOX)

    assert near(boxes["white"], expected, 1.0), boxes


def test_a_raw_picture_too() -> None:
    pixels = with_rectangles(320, 200, white=Box(90, 30, 170, 90))
    frame = frame_of(pixels.tobytes(), raw=RawLayout("rgb24", 320, 200))

    assert near(found(frame, LETTERBOX)["white"], Box(90, 30, 170, 90), 1.0)


@pytest.mark.parametrize("way", ["letterboxed", "cropped"])
@pytest.mark.parametrize("size", [(1281, 722), (1000, 1400)])
def test_a_jpeg_that_is_decoded_at_a_fraction_of_its_size_has_the_same_boxes(size: tuple[int, int], way: str) -> None:
    expected = middle(*size)
    frame = frame_of(JPEG(with_rectangles(*size, white=expected)))

    assert near(found(frame, WAYS[way], "reduced")["white"], expected, 4.0)


@pytest.mark.parametrize("encode", [PNG, JPEG])
def test_two_objects_at_the_edges_keep_to_the_picture(encode: Encode) -> None:
    corners = {"white": Box(0, 0, 60, 40), "blue": Box(200, 150, 320, 240)}
    boxes = found(frame_of(encode(with_rectangles(320, 240, **corners))), LETTERBOX)

    assert boxes.keys() == corners.keys()
    assert all(near(boxes[name], box, 2.0) for name, box in corners.items()), boxes
    assert all(left >= 0 and top >= 0 and right <= 320 and bottom <= 240 for left, top, right, bottom in boxes.values())


def test_what_a_crop_cuts_off_is_not_found() -> None:
    numbers = WAYS["cropped"]
    assert found(frame_of(PNG(with_rectangles(640, 240, white=Box(0, 0, 60, 40)))), numbers) == {}
