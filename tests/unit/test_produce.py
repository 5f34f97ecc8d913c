"""Pacing as arithmetic, and the command against the brokers inside librdkafka."""

import json
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from tests.support.mjpeg import MjpegCamera
from worker.cli.produce import produce
from worker.domain.errors import DeliveryFailed, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.pacing import Reader, interleave, is_late, retry_delay, thin, timeline
from worker.media.folder import write_recording

BROKER = ("-b", "unused:9092", "-X", "test.mock.num.brokers=1", "-X", "allow.auto.create.topics=true")


def taken_at(*millis: int, camera: str = "cam") -> Reader:
    return lambda: [CapturedFrame(camera, b"picture", EventMillis(at)) for at in millis]


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(produce)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures of two cameras, 20 ms apart."""
    frames = [CapturedFrame("ab"[at % 2], b"1234", EventMillis(5_000 + 20 * at), label="cat") for at in range(6)]
    return write_recording(tmp_path / "pictures", frames).parent


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 200 frames."""
    file = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    for _ in range(200):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return file


#   taken at      100 150 300            100 150 300
#   due            0  .05 .2  (mean .1)  .3  .35 .5
def test_frames_are_due_as_they_were_taken_and_rounds_follow_at_the_mean_distance() -> None:
    due = [each.seconds for each in timeline(taken_at(100, 150, 300), rounds=2)]
    assert due == pytest.approx([0, 0.05, 0.2, 0.3, 0.35, 0.5])


def test_a_rate_wins_over_the_times_of_capture() -> None:
    due = [each.seconds for each in timeline(taken_at(100, 150, 300), 4, rounds=2)]
    assert due == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, 1.25])


def test_a_frame_captured_before_its_predecessor_holds_nothing_up() -> None:
    late = taken_at(1_000, 1_200, 1_050, 1_100)
    due = [each.seconds for each in timeline(late, rounds=2)]
    assert due == pytest.approx([0, 0.2, 0.05, 0.1, 4 / 15, 7 / 15, 19 / 60, 11 / 30])
    other = taken_at(0, 40, 80, camera="other")
    assert len(list(interleave([timeline(late), timeline(other)]))) == 7


@pytest.mark.parametrize("reader", [taken_at(7), taken_at(7, 7)])
def test_a_source_without_any_distance_still_keeps_a_pace_for_ever(reader: Reader) -> None:
    due = [each.seconds for each in islice(timeline(reader, rounds=None), 1000)]
    assert due[-1] >= 49.9


def test_sources_are_merged_by_when_they_are_due() -> None:
    slow, fast = taken_at(0, 100, 200, camera="slow"), taken_at(9_000, 9_040, 9_080, 9_120, camera="fast")
    merged = list(interleave([timeline(slow), timeline(fast)]))
    assert [each.frame.camera for each in merged] == ["slow", "fast", "fast", "fast", "slow", "fast", "slow"]
    assert [each.seconds for each in merged] == sorted(each.seconds for each in merged)


def test_seconds_end_what_has_no_end() -> None:
    assert len(list(interleave([timeline(taken_at(0), 10, rounds=None)], seconds=2.0))) == 20


def test_a_source_that_fails_fails_the_merge() -> None:
    def broken() -> list[CapturedFrame]:
        raise SourceLost("gone")

    with pytest.raises(SourceLost):
        list(interleave([timeline(taken_at(1)), timeline(broken)]))


def test_a_lost_camera_is_opened_again_after_ever_longer_but_not_for_ever() -> None:
    assert [retry_delay(failures) for failures in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert retry_delay(1_000_000) == 30


def kept(arrivals: Sequence[float], rate: float | None) -> list[float]:
    return [arrived for arrived, keep in zip(arrivals, thin(arrivals, rate), strict=True) if keep]


def test_a_live_source_is_thinned_to_a_rate() -> None:
    assert kept([7.0, 7.25, 7.5, 7.75, 8.0, 8.25], 2) == [7.0, 7.5, 8.0]
    assert kept([7.0, 7.25, 7.5], None) == kept([7.0, 7.25, 7.5], 10) == [7.0, 7.25, 7.5]


def test_a_rate_between_those_of_the_camera_is_kept_on_average() -> None:
    assert len(kept([number / 30 for number in range(300)], 20)) == pytest.approx(200, abs=1)


def test_a_gap_is_not_made_up_for() -> None:
    assert kept([0.0, 10.0, 10.1, 10.2, 10.6, 10.7], 2) == [0.0, 10.0, 10.1, 10.6]


#   frames every 0.1 s; the frame due at 5.0
@pytest.mark.parametrize(("now", "shown"), [(5.1, 4.9), (7.0, 6.1)])
def test_a_played_frame_is_late_when_the_next_is_due(now: float, shown: float) -> None:
    assert is_late(5.0, now, 0.1, shown)


@pytest.mark.parametrize(("now", "shown"), [(4.9, 4.9), (5.09, 4.9), (7.0, 6.0)])
def test_a_played_frame_is_shown_in_time_and_late_if_none_was_shown_for_a_second(now: float, shown: float) -> None:
    assert not is_late(5.0, now, 0.1, shown)


def test_the_summary_counts_what_the_broker_confirmed(pictures: Path) -> None:
    labels = str(pictures / "frames.csv")
    result = run(str(pictures), "--labels", labels, "--loop", "2", "--json", *BROKER)
    assert result.exception is None
    told = json.loads(result.stdout)
    assert told["cameras"] == {"a": 6, "b": 6}
    assert (told["frames"], told["bytes"], told["confirmed"]) == (12, 48, True)
    # 0.22 s by plan; never faster, however slow the machine.
    assert told["seconds"] >= 0.22
    assert told["frames_per_second"] <= 50


def test_every_source_is_read_under_its_own_camera(pictures: Path) -> None:
    again = str(pictures)
    result = run(again, again, "--camera", "x", "--camera", "y", "--rate", "100", "-n", "10", "--json", *BROKER)
    assert json.loads(result.stdout)["cameras"] == {"x": 5, "y": 5}


def test_a_camera_and_a_folder_are_sent_together(pictures: Path) -> None:
    with MjpegCamera([40], interval=0.02) as camera:
        result = run(camera.address, str(pictures), "--give-up-after", "0", "--json", *BROKER)
    told, name = json.loads(result.stdout), f"127.0.0.1-{camera.port}-live-main"
    assert told["cameras"] == {"pictures": 6, name: 40 - told["dropped"][name]}
    assert told["dropped"].keys() == {name}
    assert told["reconnects"] == {name: 0}


def test_what_was_dropped_is_told_to_people(clip: Path) -> None:
    result = run(str(clip), "--realtime", "--rate", "2000", *BROKER)
    first, *cameras = result.stdout.splitlines()
    dropped = int(re.findall(r"(\d+) dropped", first)[0])
    assert re.match(rf"{200 - dropped} frames, .* from 1 camera to topic 'frames': all confirmed", first)
    assert cameras == [f"clip: frames dropped: {dropped}, reconnects: 0"]


def test_a_camera_that_is_given_up_is_a_failure() -> None:
    with MjpegCamera([]) as camera:
        result = run(camera.address, "--give-up-after", "0", "--json", *BROKER)
    assert isinstance(result.exception, SourceLost)
    assert str(result.exception).startswith(f"given up: {camera.address} cannot be opened: is the camera on")
    assert json.loads(result.stdout)["frames"] == 0


def test_an_unconfirmed_frame_is_a_failure(pictures: Path) -> None:
    slow = ("-X", "test.mock.broker.rtt=1000", "-X", "message.timeout.ms=300")
    result = run(str(pictures), "-n", "1", *BROKER, *slow)
    assert isinstance(result.exception, DeliveryFailed)
    assert "NOT all confirmed" in result.stdout


def test_a_missing_topic_is_told_before_anything_is_sent(pictures: Path) -> None:
    result = run(str(pictures), "--topic", "nowhere", *BROKER, "-X", "allow.auto.create.topics=false")
    assert isinstance(result.exception, DeliveryFailed)
    assert str(result.exception) == ("topic 'nowhere' does not exist; create the topic with vision-worker topics apply")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "'nowhere' is neither a folder, nor a file, nor a device number, nor an address"),
        (["rtsp://cam/?channel=1", "rtsp://cam/?channel=2"], "several sources would be camera 'cam'"),
        (["PICTURES", "--scale", "0.5"], "the pictures of a folder are sent as they are"),
        (["0", "--scale", "1.5"], "it is a factor above 0 and at most 1"),
        (["0", "--scale", "nan"], "it is a factor above 0 and at most 1"),
        (["0", "--scale", "0"], "it is a factor above 0 and at most 1"),
        (["PICTURES", "--realtime"], "it is for video files, and no source is one"),
        (["CLIP", "--realtime", "--keep-times"], "the capture time is the time of playing"),
        (["0", "--keep-times"], "a live source has no recorded times"),
        (["0", "--loop", "2"], "a live source is never at its end"),
        (["CLIP", "--give-up-after", "5"], "it is for live sources, and no source is one"),
        (["PICTURES", "--loop", "0"], "'0' is neither a number above 0 nor 'forever'"),
        (["PICTURES", "--camera", "a", "--camera", "b"], "give it once for each SOURCE"),
        (["PICTURES", "PICTURES", "--labels", "x.csv"], "it describes one folder"),
        (["PICTURES", "--keep-times", "--loop", "2"], "a repetition would go back in time"),
        (["PICTURES", "-X", "acks"], "'acks' is not NAME=VALUE"),
    ],
)
def test_a_wrong_command_line_is_told(pictures: Path, clip: Path, arguments: list[str], told: str) -> None:
    files = {"PICTURES": str(pictures), "CLIP": str(clip)}
    result = run(*(files.get(word, word) for word in arguments), *BROKER)
    assert result.exit_code == 2
    assert told in said(result)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://user:secret",
        "rtsp://user:se/cret@camera/live",
        "rtsp://user:1/secret@camera/live",
        "rtsp://user:se@secret@camera/live",
        "rtsp://user:secret@/live",
        "rtmp://user:secret@camera/live",
        "user:secret@camera/live",
    ],
)
def test_a_wrong_address_is_told_without_its_password(source: str) -> None:
    result = run(source, *BROKER)
    assert result.exit_code == 2
    assert "SOURCE" in said(result)
    assert "secret" not in result.output


def said(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())
