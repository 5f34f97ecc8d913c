"""Pictures of a Python program as the records that a producer would send, or why they cannot be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import PNG, scene
from worker import Picture, read, wire
from worker.api.pictures import Item, record_of
from worker.api.results import InOrder, Refused
from worker.domain.boxes import Box, TrueBox
from worker.domain.errors import SettingsError
from worker.domain.frames import EncodedFrame
from worker.domain.pictures import PictureRules
from worker.domain.records import Record
from worker.domain.times import EventMillis, Monotonic
from worker.media.images import decode_image
from worker.wire.prediction_fields import FrameField

RGB = scene(30, 20)


def parsed(number: int, item: Item) -> EncodedFrame:
    record = record_of(number, item)
    assert isinstance(record, Record)
    return wire.parse_frame(record, arrived_at=EventMillis(0), arrived=Monotonic(0))


def refused(item: Any) -> Refused:
    found = record_of(4, item)
    assert isinstance(found, Refused)
    assert found.frame.offset == 4
    return found


def pixels_of(item: Item, bit_depth: int | None = None) -> NDArray[np.uint8]:
    return decode_image(parsed(0, item), PictureRules(bit_depth=bit_depth)).pixels


def test_bytes_are_sent_as_they_are() -> None:
    for data in (b"any bytes", bytearray(b"any bytes"), memoryview(b"any bytes")):
        frame = parsed(3, data)

        assert frame.data == b"any bytes"
        assert (frame.frame.frame_id, frame.frame.camera, frame.frame.captured_at) == ("3", "python", 120)
        assert frame.frame.label is None


def test_a_file_gives_its_name(tmp_path: Path) -> None:
    file = tmp_path / "käse \udcff.png"
    file.write_bytes(PNG(RGB))

    for path in (file, str(file)):
        assert parsed(0, path).frame.frame_id == str(file).encode(errors="replace").decode()
        assert np.array_equal(pixels_of(path), RGB)


def test_what_is_known_of_a_picture_goes_with_it() -> None:
    boxes = [TrueBox("cat", Box(1, 2, 3, 4))]
    frame = parsed(7, Picture(b"data", label="cat", boxes=boxes, camera="gate", captured_at=5, id="first")).frame

    assert (frame.label, frame.boxes, frame.camera, frame.captured_at, frame.frame_id) == (
        *("cat", tuple(boxes), "gate"),
        *(5, "first"),
    )


@pytest.mark.parametrize(("label", "sent"), [(3, "3"), (np.int64(3), "3"), (0, "0"), ("caf\udce9", "caf?")])
def test_a_label_may_be_an_index(label: Any, sent: str) -> None:
    assert parsed(0, Picture(b"data", label=label)).frame.label == sent


@pytest.mark.parametrize(
    ("known", "advice"),
    [
        ({"captured_at": 1.5}, "give whole milliseconds"),
        ({"captured_at": "now"}, "give whole milliseconds"),
        ({"boxes": [(1, 2, 3, 4)]}, "give (label, (left, top, right, bottom)) for each object"),
        ({"boxes": [("cat", (3, 2, 1, 4))]}, "give (label, (left, top, right, bottom)) for each object"),
        ({"boxes": [("cat", (1, 2, float("nan"), 4))]}, "give (label, (left, top, right, bottom)) for each object"),
        ({"boxes": 5}, "give (label, (left, top, right, bottom)) for each object"),
    ],
)
def test_what_is_known_wrongly_is_refused_with_advice(known: dict[str, Any], advice: str) -> None:
    found = refused(Picture(b"data", **known))

    assert found.reason == "bad-header"
    assert advice in found.text


def test_times_and_boxes_may_be_of_numpy() -> None:
    frame = parsed(0, Picture(b"data", captured_at=np.int64(7), boxes=[("cat", np.array([1, 2, 3, 4]))])).frame  # type: ignore[arg-type, list-item]

    assert (frame.captured_at, frame.boxes) == (7, (TrueBox("cat", Box(1, 2, 3, 4)),))


def test_pixels_become_what_a_png_of_them_becomes() -> None:
    grey = RGB[..., 0]
    deep = grey.astype(np.uint16) * 257

    for pixels in (RGB, RGB[::2, ::-1], np.asfortranarray(RGB), grey, grey[:, ::3]):
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
        png = cv2.imencode(".png", np.ascontiguousarray(bgr))[1].tobytes()
        assert np.array_equal(pixels_of(pixels), pixels_of(png))
    assert np.array_equal(pixels_of(deep, 16), pixels_of(cv2.imencode(".png", deep)[1].tobytes(), 16))
    assert np.array_equal(pixels_of(deep.astype(">u2"), 16), pixels_of(deep, 16))


def test_pictures_of_pillow_become_what_their_pixels_become() -> None:
    assert np.array_equal(pixels_of(Image.fromarray(RGB)), RGB)
    assert np.array_equal(pixels_of(Image.fromarray(RGB).convert("RGBA")), RGB)
    assert np.array_equal(pixels_of(Image.fromarray(RGB[..., 1])), pixels_of(RGB[..., 1]))


def test_an_array_that_changes_later_is_sent_as_it_was() -> None:
    pixels = RGB.copy()
    record = record_of(0, pixels)
    pixels[:] = 0

    assert isinstance(record, Record)
    assert record.value == RGB.tobytes()


@pytest.mark.parametrize(
    ("item", "reason", "advice"),
    [
        (None, "not-a-picture", "None is not a picture: give encoded bytes"),
        (5, "not-a-picture", "an int is not a picture"),
        ((b"data", 3), "not-a-picture", "worker.Picture(data, label=...)"),
        (b"", "empty", "give the whole picture"),
        ("nowhere.jpg", "unreadable", "nowhere.jpg cannot be read (No such file or directory)"),
        ("null\0.jpg", "unreadable", "give the path of a picture"),
        (Path(), "unreadable", "worker.read(folder)"),
        (np.zeros((0, 4, 3), np.uint8), "empty", "(height, width, 3)"),
        (RGB.astype(np.float32) / 255, "unsupported", "(array * 255).round().astype('uint8')"),
        (RGB.astype(np.int64), "unsupported", "give uint8 from 0 to 255"),
        (RGB.transpose(2, 0, 1), "unsupported", "array.transpose(1, 2, 0)"),
        (RGB[..., :1], "unsupported", "array[..., 0]"),
        (RGB[..., :2], "unsupported", "in the order RGB"),
        (np.dstack([RGB, RGB[..., 0]]), "unsupported", "array[..., :3]"),
        (RGB[None], "unsupported", "one picture as (height, width, 3)"),
        (np.zeros(12, np.uint8), "unsupported", "one picture as (height, width, 3)"),
        (RGB[..., 0] > 100, "unsupported", "give uint8 from 0 to 255"),
        (Image.new("P", (4, 4)), "unsupported", "mode 'P'"),
        (Image.new("CMYK", (4, 4)), "unsupported", "picture.convert('RGB')"),
        (Image.new("I;16", (4, 4)), "unsupported", "picture.convert('RGB')"),
    ],
)
def test_what_is_no_picture_is_refused_with_advice(item: Any, reason: str, advice: str) -> None:
    found = refused(item)

    assert found.reason == reason
    assert advice in found.text
    assert refused(Picture(item, camera="gate", id="mine")).frame.id == "mine"


def test_a_file_that_pillow_cannot_decode_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.png"
    file.write_bytes(PNG(scene(300, 200))[:2000])
    with Image.open(file) as picture:
        found = refused(picture)

    assert found.reason == "not-a-picture"
    assert "Pillow cannot decode it" in found.text


def test_a_refused_result_says_why_it_has_no_classes() -> None:
    with pytest.raises(AttributeError, match=r"'4' was refused \(empty: .*isinstance\(result, worker\.Refused\)"):
        _ = refused(b"").classes  # type: ignore[attr-defined]


def result(offset: int) -> Refused:
    return Refused(FrameField(camera="c", id=str(offset), topic="t", partition=0, offset=offset), "empty", "")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2)])
def test_results_come_in_the_order_of_their_pictures(order: Sequence[int]) -> None:
    in_order = InOrder()

    assert [each.frame.offset for offset in order for each in in_order.add(result(offset))] == [0, 1, 2, 3]


def test_a_folder_is_read_with_or_without_labels(tmp_path: Path) -> None:
    for name in ("cat/10.png", "cat/9.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG(RGB))
    csv = tmp_path / "labels.csv"
    csv.write_text("file,label,camera-id,captured-at\n" + "".join(f"{n},fox,gate,{n[4]}\n" for n in NAMES))

    assert [(each.id, each.label) for each in read(tmp_path)] == [(name, None) for name in NAMES]
    assert [each.label for each in read(str(tmp_path), labels="folders")] == ["cat", "cat", "dog"]
    assert [(each.label, each.camera, each.captured_at) for each in read(tmp_path, labels=csv)] == [
        *[("fox", "gate", 9), ("fox", "gate", 1)],
        ("fox", "gate", 1),
    ]


NAMES = ("cat/9.png", "cat/10.png", "dog/1.png")


def test_what_cannot_be_read_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no pictures"):
        read(tmp_path)
    with pytest.raises(SettingsError, match="does not exist: give a folder"):
        read(tmp_path / "nowhere")
    video = tmp_path / "clip.mp4"
    video.touch()
    with pytest.raises(SettingsError, match="leave them out"):
        read(video, labels="folders")
