"""A stretch of a topic, written as a folder and read back."""

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support import pictures
from tests.support.frames import a_record
from worker.data.stretch import Guess, Written, write_stretch
from worker.domain.boxes import Box, TrueBox
from worker.domain.errors import SettingsError
from worker.domain.frames import CapturedFrame
from worker.domain.pictures import PictureRules
from worker.domain.records import Position, Record
from worker.domain.times import EventMillis
from worker.media.folder import read_folder

JPEG, PNG = (encode(pictures.scene(16, 12)) for encode in (pictures.JPEG, pictures.PNG))
BOX = b'[{"label": "cup", "box": [1, 2, 3, 4]}]'


def a_labelled(offset: int, label: str | None, value: bytes = JPEG, **headers: bytes) -> Record:
    named = {"label": label.encode()} if label else {}
    pairs = {name.replace("_", "-"): raw for name, raw in headers.items()}
    return a_record(
        offset, value=value, key=b"gate", headers=tuple({**named, **pairs}.items()), timestamp=1000 + offset
    )


def write(
    folder: Path, records: Iterable[Record], guesses: dict[Position, Guess] | None = None, *, by_class: bool = False
) -> Written:
    return write_stretch(
        folder, records, guesses or {}, by_class=by_class, rules=PictureRules(), now=EventMillis(10**13)
    )


def read(folder: Path) -> list[CapturedFrame]:
    return list(read_folder(folder, start=EventMillis(0), rate=1, labels=folder / "frames.csv"))


def test_frames_come_back_with_their_bytes_and_all_that_is_known(tmp_path: Path) -> None:
    records = [a_labelled(3, "cat"), a_labelled(7, None, PNG, captured_at=b"900", frame_id=b"seven", boxes=BOX)]
    written = write(tmp_path / "out", records, {records[1].position: Guess("dog", 0.75)})

    assert written == Written(frames=2, labelled=2, predicted=1)
    assert read(tmp_path / "out") == [
        CapturedFrame("gate", JPEG, EventMillis(1003), None, "frames-0-3", "cat"),
        CapturedFrame("gate", PNG, EventMillis(900), None, "seven", None, (TrueBox("cup", Box(1, 2, 3, 4)),)),
    ]
    with (tmp_path / "out" / "frames.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["file"], first["position"], first["predicted"]) == ("00000000.jpg", "frames[0]@3", "")
    assert (second["file"], second["predicted"], second["probability"]) == ("00000001.png", "dog", "0.75")


def test_by_class_only_labelled_frames_are_written(tmp_path: Path) -> None:
    written = write(tmp_path / "out", [a_labelled(0, "cat"), a_labelled(1, None), a_labelled(2, "dog")], by_class=True)

    assert (written.frames, written.unlabelled) == (2, 1)
    assert (tmp_path / "out" / "cat" / "00000000.jpg").read_bytes() == JPEG
    plain = read_folder(tmp_path / "out", start=EventMillis(0), rate=1)
    assert [each.label for each in plain] == ["cat", "dog"] == [each.label for each in read(tmp_path / "out")]


def test_a_label_that_cannot_name_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"frames\[0\]@0 has the label 'a/b', which cannot name a folder"):
        write(tmp_path / "out", [a_labelled(0, "a/b")], by_class=True)
    assert write(tmp_path / "other", [a_labelled(0, "a/b")]).frames == 1


def test_what_is_no_frame_is_named_and_left_out(tmp_path: Path) -> None:
    records = [a_labelled(0, "cat", captured_at=b"soon"), a_labelled(1, "cat", b""), a_labelled(2, "cat")]
    written = write(tmp_path / "out", records)

    assert written.frames == 1
    first, second = written.refused
    assert first.startswith("frames[0]@0: header 'captured-at' is 'soon'")
    assert second == "frames[0]@1: the record has no picture"


def test_a_raw_picture_becomes_a_png_of_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    record = a_labelled(
        0,
        "cat",
        pixels[..., ::-1].tobytes(),
        pixel_format=b"bgr24",
        width=b"6",
        height=b"4",
        content_type=b"image/x-raw",
    )
    write(tmp_path / "out", [record])

    (frame,) = read(tmp_path / "out")
    assert frame.content_type == "image/png"
    found = cv2.imdecode(np.frombuffer(frame.data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    assert np.array_equal(found, pixels)


def test_nothing_is_mixed_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(b"")
    with pytest.raises(SettingsError, match="not an empty folder"):
        write(tmp_path, [a_labelled(0, "cat")])
