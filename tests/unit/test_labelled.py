"""Labelled data of class folders, of a CSV and of videos, and how they are read."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.labelled import a_picture, write_data
from worker.data.labelled import read_labelled
from worker.data.reading import hash_of, read_pictures
from worker.domain.boxes import Box, TrueBox
from worker.domain.errors import SettingsError
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.media.folder import write_recording
from worker.media.video_file import write_video


def test_a_picture_of_a_class_folder_is_a_group_of_its_own(tmp_path: Path) -> None:
    items = read_labelled(write_data(tmp_path, {"cat/1.png": 1, "cat/2.png": 2, "dog/1.png": 3}))

    assert [(each.name, each.label) for each in items] == [
        ("cat/1.png", "cat"),
        ("cat/2.png", "cat"),
        ("dog/1.png", "dog"),
    ]
    assert len({each.group for each in items}) == 3


def test_a_sub_folder_is_a_camera_also_across_classes(tmp_path: Path) -> None:
    names = ["cat/door/2.png", "cat/door/10.png", "dog/door/1.png", "dog/yard/1.png"]
    items = read_labelled(write_data(tmp_path, dict.fromkeys(names, 1)), rate=4)

    assert [each.group for each in items] == ["door", "door", "door", "yard"]
    assert [each.captured_at for each in items] == [0, 250, 0, 0]
    assert len({each.stream for each in items}) == 3


def test_a_picture_without_a_folder_has_no_label(tmp_path: Path) -> None:
    (item,) = read_labelled(write_data(tmp_path, {"1.png": 1}))

    assert item.label is None


def test_a_recording_gives_camera_time_label_and_boxes(tmp_path: Path) -> None:
    boxes = (TrueBox("cup", Box(1, 2, 3, 4)),)
    frame = CapturedFrame("door", a_picture(1), EventMillis(1500), "image/png", "7", "cat", boxes)
    write_recording(tmp_path / "seen", [frame, CapturedFrame("yard", a_picture(2), EventMillis(1600), "image/png")])

    first, second = read_labelled(tmp_path / "seen")

    assert (first.group, first.captured_at, first.label, first.boxes) == ("door", 1500, "cat", boxes)
    assert (second.group, second.label, second.boxes) == ("yard", None, None)
    assert read_labelled(tmp_path / "seen" / "frames.csv") == [first, second]


def test_without_a_camera_in_the_csv_the_folder_of_a_file_is_its_group(tmp_path: Path) -> None:
    write_data(tmp_path, {"door/1.png": 1, "2.png": 2})
    (tmp_path / "frames.csv").write_text("file,label\ndoor/1.png,cat\n2.png,dog\n")

    items = read_labelled(tmp_path)

    assert [(each.name, each.group, each.label) for each in items] == [
        ("2.png", "2.png", "dog"),
        ("door/1.png", "door", "cat"),
    ]


def test_a_video_is_a_group_and_its_frames_have_times(tmp_path: Path) -> None:
    write_video(tmp_path / "data" / "left" / "street.mp4", _grey(6), rate=2)
    write_video(tmp_path / "data" / "right" / "street.mp4", _grey(3), rate=2)

    items = read_labelled(tmp_path / "data")

    assert [each.captured_at for each in items] == [0, 500, 1000, 1500, 2000, 2500, 0, 500, 1000]
    assert {each.group for each in items} == {"street"}
    assert [each.label for each in items] == ["left"] * 6 + ["right"] * 3
    assert items[2].name == "left/street.mp4#2"


def test_a_csv_may_name_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", _grey(2), rate=2)
    (tmp_path / "list.csv").write_text("file,label,camera-id,captured-at\na.mp4,still,door,9000\n")

    assert [(each.group, each.captured_at, each.label) for each in read_labelled(tmp_path / "list.csv")] == [
        ("door", 9000, "still"),
        ("door", 9500, "still"),
    ]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    write_data(tmp_path, {"a/1.png": 1})
    for name in ("x.mp4", "y.mp4"):
        (tmp_path / "a" / name).write_bytes(b"no video")

    with pytest.raises(SettingsError) as caught:
        read_labelled(tmp_path)

    assert [fault.split(" cannot")[0].rpartition("/")[2] for fault in caught.value.faults] == ["x.mp4", "y.mp4"]


def test_a_folder_without_pictures_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no pictures or videos: none of its files ends in .*\.mp4"):
        read_labelled(tmp_path)


def test_pictures_are_read_as_they_are_and_frames_as_jpeg(tmp_path: Path) -> None:
    write_data(tmp_path, {"a/1.png": 5})
    write_video(tmp_path / "b" / "v.mp4", _grey(4), rate=2)
    items = [each for each in read_labelled(tmp_path) if each.number in {None, 1, 3}]

    read = dict(read_pictures(items))

    assert read[items[0]] == a_picture(5)
    assert [(read[each] or b"")[:2] for each in items[1:]] == [b"\xff\xd8", b"\xff\xd8"]
    assert read[items[1]] != read[items[2]]


def test_what_is_gone_is_read_as_none(tmp_path: Path) -> None:
    write_data(tmp_path, {"a/1.png": 5, "a/2.png": 6})
    items = read_labelled(tmp_path)
    items[0].file.unlink()

    assert [data is None for _, data in read_pictures(items)] == [True, False]


def test_the_hash_changes_with_a_label_and_with_a_file_but_not_with_the_order(tmp_path: Path) -> None:
    one = read_labelled(write_data(tmp_path / "one", {"a/1.png": 1, "b/1.png": 2}))
    same = read_labelled(write_data(tmp_path / "same", {"b/1.png": 2, "a/1.png": 1}))
    swapped = read_labelled(write_data(tmp_path / "swapped", {"a/1.png": 2, "b/1.png": 1}))
    renamed = read_labelled(write_data(tmp_path / "renamed", {"a/1.png": 1, "c/1.png": 2}))

    assert hash_of(one) == hash_of(reversed(same))
    assert len({hash_of(each) for each in (one, swapped, renamed)}) == 3


def _grey(frames: int) -> list[NDArray[np.uint8]]:
    return [np.full((32, 32, 3), 40 * number, np.uint8) for number in range(frames)]
