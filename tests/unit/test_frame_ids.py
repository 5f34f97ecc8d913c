"""The ids of pictures that `produce` sends: their files' names, and no two of a camera the same."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.frame_ids import named_once
from worker.local.opening import open_sources
from worker.local.pacing import interleave, timeline
from worker.local.sources import Kind, Source
from worker.media.folder import write_recording
from worker.media.jpeg import JpegEncoder


def sent(*folders: Path, rounds: int = 1, labels: Path | None = None, camera: str | None = None) -> list[str | None]:
    """Return the ids of what `produce` sends of these folders, in order."""
    sources = [Source(Kind.FOLDER, folder, camera) for folder in folders]
    opened = open_sources(
        sources, JpegEncoder(90, 1.0), rate=10, rounds=rounds, labels=labels, realtime=False, give_up_after=None
    )
    due = interleave([timeline(read, 10, rounds=rounds) for read in opened.scheduled])
    return [frame.frame_id for frame in named_once(each.frame for each in due)]


def a_folder(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture")
    return folder


def of(*frames: tuple[str, str | None]) -> Sequence[str | None]:
    made = (CapturedFrame(camera, b"", EventMillis(0), frame_id=name) for camera, name in frames)
    return [frame.frame_id for frame in named_once(made)]


def test_a_picture_is_named_after_its_path_below_the_folder(tmp_path: Path) -> None:
    assert sent(a_folder(tmp_path, "2.jpg", "10.jpg", "cat/1.png")) == ["2.jpg", "10.jpg", "cat/1.png"]


def test_each_round_of_a_folder_has_ids_of_its_own(tmp_path: Path) -> None:
    found = sent(a_folder(tmp_path, "1.jpg", "2.jpg"), rounds=3)

    assert found == ["1.jpg", "2.jpg", "1.jpg#2", "2.jpg#2", "1.jpg#3", "2.jpg#3"]


def test_folders_of_one_camera_have_different_ids_and_those_of_two_cameras_need_not(tmp_path: Path) -> None:
    folders = [a_folder(tmp_path / name, "1.jpg") for name in ("a", "b")]

    assert sent(*folders) == ["1.jpg", "1.jpg"]
    assert sent(*folders, camera="gate") == ["1.jpg", "1.jpg#2"]


def test_an_id_that_was_recorded_is_kept(tmp_path: Path) -> None:
    frames = [CapturedFrame("a", b"1", EventMillis(0), frame_id=name) for name in ("first", None)]
    recorded = write_recording(tmp_path / "recorded", frames)

    assert sent(recorded.parent, labels=recorded) == ["first", "00000001.jpg"]


def test_a_long_name_keeps_its_end(tmp_path: Path) -> None:
    (name,) = sent(a_folder(tmp_path, "/".join(["x" * 200] * 3 + ["1.jpg"])))

    assert name
    assert name.endswith("xxx/1.jpg")


@pytest.mark.parametrize("name", ["é" * 400, "a" * 400])
def test_two_that_are_cut_to_the_same_stay_different(name: str) -> None:
    first, second = of(("a", name), ("a", name))

    assert first != second


def test_a_number_that_is_taken_is_passed_over() -> None:
    frames = [("a", "x"), ("a", "x#2"), ("a", "x"), ("b", "x"), ("a", "x"), ("a", None)]

    assert of(*frames) == ["x", "x#2", "x#3", "x", "x#4", None]
