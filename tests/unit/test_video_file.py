"""Written videos and pictures, read back."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import scene
from worker.domain.errors import SettingsError, SourceLost
from worker.media.picture_files import write_pictures
from worker.media.video_file import CODECS, frame_rate, write_video

Pixels = NDArray[np.uint8]

RED, GREEN, BLUE = (220, 30, 20), (30, 200, 40), (20, 40, 220)


def plain(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def read(file: Path) -> Sequence[Pixels]:
    video, frames = cv2.VideoCapture(str(file)), list[Pixels]()
    while True:
        more, bgr = video.read()
        if not more:
            return frames
        frames.append(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))


def test_every_frame_comes_back_in_order_with_its_colours(tmp_path: Path) -> None:
    colours = [RED, GREEN, BLUE, (255, 255, 255), (0, 0, 0)] * 4
    written = write_video(tmp_path / "new" / "out.mp4", map(plain, colours), rate=12.5)
    frames = read(tmp_path / "new" / "out.mp4")
    assert (written.frames, written.size) == (len(frames), (64, 48)) == (20, (64, 48))
    assert written.codec in CODECS
    for frame, colour in zip(frames, colours, strict=True):
        assert frame.shape == (48, 64, 3)
        assert np.abs(frame.mean(axis=(0, 1)) - colour).max() < 14
    assert frame_rate(tmp_path / "new" / "out.mp4") == pytest.approx(12.5)


@pytest.mark.parametrize("rate", [0.5, 1.0, 25.0, 30000 / 1001, 60.0])
def test_a_rate_is_kept(tmp_path: Path, rate: float) -> None:
    write_video(tmp_path / "out.mp4", [plain(RED)] * 5, rate=rate)
    assert frame_rate(tmp_path / "out.mp4") == pytest.approx(rate, rel=1e-3)
    assert len(read(tmp_path / "out.mp4")) == 5


def test_an_odd_side_becomes_a_pixel_longer_and_nothing_is_lost(tmp_path: Path) -> None:
    picture = scene(63, 47)
    written = write_video(tmp_path / "out.mp4", [picture] * 3, rate=25)
    (*_, last) = read(tmp_path / "out.mp4")
    assert written.size == (64, 48)
    assert last.shape == (48, 64, 3)
    assert np.abs(last[:47, :63].astype(int) - picture).mean() < 8


def broken(count: int) -> Iterator[Pixels]:
    yield from [plain(RED)] * count
    raise SourceLost("the source ends here")


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, count: int) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(SourceLost):
        write_video(tmp_path / "out.mp4", broken(count), rate=25)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"old"


def test_a_picture_of_another_size_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="picture 2 is"):
        write_video(tmp_path / "out.mp4", [plain(RED), plain(RED, 32, 48)], rate=25)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for file, pictures, rate, text in (
        (tmp_path / "out.mp4", [], 25.0, "there are no pictures"),
        (tmp_path / "out.mp4", [plain(RED)], 0.0, "give a rate above 0"),
        (tmp_path / "out.mp4", [plain(RED)], float("nan"), "give a rate above 0"),
        (tmp_path, [plain(RED)], 25.0, "is a folder"),
        (tmp_path / "file" / "out.mp4", [plain(RED)], 25.0, "cannot be written"),
    ):
        with pytest.raises(SettingsError, match=text):
            write_video(file, pictures, rate=rate)


def test_what_is_no_video_has_no_rate(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(SourceLost, match=r"notes\.mp4 cannot be opened"):
        frame_rate(tmp_path / "notes.mp4")


def test_pictures_are_numbered_and_keep_size_and_colours(tmp_path: Path) -> None:
    assert write_pictures(tmp_path / "out", [plain(RED), plain(BLUE, 33, 7)]) == 2
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["00000000.jpg", "00000001.jpg"]
    for file, colour, shape in zip(files, (RED, BLUE), ((48, 64, 3), (7, 33, 3)), strict=True):
        pixels = np.asarray(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB))
        assert pixels.shape == shape
        assert np.abs(pixels.mean(axis=(0, 1)) - colour).max() < 5


def test_pictures_are_not_mixed_with_others(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(SettingsError, match="is not an empty folder"):
            write_pictures(folder, [plain(RED)])
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
