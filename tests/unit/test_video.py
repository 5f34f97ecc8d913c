from collections.abc import Generator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from worker.domain.errors import SettingsError, SourceLost
from worker.domain.times import EventMillis
from worker.media.jpeg import JpegEncoder
from worker.media.video import read_video, video_frames

START = EventMillis(1_700_000_000_000)
FRAMES, RATE = 60, 20.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that grows brighter by 4 from frame to frame."""
    file = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48))
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), 4 * number, np.uint8))
    writer.release()
    return file


def brightness(jpeg: bytes) -> float:
    return float(np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)).mean())


def test_every_frame_comes_as_jpeg_in_order_at_its_position(clip: Path) -> None:
    frames = list(read_video(clip, camera="street", start=START, label="bus"))
    assert [frame.captured_at for frame in frames] == [START + 50 * number for number in range(FRAMES)]
    assert [brightness(frame.data) for frame in frames] == pytest.approx(
        [4 * number for number in range(FRAMES)], abs=2
    )
    assert {(frame.camera, frame.label, frame.content_type) for frame in frames} == {("street", "bus", "image/jpeg")}


def test_a_rate_stretches_time_and_drops_nothing(clip: Path) -> None:
    frames = list(read_video(clip, camera="street", start=START, rate=3))
    assert len(frames) == FRAMES
    assert [frame.captured_at - START for frame in frames[:4]] == [0, 333, 667, 1000]


def test_quality_is_the_jpegs(clip: Path) -> None:
    poor, good = (next(read_video(clip, camera="c", start=START, encode=JpegEncoder(quality))) for quality in (5, 95))
    assert len(poor.data) < len(good.data)


def test_a_frame_is_skipped_without_converting_it(clip: Path) -> None:
    shown = {frame.position: frame.pixels() for frame in video_frames(clip) if frame.position in {0.5, 1.0}}
    assert [round(float(np.asarray(pixels).mean())) for pixels in shown.values()] == pytest.approx([40, 80], abs=2)


@pytest.mark.parametrize("kept", [0.28, 0.6])
def test_a_video_cut_short_is_told_after_what_it_still_holds(clip: Path, tmp_path: Path, kept: float) -> None:
    whole, cut = clip.read_bytes(), tmp_path / "cut.avi"
    cut.write_bytes(whole[: int(len(whole) * kept)])
    frames = read_video(cut, camera="c", start=START)
    with pytest.raises(SourceLost, match=rf"cut.avi ends after \d+ of {FRAMES} frames"):
        list(frames)


def test_a_video_without_frames_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.avi"
    cv2.VideoWriter(str(empty), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48)).release()
    with pytest.raises(SourceLost, match=r"empty\.avi"):
        next(read_video(empty, camera="c", start=START))


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(SourceLost, match=r"notes\.mp4 cannot be opened"):
        next(read_video(text, camera="c", start=START))
    with pytest.raises(SourceLost, match="there is no video file"):
        next(read_video(tmp_path / "lost.mp4", camera="c", start=START))


def test_a_rate_that_says_nothing_is_told(clip: Path) -> None:
    with pytest.raises(SettingsError, match="no frame rate"):
        next(read_video(clip, camera="c", start=START, rate=float("nan")))


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def test_the_file_is_let_go_when_reading_stops_early(clip: Path) -> None:
    frames = read_video(clip, camera="c", start=START)
    assert len(list(islice(frames, 3))) == 3
    assert str(clip) in open_files()
    assert isinstance(frames, Generator)
    frames.close()
    assert str(clip) not in open_files()
