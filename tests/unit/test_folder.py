import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.boxes import Box, TrueBox
from worker.domain.errors import SettingsError, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.media.folder import read_folder, write_recording

START = EventMillis(1_700_000_000_000)

# Whatever a header may carry: any text that UTF-8 can write.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    ['a,"b"', "two\r\nlines", "\r", "\n", "\ufeffmark", " ", "'", "=1+1", "\0"]
)
sides = st.floats(0, 1e6, width=32)
boxes = st.builds(lambda left, top: Box(left, top, left + 1, top + 2), sides, sides)
captured_frames = st.builds(
    CapturedFrame,
    camera=texts,
    data=st.binary(max_size=20),
    captured_at=st.integers(0, 2**63 - 1).map(EventMillis),
    content_type=st.none() | st.sampled_from(["image/jpeg", "image/png", "image/webp", "image/x-raw"]) | texts,
    frame_id=st.none() | texts,
    label=st.none() | texts,
    boxes=st.none() | st.lists(st.builds(TrueBox, texts, boxes), max_size=3).map(tuple),
)


def a_folder(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return root


def a_csv(root: Path, text: str, encoding: str = "utf-8") -> Path:
    file = root / "labels.csv"
    file.write_text(text, encoding=encoding)
    return file


def faults_of(folder: Path, labels: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_folder(folder, start=START, rate=10, labels=labels)
    return [fault.removeprefix(f"{labels}:") for fault in caught.value.faults]


@given(st.lists(captured_frames, min_size=1, max_size=5))
def test_a_recording_comes_back_as_it_was(frames: list[CapturedFrame]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "recording")
        labels = write_recording(folder, frames)
        assert list(read_folder(folder, start=EventMillis(0), rate=1, labels=labels)) == frames


def test_a_recording_is_never_mixed_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not an empty folder"):
        write_recording(a_folder(tmp_path, "old.jpg"), [])
    assert [file.name for file in tmp_path.iterdir()] == ["old.jpg"]


def test_pictures_come_in_natural_order_with_their_bytes_and_times(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "yard", "img10.jpg", "img2.PNG", "img1.webp", "img01.webp", "notes.txt")
    frames = list(read_folder(folder, start=START, rate=3))
    assert [frame.data for frame in frames] == [b"img01.webp", b"img1.webp", b"img2.PNG", b"img10.jpg"]
    assert [frame.content_type for frame in frames] == ["image/webp", "image/webp", "image/png", "image/jpeg"]
    assert [frame.captured_at - START for frame in frames] == [0, 333, 667, 1000]
    assert {(frame.camera, frame.label, frame.frame_id) for frame in frames} == {("yard", None, None)}


def test_a_sub_folder_is_the_label_of_all_below_it(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "cat/1.jpg", "cat/near/2.jpg", "dog/3.jpg", "4.jpg")
    labels = {frame.data.decode(): frame.label for frame in read_folder(folder, start=START, rate=1)}
    assert labels == {"cat/1.jpg": "cat", "cat/near/2.jpg": "cat", "dog/3.jpg": "dog", "4.jpg": None}


def test_a_row_wins_over_the_sub_folder_and_an_empty_cell_means_none(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "cat/1.jpg", "cat/2.jpg", "cat/3.jpg")
    labels = a_csv(tmp_path, "file,label,frame-id\ncat/1.jpg,tabby,a\ncat/2.jpg,,\n", "utf-8-sig")
    frames = list(read_folder(folder, start=START, rate=1, labels=labels))
    assert [(frame.label, frame.frame_id) for frame in frames] == [("tabby", "a"), (None, None), ("cat", None)]


@pytest.mark.parametrize(("option", "expected"), [(None, ["gate", "yard"]), ("roof", ["roof", "roof"])])
def test_the_camera_is_the_option_else_the_rows_else_the_folders(
    tmp_path: Path, option: str | None, expected: list[str]
) -> None:
    folder = a_folder(tmp_path / "yard", "1.jpg", "2.jpg")
    labels = a_csv(tmp_path, "file,label,camera-id\n1.jpg,,gate\n2.jpg,,\n")
    frames = read_folder(folder, start=START, rate=1, labels=labels, camera=option)
    assert [frame.camera for frame in frames] == expected


def test_every_fault_of_the_rows_is_told_with_its_line(tmp_path: Path) -> None:
    labels = a_csv(
        a_folder(tmp_path, "1.jpg", "2.jpg", "3.jpg"),
        'file,label,captured-at\n1.jpg,"two\nlines",noon\nlost.jpg,cat,1\n\n1.jpg,cat,-1\n2.jpg,cat\n2.jpg,cat,9e9\n',
    )
    assert faults_of(tmp_path, labels) == [
        "3: captured-at is 'noon': it must be milliseconds since the epoch, in decimal digits",
        "4: no picture 'lost.jpg' below the folder",
        "6: '1.jpg' has a row already",
        "6: captured-at is '-1': it must be milliseconds since the epoch, in decimal digits",
        "7: 2 cells under 3 columns",
        "8: captured-at is '9e9': it must be milliseconds since the epoch, in decimal digits",
        " captured-at is needed for every picture, but '3.jpg' has no row",
    ]


@pytest.mark.parametrize("at", ["", " 1", "1.0", "٣", "1_000", str(2**63), "9" * 5000])
def test_a_capture_time_is_a_number_that_kafka_can_carry(tmp_path: Path, at: str) -> None:
    labels = a_csv(a_folder(tmp_path, "1.jpg"), f"file,label,captured-at\n1.jpg,,{at}\n")
    (fault,) = faults_of(tmp_path, labels)
    assert fault.startswith("2: captured-at is ")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", "1: no column file and no column label: the first line names the columns"),
        ("file", "1: no column label: the first line names the columns"),
        (
            "file,label,colour",
            "1: unknown column 'colour': known are file, label, camera-id, frame-id, captured-at, co",
        ),
        ("file,label,label", "1: a column is named twice"),
    ],
)
def test_a_wrong_header_is_told(tmp_path: Path, header: str, fault: str) -> None:
    (told,) = faults_of(a_folder(tmp_path, "1.jpg"), a_csv(tmp_path, header))
    assert told.startswith(fault)


def test_a_csv_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, "1.jpg")
    (missing,) = faults_of(folder, tmp_path / "lost.csv")
    assert missing.endswith("lost.csv cannot be read: No such file or directory")
    (latin,) = faults_of(folder, a_csv(tmp_path, "file,label\n1.jpg,caf\u00e9\n", "latin-1"))
    assert "is not a CSV file in UTF-8" in latin
    (huge,) = faults_of(folder, a_csv(tmp_path, f"file,label\n1.jpg,{'x' * (csv.field_size_limit() + 1)}\n"))
    assert "is not a CSV file in UTF-8" in huge


def test_a_picture_that_went_away_is_told(tmp_path: Path) -> None:
    frames = read_folder(a_folder(tmp_path, "1.jpg", "2.jpg"), start=START, rate=1)
    next(frames)
    (tmp_path / "2.jpg").unlink()
    with pytest.raises(SourceLost, match=r"2\.jpg cannot be read: No such file"):
        next(frames)


def test_no_pictures_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="has no pictures"):
        read_folder(a_folder(tmp_path, "notes.txt"), start=START, rate=1)
    with pytest.raises(SettingsError, match="is not a folder"):
        read_folder(tmp_path / "lost", start=START, rate=1)
