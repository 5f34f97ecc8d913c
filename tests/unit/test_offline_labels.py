"""Which sub-folders are labels: those named after classes of the model, if most are."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from worker.cli.offline import labelled_by_folder, open_source
from worker.media.folder import list_folder

CLASSES = ("cat", "dog", "fox", "7")


def fill(folder: Path, names: Collection[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("names", "labels", "note"),
    [
        (["cat/1.jpg", "dog/a/1.jpg"], {"cat/1.jpg": "cat", "dog/a/1.jpg": "dog"}, "labels: the sub-folders, because"),
        (["7/1.jpg"], {"7/1.jpg": "7"}, "labels: the sub-folders, because"),
        (
            ["cat/1.jpg", "1/1.jpg", "top.jpg"],
            {"cat/1.jpg": "cat", "1/1.jpg": None, "top.jpg": None},
            "labels: 1 of 2 sub-folders; not named after a class of the model: '1'",
        ),
        (
            ["cat/1.jpg", "1/1.jpg", "2/1.jpg"],
            dict.fromkeys(["cat/1.jpg", "1/1.jpg", "2/1.jpg"]),
            "labels: none, because only 1 of 3 sub-folders are named after classes of the model, and not '1', '2'; ",
        ),
        (["2/1.jpg"], {"2/1.jpg": None}, "labels: none, because only 0 of 1 sub-folders"),
        (["a/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg"], dict.fromkeys(f"{n}/1.jpg" for n in "abcd"), "'c', ...; name"),
        (["1.jpg"], {"1.jpg": None}, ""),
    ],
)
def test_sub_folders_are_labels_if_most_are_classes(
    names: list[str], labels: Mapping[str, str | None], note: str, tmp_path: Path
) -> None:
    fill(tmp_path, names)
    listed, said = labelled_by_folder(list_folder(tmp_path), CLASSES)

    assert {each.name: each.label for each in listed} == labels
    assert note in said
    assert bool(note) == bool(said)


def test_frames_are_named_after_their_files(tmp_path: Path) -> None:
    long = f"{'x' * 200}/{'y' * 200}.png"
    fill(tmp_path, ["cat/10.jpg", "cat/9.jpg", long])
    found = open_source(tmp_path, labels=None, camera=None, rate=25.0, classes=CLASSES)

    assert [each.frame_id for each in found.frames()] == ["cat/9.jpg", "cat/10.jpg", long[-256:]]
    assert [each.frame_id for each in found.frames()] == ["cat/9.jpg", "cat/10.jpg", long[-256:]]
    assert found.count == 3


def test_a_csv_says_all_of_labels_names_and_cameras(tmp_path: Path) -> None:
    fill(tmp_path, ["2/1.jpg", "2/2.jpg"])
    csv = tmp_path / "labels.csv"
    csv.write_text("file,label,frame-id,camera-id\n2/1.jpg,3,first,gate\n2/2.jpg,,,\n")
    found = open_source(tmp_path, labels=csv, camera=None, rate=25.0, classes=CLASSES)

    assert [(each.label, each.frame_id) for each in found.frames()] == [("3", "first"), (None, "2/2.jpg")]
    assert (found.note, found.alone) == ("", None)


def test_a_recording_that_is_not_read_is_named(tmp_path: Path) -> None:
    fill(tmp_path, ["1.jpg", "frames.csv"])
    found = open_source(tmp_path, labels=None, camera=None, rate=25.0, classes=CLASSES)

    assert found.note.endswith(f"to take its labels, add --labels {tmp_path / 'frames.csv'}")


def test_pictures_without_a_camera_are_alone(tmp_path: Path) -> None:
    fill(tmp_path, ["1.jpg", "2.jpg"])

    assert open_source(tmp_path, labels=None, camera=None, rate=25.0, classes=()).alone == ["1.jpg", "2.jpg"]
    assert open_source(tmp_path, labels=None, camera="gate", rate=25.0, classes=()).alone is None
