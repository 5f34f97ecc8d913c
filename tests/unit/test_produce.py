"""Pacing as arithmetic, and the command against the brokers inside librdkafka."""

import json
from itertools import islice
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from worker.cli.produce import produce
from worker.domain.errors import DeliveryFailed, SourceLost
from worker.domain.frames import CapturedFrame
from worker.domain.times import EventMillis
from worker.local.pacing import Reader, interleave, timeline
from worker.media.folder import write_recording

BROKER = ("-b", "unused:9092", "-X", "test.mock.num.brokers=1")


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


def test_an_unconfirmed_frame_is_a_failure(pictures: Path) -> None:
    result = run(str(pictures), "-n", "1", "-b", "127.0.0.1:1", "-X", "message.timeout.ms=300")
    assert isinstance(result.exception, DeliveryFailed)
    assert "NOT all confirmed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "'nowhere' is neither a folder, nor a file, nor a device number"),
        (["PICTURES", "--loop", "0"], "'0' is neither a number above 0 nor 'forever'"),
        (["PICTURES", "--camera", "a", "--camera", "b"], "give it once for each SOURCE"),
        (["PICTURES", "PICTURES", "--labels", "x.csv"], "it describes one folder"),
        (["PICTURES", "--keep-times", "--loop", "2"], "a repetition would go back in time"),
        (["PICTURES", "-X", "acks"], "'acks' is not NAME=VALUE"),
    ],
)
def test_a_wrong_command_line_is_told(pictures: Path, arguments: list[str], told: str) -> None:
    result = run(*(str(pictures) if word == "PICTURES" else word for word in arguments), *BROKER)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
