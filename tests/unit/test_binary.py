"""One score for two classes: in every task that classifies, by every engine, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]

from tests.support.engines import ENGINES
from tests.support.models import SMALL, Answering, open_model, small_manifest, small_model, write_manifest
from tests.support.tints import Tints, tinted, write_tints_model
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelContractBroken
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.networks import CnnRnnShape, Recurrence
from worker.domain.preprocessing import Output
from worker.domain.results import Classification, Verdict
from worker.models.build import TASKS
from worker.models.cnn_rnn import CnnRnn
from worker.models.loaded import LoadedModel
from worker.models.manifest import Manifest, load_manifest
from worker.models.manifest_fields import TaskName
from worker.models.recurrent import RecurrentPart
from worker.models.store import sha256_of_file
from worker.ports import Asked
from worker.settings import ModelGroup
from worker.tasks.recurrent import Recurrent

ONE = Asked(Geometry(8, 8, scale_x=1.0, scale_y=1.0, left=0, top=0), (0,))
LABELS = ("empty", "taken")
BLACK = np.zeros((2, 8, 8, 3), np.uint8)


def results(model: LoadedModel, pixels: Any) -> list[Classification]:
    found = model.task.results(model.run(pixels), [ONE] * len(pixels))
    return [each for (each,) in found if isinstance(each, Classification)]


@pytest.mark.parametrize("score", [-80.0, -2.0, -0.1, 0.0, 0.3, 5.0, 80.0])
@pytest.mark.parametrize("shape", [(2, 1), (2,)])
def test_one_score_becomes_the_probability_of_the_second_class(score: float, shape: tuple[int, ...]) -> None:
    model = small_model(Answering(lambda _: torch.full(shape, score)), output="sigmoid", labels=LABELS)
    expected = torch.sigmoid(torch.tensor(score)).item()
    for found in results(model, BLACK):
        by_name = {each.name: each.probability for each in found.classes}
        assert by_name == pytest.approx({"empty": 1 - expected, "taken": expected}, abs=1e-6)
        assert found.classes[0].name == ("taken" if score >= 0 else "empty")


@pytest.mark.parametrize(("threshold", "first"), [(0.0, "taken"), (0.3, "taken"), (0.4, "empty"), (1.0, "empty")])
@pytest.mark.parametrize("top_k", [1, 5])
def test_the_threshold_decides_which_class_comes_first(threshold: float, first: str, top_k: int) -> None:
    score = torch.logit(torch.tensor(0.35))
    model = small_model(
        Answering(lambda x: score.expand(len(x), 1)), output="sigmoid", labels=LABELS, threshold=threshold, top_k=top_k
    )
    (found, _) = results(model, BLACK)
    assert found.classes[0].name == first
    assert found.classes[0].probability == pytest.approx(0.35 if first == "taken" else 0.65)
    assert model.task.judge(found, GroundTruth("taken")) == Verdict(top1=first == "taken", top5=True)


@pytest.mark.parametrize("shape", [(2, 1), (2,)])
def test_one_probability_is_that_of_the_second_class(shape: tuple[int, ...]) -> None:
    model = small_model(Answering(lambda _: torch.full(shape, 0.8)), output="probabilities", labels=LABELS)
    for found in results(model, BLACK):
        assert [each.name for each in found.classes] == ["taken", "empty"]
        assert [each.probability for each in found.classes] == pytest.approx([0.8, 0.2])


BROKEN: list[tuple[Callable[[torch.Tensor], object], Output, str]] = [
    (lambda x: torch.zeros(len(x), 1), "logits", r"\(2, 1\), one score for two labels: say output: sigmoid"),
    (lambda x: torch.zeros(len(x)), "logits", r"\(2,\), one score for two labels: say output: sigmoid"),
    (lambda x: torch.zeros(len(x), 2), "sigmoid", r"\(2, 2\), not \(2, 1\): with two labels, output: sigmoid is one"),
    (lambda _: torch.zeros(3, 1), "sigmoid", r"\(3, 1\), not \(2, 1\)"),
    (lambda x: (torch.zeros(len(x), 1),), "sigmoid", "returned a tuple"),
    (lambda x: torch.full((len(x), 1), torch.inf), "sigmoid", "NaN or infinity"),
    (lambda x: torch.full((len(x), 1), torch.nan), "sigmoid", "NaN or infinity"),
    (
        lambda x: torch.full((len(x), 1), 1.5),
        "probabilities",
        "no probabilities; say output: logits, or sigmoid for one score,",
    ),
    (lambda x: torch.full((len(x), 1), torch.nan), "probabilities", "NaN or infinity"),
]


@pytest.mark.parametrize(("answers", "output", "text"), BROKEN)
def test_a_network_that_breaks_the_contract(
    answers: Callable[[torch.Tensor], object], output: Output, text: str
) -> None:
    model = small_model(Answering(answers), labels=LABELS, output=output)
    with pytest.raises(ModelContractBroken, match=text):
        model.run(BLACK)


def test_a_clip_of_two_classes() -> None:
    model = small_model(
        Answering(lambda x: x.mean(dim=(1, 2, 3, 4))),
        output="sigmoid",
        labels=LABELS,
        task="clip",
        clip=ClipShape(3, 5),
    )
    dark, bright = (np.full((3, 8, 8, 3), value, np.uint8) for value in (0, 255))
    assert [each.classes[0].name for each in results(model, np.stack([dark, bright]))] == ["empty", "taken"]


def test_a_recurrent_model_of_two_classes() -> None:
    torch.manual_seed(0)
    task = Recurrent(LABELS, output="sigmoid", top_k=5, threshold=0.5)
    part = RecurrentPart(CnnRnn(CnnRnnShape("squeezenet1_0", "gru", 8, 1, None, 1), 1), task, Recurrence(None, 100))
    features = np.random.default_rng(0).random((3, 512), np.float32)
    stepped = part.step(features, np.zeros((3, part.state_size), np.float32))
    assert stepped.scores.shape == (3, 1)
    for found, score in zip(part.classify(stepped.scores), stepped.scores[:, 0], strict=True):
        assert found.classes[0].name == LABELS[int(score >= 0)]
        assert found.classes[0].probability == pytest.approx(1 / (1 + np.exp(-abs(score))), abs=1e-6)


@pytest.mark.parametrize("task", ["classify", "clip", "recurrent", "multi_label"])
def test_the_manifests_threshold_reaches_the_task(task: TaskName) -> None:
    manifest = Manifest(
        name="small",
        task=task,
        architecture=None,
        file=Path("small.pt2"),
        sha256="0" * 64,
        exported_from=None,
        labels=LABELS,
        preprocessing=SMALL,
        output="sigmoid",
        threshold=0.25,
    )
    made: Any = TASKS[task](manifest, ModelGroup(path=manifest.file))
    scores = getattr(made, "scores", made)
    assert np.all(getattr(scores, "_thresholds" if task == "multi_label" else "_threshold") == 0.25)


def test_an_architecture_gets_one_output_for_two_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(num_classes=1).eval()
    file = tmp_path / "w.pth"
    torch.save(network.state_dict(), file)
    document = small_manifest(
        program=None,
        architecture="squeezenet1_1",
        weights=file.name,
        sha256=sha256_of_file(file),
        output="sigmoid",
        labels=list(LABELS),
        preprocessing={"resize": 64, "crop": 64, "mean": [0, 0, 0], "std": [1, 1, 1]},
    )
    model = open_model(write_manifest(tmp_path, document))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255))[:, 0]
    found = [{each.name: each.probability for each in result.classes}["taken"] for result in results(model, pixels)]
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    assert load_manifest(tmp_path).outputs == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_sigmoid(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    model = open_model(write_tints_model(tmp_path), engine=engine)
    batch = np.stack([tinted({"red"}, width=16, height=16, share=share) for share in (0, 0.4, 0.6, 1)])
    with torch.inference_mode():
        expected = torch.sigmoid(Tints(1)(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255))[:, 0]
    found = results(model, batch)
    assert [each.classes[0].name for each in found] == ["other", "other", "red", "red"]
    red = [{each.name: each.probability for each in result.classes}["red"] for result in found]
    assert red == pytest.approx(expected.tolist(), rel=1e-4)
