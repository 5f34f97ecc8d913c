"""Live sources, read from a camera of the tests' own over HTTP."""

import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import cv2
import pytest

from tests.support.mjpeg import HEIGHT, WIDTH, MjpegCamera, colours_of, draw, number_of
from worker.adapters.clocks import wall_clock
from worker.domain.errors import SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.live import FRAMES_KEPT, Camera, Live, LiveFeeds, Playback, frames_in_time
from worker.local.pacing import interleave, retry_delay, timeline
from worker.media.jpeg import JpegEncoder
from worker.media.live import SILENCE_LIMIT, libraries_for_live, read_live

NO_DEVICE = 97
PLAYED, RATE = 60, 100.0


@pytest.fixture(autouse=True)
def live_libraries() -> Iterator[None]:
    with libraries_for_live():
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of numbered frames."""
    file = tmp_path_factory.mktemp("video") / "clip.avi"
    write_video(file, PLAYED)
    return file


def write_video(file: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for number in range(frames):
        writer.write(draw(number))
    writer.release()


def watch(camera: MjpegCamera, name: str = "gate", give_up_after: float | None = None) -> Camera:
    return Camera(name, partial(read_live, camera.address), give_up_after=give_up_after)


def feeds_of(*sources: Live) -> LiveFeeds:
    return LiveFeeds(sources, JpegEncoder())


def frames_of(feeds: LiveFeeds) -> Iterator[CapturedFrame]:
    return frames_in_time(iter(()), feeds, seconds=60)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_frames_arrive_in_order_in_their_colours_until_the_camera_is_lost() -> None:
    with MjpegCamera([30], user="user:secret") as camera:
        frames = read_live(camera.address.replace("//", "//user:secret@") + "?token=secret")
        jpegs = [JpegEncoder()(pixels()) for pixels in islice(frames, 30)]
        with pytest.raises(
            SourceLost, match=r"^http://127.0.0.1:\d+/live/main gives no more frames after 30: "
        ) as lost:
            next(frames)
    assert camera.requested == ["/live/main?token=secret"]
    assert [number_of(jpeg) for jpeg in jpegs] == list(range(30))
    left, right = colours_of(jpegs[7])
    assert left == pytest.approx([255, 0, 0], abs=8)
    assert right == pytest.approx([0, 0, 255], abs=8)
    assert "secret" not in str(lost.value)


def test_an_address_that_refuses_is_told_without_its_secrets() -> None:
    with MjpegCamera([]) as camera, pytest.raises(SourceLost, match="cannot be opened: is the camera on") as lost:
        next(read_live(camera.address.replace("//", "//user:secret@") + "?token=secret"))
    assert "secret" not in str(lost.value)


def test_a_device_that_is_not_there_is_told() -> None:
    with pytest.raises(
        SourceLost, match=f"capture device {NO_DEVICE} cannot be opened: is /dev/video{NO_DEVICE} plugg"
    ):
        next(read_live(NO_DEVICE))


def test_a_lost_camera_is_opened_again_after_the_delays() -> None:
    with MjpegCamera([8, 0, 8], interval=0.02) as camera, feeds_of(watch(camera)) as feeds:
        frames: dict[int, CapturedFrame] = {}
        for frame in frames_of(feeds):
            frames[number_of(frame.data)] = frame
            if 15 in frames:
                break
        assert list(frames) == sorted(frames)
        assert len(frames) + feeds.dropped["gate"] == 16
        assert feeds.reconnects == {"gate": 1}
    before, after = max(set(frames) & set(range(8))), min(set(frames) & set(range(8, 16)))
    gap = frames[after].captured_at - frames[before].captured_at
    assert gap >= 1000 * (retry_delay(1) + retry_delay(2))


def test_a_camera_that_is_off_at_first_is_waited_for() -> None:
    with MjpegCamera([0, 5], interval=0.02) as camera, feeds_of(watch(camera)) as feeds:
        first = next(frames_of(feeds))
        assert number_of(first.data) < 5
        assert feeds.reconnects == {"gate": 0}


def test_a_slow_taker_gets_the_newest_frames_and_the_rest_is_counted() -> None:
    with MjpegCamera([60]) as camera, feeds_of(watch(camera)) as feeds:
        wait_until(lambda: feeds.dropped["gate"] == 60 - FRAMES_KEPT)
        frames = list(islice(frames_of(feeds), FRAMES_KEPT))
    numbers = [number_of(frame.data) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 59
    assert [frame.camera for frame in frames] == ["gate"] * FRAMES_KEPT


def test_a_silent_camera_delays_no_other() -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{silent.getsockname()[1]}/live"
    dead = Camera("dead", partial(read_live, address))
    began = time.monotonic()
    with MjpegCamera([50, 50], interval=0.02, hold=True) as camera, feeds_of(dead, watch(camera)) as feeds:
        frames = list(islice(frames_of(feeds), 10))
        taken = time.monotonic() - began
        silent.close()  # lets go who waits for it
    assert {frame.camera for frame in frames} == {"gate"}
    assert taken < SILENCE_LIMIT
    assert feeds.dropped.keys() == {"dead", "gate"}


def test_a_camera_is_given_up_and_the_others_go_on() -> None:
    with MjpegCamera([20], interval=0.02) as camera, MjpegCamera([]) as off:
        dead, gate = watch(off, "dead", give_up_after=0), watch(camera, give_up_after=0)
        with feeds_of(dead, gate) as feeds:
            frames = list(frames_of(feeds))
        assert {frame.camera for frame in frames} == {"gate"}
        assert len(frames) + feeds.dropped["gate"] == 20
        assert [str(failure).partition(": ")[0] for failure in feeds.failures] == [
            f"{off.address} cannot be opened",
            f"{camera.address} gives no more frames after 20",
        ]


def test_scheduled_frames_come_when_they_are_due_among_live_ones() -> None:
    taken = [CapturedFrame("file", b"picture", EventMillis(100 * number)) for number in range(5)]
    began = wall_clock()
    with MjpegCamera([100], interval=0.01) as camera, feeds_of(watch(camera, give_up_after=0)) as feeds:
        schedule = interleave([timeline(lambda: taken)])
        frames = [(frame.camera, frame.captured_at) for frame in frames_in_time(schedule, feeds)]
    times = [at for name, at in frames if name == "file"]
    assert len(times) == 5
    assert times[-1] - began >= 399
    assert len(frames) - 5 + feeds.dropped["gate"] == 100


def test_recorded_times_are_kept_if_asked_for() -> None:
    taken = [CapturedFrame("file", b"picture", EventMillis(7 * number)) for number in range(3)]
    with feeds_of() as feeds:
        frames = list(frames_in_time(interleave([timeline(lambda: taken)]), feeds, keep_times=True))
    assert frames == taken


def test_a_video_is_played_in_real_time(clip: Path) -> None:
    began = wall_clock()
    with feeds_of(Playback("clip", clip, rounds=2)) as feeds:
        frames = list(frames_of(feeds))
    times = [frame.captured_at for frame in frames]
    assert len(frames) + feeds.dropped["clip"] == 2 * PLAYED
    assert all(before <= after for before, after in pairwise(times))
    numbers = [number_of(frame.data) for frame in frames]
    first = numbers.index(max(numbers)) + 1  # the last frame of the first round
    assert numbers == sorted(numbers[:first]) + sorted(numbers[first:])
    # Never faster than the file, in whole milliseconds.
    assert times[-1] - began >= (PLAYED + numbers[-1]) * 1000 / RATE - 1


def test_a_video_of_one_frame_keeps_a_pace_too(tmp_path: Path) -> None:
    still = tmp_path / "still.avi"
    write_video(still, 1)
    began = wall_clock()
    with feeds_of(Playback("still", still, rounds=4)) as feeds:
        frames = list(frames_of(feeds))
    assert len(frames) + feeds.dropped["still"] == 4
    assert wall_clock() - began >= 299


def test_a_video_that_cannot_be_played_is_told_to_who_takes_its_frames(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with feeds_of(Playback("clip", text)) as feeds, pytest.raises(SourceLost, match=r"notes\.mp4 cannot be opened"):
        list(frames_of(feeds))
