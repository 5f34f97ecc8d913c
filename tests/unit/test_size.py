"""What `vision-worker size` says, at 80 columns and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from tests.support.models import file_manifest, small_manifest, write_manifest
from worker.cli import app
from worker.cli.size import answers_a_second
from worker.cli.size_report import in_bytes, in_time, lines_of, next_steps, number, remarks
from worker.domain.clips import ClipShape
from worker.domain.networks import Recurrence
from worker.domain.sizing import Cameras, Plan, Speed, size_of
from worker.models.manifest import Manifest, load_manifest
from worker.models.store import sha256_of_file
from worker.settings import Limits, SamplingGroup
from worker.tuning.profile import Profile, key_of, write_profile

SOME = Cameras(count=500, fps=5, frame_bytes=40_000, answers=5)
SPEED = Speed(answers=400, cores=2, memory=1_250_000_000)


def ran(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["size", *words], catch_exceptions=False)


def a_model(folder: Path) -> Path:
    """Return a model of which only the manifest is there: figures need no more."""
    folder.mkdir(exist_ok=True)
    return write_manifest(folder, small_manifest(sha256="0" * 64))


def said(load: Cameras, speed: Speed = SPEED, plan: Plan | None = None) -> dict[str, tuple[str, str]]:
    plan = plan or Plan()
    return {
        line.name.strip(): (line.arithmetic, line.result)
        for line in lines_of(load, speed, plan, size_of(load, speed, plan))
    }


def test_each_figure_is_shown_with_its_arithmetic() -> None:
    lines = said(SOME)

    assert lines["workers"] == ("2,500/s / (400/s x 0.6) = 10.4", "11 workers")
    assert lines["cores"] == ("11 x 2", "22 cores")
    assert lines["busiest"] == ("45.5 + sqrt(2 x 45.5 x ln 11) cameras", "61, 76% of its speed")
    assert lines["predictions"] == ("2,500/s x 1 kB x 7 d x 3 copies", "4.54 TB")
    assert lines["network in"] == ("(100 MB + 3.75 MB)/s x 3 copies", "311 MB/s")
    assert "transactions" not in lines


def test_what_is_different_is_said() -> None:
    assert said(replace(SOME, count=1))["busiest"] == ("all cameras", "1, 1% of its speed")
    assert "97 more for the busiest" in said(SOME, replace(SPEED, answers=47))["workers"][0]
    assert "no more than cameras" in said(replace(SOME, count=2, answers=30), replace(SPEED, answers=20))["workers"][0]
    assert said(SOME, plan=Plan(transactions=10))["transactions"] == ("11 x 10/s x 5 partitions", "550 markers/s")


def test_it_says_where_the_limit_of_cameras_bites() -> None:
    calm = replace(SOME, fps=0.1, answers=0.1)
    size = size_of(calm, SPEED, Plan())

    (remark,) = remarks(calm, SPEED, Plan(), size)
    assert "limits.max_cameras is 200" in remark
    assert "300 of its cameras" in remark
    assert "limits.max_cameras: 500" in list(next_steps("vision-worker topics apply", Plan(), size))[-1]
    assert not list(remarks(SOME, SPEED, Plan(), size_of(SOME, SPEED, Plan())))


def test_it_says_if_no_number_of_workers_is_enough() -> None:
    fast, slow = replace(SOME, answers=25), replace(SPEED, answers=20)

    assert "Set sampling.rate to 18" in next(iter(remarks(fast, slow, Plan(), size_of(fast, slow, Plan()))))


def test_a_line_is_at_most_as_wide_as_a_terminal(tmp_path: Path) -> None:
    model = a_model(tmp_path)
    printed = ran("--cameras", "123456", "--fps", "12.5", "--model", str(model), "--per-worker", "47.11").output

    assert max(len(line.rstrip()) for line in printed.splitlines()) <= 80
    assert "What breaks first" in printed
    assert "vision-worker topics apply --partitions" in printed


def test_json_has_all_figures(tmp_path: Path) -> None:
    model = a_model(tmp_path)
    told = json.loads(
        ran("--cameras", "500", "--fps", "5", "--model", str(model), "--per-worker", "400", "--json").stdout
    )

    assert told["size"]["workers"] == 11
    assert told["cameras"] == {"count": 500, "fps": 5.0, "frame_bytes": 40_000, "answers": 5.0}
    assert told["plan"]["retention"] == 3_600
    assert [each["share"] for each in told["limits"]] == sorted(
        (each["share"] for each in told["limits"]), reverse=True
    )


def test_settings_and_options_change_the_figures(tmp_path: Path) -> None:
    model, config = a_model(tmp_path / "model"), tmp_path / "worker.yaml"
    config.write_text(
        f"model: {{path: {model}}}\nsampling: {{rate: 1}}\nlimits: {{max_cameras: 7}}\n"
        "delivery: {guarantee: exactly_once, commit_interval_ms: 500}\n"
    )
    options = ["--retention", "30m", "--replication", "2", "--gbit", "1", "--frame-kb", "200", "--headroom", "0.5"]
    words = ["--cameras", "10", "--fps", "5", "--config", str(config), "--per-worker", "400", "--json", *options]
    told = json.loads(ran(*words).stdout)

    printed = ran(*(word for word in words if word != "--json")).output

    assert f"vision-worker topics apply --config {config} --partitions 4 --replication-factor 2" in printed
    assert "--set frames.retention.ms=1800000" in printed
    assert (told["cameras"]["answers"], told["cameras"]["frame_bytes"]) == (1.0, 200_000)
    assert told["plan"] == {
        "headroom": 0.5,
        "retention": 1_800.0,
        "results_retention": 604_800.0,
        "replication": 2,
        "network": 1.25e8,
        "max_cameras": 7,
        "transactions": 2.0,
    }
    assert json.loads(ran(*words, "--guarantee", "at_least_once").stdout)["plan"]["transactions"] == 0


@pytest.mark.slow
def test_without_a_profile_the_worker_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    folder, shown = tmp_path / "model", tmp_path / "pictures"
    folder.mkdir()
    shown.mkdir()
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    batch = {0: torch.export.Dim("n", min=1)}
    torch.export.save(
        torch.export.export(network, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=(batch,)), folder / "small.pt2"
    )
    model = write_manifest(folder, small_manifest(sha256=sha256_of_file(folder / "small.pt2")))
    for grey in range(3):
        cv2.imwrite(str(shown / f"{grey}.jpg"), np.full((24, 32, 3), 40 * grey, np.uint8))
    words = ["--cameras", "5", "--fps", "1", "--model", str(model), "--frames", str(shown), "--seconds", "0.1"]
    told = json.loads(ran(*words, "--json").stdout)

    assert told["worker"]["answers"] > 0
    assert told["worker"]["memory"] > Limits().memory
    assert f"measured now for 0.1 s with {shown}" in told["worker"]["source"]
    assert told["cameras"]["frame_bytes"] == sum(each.stat().st_size for each in shown.iterdir()) // 3


def test_what_was_tuned_here_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    model = a_model(tmp_path / "model")
    profile = Profile(
        key=key_of(load_manifest(model), "cpu"),
        tuned_at="2026-01-31T12:00:00+00:00",
        frames="64 frames of a street",
        min_agreement=0.995,
        max_difference=0.05,
        settings={},
        frames_per_second=123.0,
        untuned_frames_per_second=None,
        tried=[],
    )
    write_profile(profile)
    words = ["--cameras", "5", "--fps", "1", "--model", str(model)]
    printed = " ".join(ran(*words).output.split())

    assert "123 predictions/s for each worker, as `vision-worker tune` found here" in printed
    assert "on 2026-01-31 with 64 frames of a street." in printed
    assert "measure with them, --frames" not in printed
    assert "measure with them, --frames" in " ".join(ran(*words, "--frame-kb", "200").output.split())


@pytest.mark.parametrize("text", ["3w", "h", "0s", "-1h", "1.5h", ""])
def test_a_wrong_duration_is_refused(text: str) -> None:
    refused = ran("--cameras", "1", "--fps", "1", "--retention", text)

    assert refused.exit_code == 2
    assert "such as 90s, 1h or 7d" in " ".join(refused.output.replace("│", " ").split())


def test_predictions_follow_from_what_the_model_sees() -> None:
    single = file_manifest(Path("small.pt2"))
    clip = replace(single, task="clip", clip=ClipShape(frames=16, rate=8.0))
    values = replace(single, task="frame_values", clip=ClipShape(frames=100, rate=25.0, middle=50))
    recurrent = replace(single, task="recurrent", recurrence=Recurrence(rate=4.0, silence_ms=1))

    def answers(manifest: Manifest, fps: float, **sampling: float) -> float:
        return answers_a_second(manifest, SamplingGroup.model_validate(sampling), fps)

    assert answers(single, 5) == 5
    assert (answers(single, 5, rate=2), answers(single, 1, rate=2)) == (2, 1)
    assert (answers(clip, 30), answers(clip, 30, stride=4), answers(clip, 30, rate=16)) == (0.5, 2, 1)
    assert answers(values, 30) == 25
    assert (answers(recurrent, 30), answers(recurrent, 2)) == (4, 2)


@pytest.mark.parametrize(
    ("value", "text"), [(0.042, "0.042"), (3.014, "3.01"), (10.42, "10.4"), (7, "7"), (2500, "2,500"), (99.99, "100")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12 B"), (1e3, "1 kB"), (1.25e9, "1.25 GB"), (999.9e6, "1,000 MB"), (1.2e18, "1,200 PB")]
)
def test_bytes_have_a_unit(value: float, text: str) -> None:
    assert in_bytes(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(90, "90 s"), (120, "2 min"), (3_600, "1 h"), (604_800, "7 d")])
def test_times_have_a_unit(seconds: float, text: str) -> None:
    assert in_time(seconds) == text
