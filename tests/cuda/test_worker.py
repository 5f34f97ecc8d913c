"""The whole worker on a GPU: the same answers for the same frames, tuned and trained there too."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import Inline
from tests.support.labelled import SMALL, coloured
from tests.support.models import drawn_model, photograph
from tests.support.motions import UNSEEN, write_motions
from tests.support.objects import BACKGROUNDS, write_scenes
from tests.support.pictures import JPEG
from worker import wire
from worker.adapters.memory import Assign
from worker.app.workers import memory_worker
from worker.domain.frames import CapturedFrame
from worker.domain.networks import CnnRnnShape
from worker.domain.records import OutboundRecord, Position, Record, TopicPartition
from worker.domain.times import EventMillis
from worker.models.build import load_model
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.training.loop import Step
from worker.training.train import Watcher, train

PARTITION = TopicPartition("frames", 0)


def records(count: int) -> list[Record]:
    pictures = [JPEG(photograph(name).pixels) for name in ("chelsea", "coffee", "rocket", "motorcycle")]
    frames = [CapturedFrame("gate", pictures[n % 4], EventMillis(n * 40), "image/jpeg") for n in range(count)]
    sent = [wire.render_frame("frames", each) for each in frames]
    return [
        Record(Position(PARTITION, n), each.key, each.value, each.headers, EventMillis(n * 40))
        for n, each in enumerate(sent)
    ]


def answers(group: ModelGroup, read: list[Record]) -> dict[int, tuple[str, float]]:
    """Return the best class of each offset, with its probability."""
    found = list[OutboundRecord]()
    polls = [read[first : first + 16] for first in range(0, len(read), 16)]
    groups = Groups(group, WindowGroup(max_frames=32), Limits())
    with memory_worker(
        [Assign([PARTITION]), *polls], found.append, Inline(), loaded=load_model(group), groups=groups
    ) as worker:
        worker.run()
    messages = [wire.decode_message(each.value or b"") for each in found if each.topic == "predictions"]
    said = {}
    for each in messages:
        assert isinstance(each, wire.PredictionMessage)
        said[each.frame.offset] = (each.classes[0].name, each.classes[0].probability)
    return said


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("preparation", ["exact", "reduced", "nvjpeg"])
def test_the_stream_gets_the_same_answers(tmp_path: Path, preparation: str) -> None:
    folder, read = drawn_model(tmp_path, "mobilenet_v3_small"), records(200)
    expected = answers(ModelGroup(path=folder, profile="off"), read)
    group = ModelGroup.model_validate(
        {"path": folder, "profile": "off", "device": "cuda", "precision": "fp16", "preparation": preparation}
    )
    found = answers(group, read)

    assert found.keys() == expected.keys() == set(range(200))
    same = [found[offset][0] == expected[offset][0] for offset in expected]
    assert np.mean(same) == 1 or preparation != "exact"
    assert np.mean(same) >= 0.5


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_tuning(tmp_path: Path) -> None:
    folder = drawn_model(tmp_path, "mobilenet_v3_small")
    settings = tmp_path / "worker.yaml"
    settings.write_text(json.dumps({"model": {"path": str(folder), "device": "cuda"}}))
    command = [sys.executable, "-m", "worker", "tune", "-c", str(settings), "--no-kafka", "--json"]
    done = subprocess.run(
        [*command, "--count", "64", "--seconds", "0.5"], capture_output=True, text=True, check=False, timeout=280
    )

    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["frames_per_second"] > 0
    tried = {each["settings"].get("model.preparation") for each in found["tried"] if each["frames_per_second"]}
    assert "nvjpeg" in tried


ON_GPU = replace(SMALL, device="cuda")


@pytest.mark.parametrize("amp", ["off", "fp16", "bf16"])
def test_training(tmp_path: Path, amp: str) -> None:
    data = coloured(tmp_path / "data", cameras=3, pictures=6)
    outcome = train(data, tmp_path / "hues", replace(ON_GPU, amp=amp))  # type: ignore[arg-type]

    assert outcome.epochs == ON_GPU.epochs
    card = json.loads((tmp_path / "hues" / "card.json").read_text())
    assert card["held_out"]["accuracy_share"]["total"] == 18
    assert all(np.isfinite(each["loss"]) for each in card["epochs"])
    load_model(ModelGroup(path=tmp_path / "hues"))


class Interrupting(Watcher):
    """Presses Ctrl-C in the second epoch."""

    def step(self, step: Step, epochs: int) -> None:  # noqa: ARG002
        if (step.epoch, step.done) == (2, 2):
            raise KeyboardInterrupt


@pytest.mark.parametrize("amp", ["off", "fp16"])
def test_an_interrupted_training_goes_on(tmp_path: Path, amp: str) -> None:
    data = coloured(tmp_path / "data", cameras=3, pictures=6)
    options = replace(ON_GPU, amp=amp)  # type: ignore[arg-type]
    assert train(data, tmp_path / "hues", options, watcher=Interrupting()).interrupted

    outcome = train(data, tmp_path / "hues", options, resume=True)

    assert (outcome.interrupted, outcome.epochs) == (False, ON_GPU.epochs)


@pytest.mark.parametrize(("task", "extra"), [("detect", {}), ("clip", {"rate": 10.0, "frames": 8})])
def test_other_tasks_are_trained(tmp_path: Path, task: str, extra: dict[str, Any]) -> None:
    if task == "detect":
        write_scenes(tmp_path / "data", BACKGROUNDS[:2], each=4)
        options = replace(
            ON_GPU, task="detect", model="ssdlite320_mobilenet_v3_large", size=(96, 128), epochs=1, holdout=()
        )
    else:
        write_motions(tmp_path / "data", UNSEEN, each=4)
        options = replace(
            ON_GPU,
            task="clip",
            model="cnn_rnn",
            shape=CnnRnnShape("shufflenet_v2_x0_5", hidden=16, layer="maxpool"),
            epochs=1,
            amp="fp16",
            holdout=(),
            **extra,
        )
    train(tmp_path / "data", tmp_path / "model", options)
    load_model(ModelGroup(path=tmp_path / "model"))
