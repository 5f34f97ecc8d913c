"""The two parts of a recurrent model: its graph gives features of single frames, its RNN goes from frame to frame."""

from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from tests.support.models import Answering, open_model, small_model
from tests.support.recurrent import moving_pictures, write_recurrent_model
from worker.domain.errors import ModelContractBroken, ModelFailed
from worker.domain.frames import GroundTruth
from worker.domain.geometry import Geometry
from worker.domain.results import Classification, Features, ScoredClass, Verdict
from worker.models.cnn_rnn import CnnRnn
from worker.models.loaded import LoadedModel
from worker.ports import Asked

WHERE = Geometry(32, 32, scale_x=1.0, scale_y=1.0, left=0, top=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recurrent_model(tmp_path_factory.mktemp("recurrent"), rate=5.0, silence_ms=700)


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return open_model(folder, top_k=2)


def test_a_frame_alone_gives_features_and_no_verdict(model: LoadedModel) -> None:
    found = model.run(np.array(moving_pictures(3)))
    results = model.task.results(found, [Asked(WHERE, (0,))] * 3)

    assert model.input_shape == (32, 32, 3)
    assert found["features"].shape == (3, 128 * 2 * 2)
    assert found["features"].dtype == np.float32
    for (result,), row in zip(results, found["features"], strict=True):
        assert isinstance(result, Features)
        assert np.array_equal(result.values, row)
        assert model.task.judge(result, GroundTruth("wave")) is None
    classes = (ScoredClass(1, "wave", 0.5), ScoredClass(0, "calm", 0.25))
    assert model.task.judge(Classification(classes, (1, 0)), GroundTruth("calm")) == Verdict(top1=False, top5=True)


def test_the_rnn_says_the_classes(model: LoadedModel) -> None:
    recurrent = model.recurrent
    assert recurrent is not None
    assert (recurrent.recurrence.rate, recurrent.recurrence.silence_ms, recurrent.state_size) == (5.0, 700, 12)
    features = model.run(np.array(moving_pictures(2)))["features"]
    first = recurrent.step(features, np.zeros((2, 12), np.float32))
    second = recurrent.step(features, first.states)

    assert not torch.is_inference_mode_enabled()
    assert (first.scores.shape, first.states.shape) == ((2, 4), (2, 12))
    assert {first.scores.dtype, first.states.dtype} == {np.dtype(np.float32)}
    assert not np.allclose(first.scores, second.scores, atol=1e-3)
    found = recurrent.classify(np.concatenate([first.scores, second.scores]))
    expected = torch.from_numpy(np.concatenate([first.scores, second.scores])).softmax(dim=1).numpy()
    for each, row in zip(found, expected, strict=True):
        assert each.ranking == tuple(np.argsort(-row))
        assert len(each.classes) == 2
        assert each.classes[0].probability == pytest.approx(row.max(), abs=1e-6)


def test_an_rnn_that_fails_or_answers_nonsense_is_named(model: LoadedModel) -> None:
    assert model.recurrent is not None
    with pytest.raises(ModelFailed, match="the RNN failed on 2 frames"):
        model.recurrent.step(np.zeros((2, 3), np.float32), np.zeros((2, 12), np.float32))
    with pytest.raises(ModelContractBroken, match="NaN or infinity"):
        model.recurrent.classify(np.full((1, 4), np.nan, np.float32))


def test_other_models_have_no_such_part(tmp_path: Path) -> None:
    clips = open_model(write_recurrent_model(tmp_path, task="clip"))
    assert clips.recurrent is None
    assert clips.clip is not None


BROKEN: list[tuple[Callable[[torch.Tensor], object], str]] = [
    (lambda x: torch.zeros(len(x) + 1, 6), r"returned \(\d, 6\), not \(\d, 6\): task recurrent needs a row"),
    (lambda x: torch.zeros(len(x), 6, 2), r"returned \(\d, 6, 2\)"),
    (lambda x: torch.full((len(x), 6), torch.inf), "NaN or infinity"),
    (lambda x: [torch.zeros(len(x), 6)], "returned a list"),
]


@pytest.mark.parametrize(("answer", "text"), BROKEN)
def test_features_that_break_the_contract(answer: Callable[[torch.Tensor], object], text: str) -> None:
    with pytest.raises(ModelContractBroken, match=text):
        small_model(Answering(answer), task="recurrent").run(np.zeros((2, 8, 8, 3), np.uint8))


def test_the_backbone_alone_is_in_the_graph(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise AssertionError("a clip as a whole")

    monkeypatch.setattr(CnnRnn, "forward", fail)
    open_model(folder).warm_up(2)


def test_the_rnn_takes_one_thread_of_torch_where_it_is_run_and_nowhere_else(model: LoadedModel) -> None:
    usual, found = torch.get_num_threads(), dict[str, int]()

    def step() -> None:
        assert model.recurrent is not None
        model.recurrent.step(np.zeros((2, 512), np.float32), np.zeros((2, 12), np.float32))
        found["there"] = torch.get_num_threads()

    def later() -> None:
        found["later"] = torch.get_num_threads()

    for work in (lambda: torch.set_num_threads(3), step, later):
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert found == {"there": 1, "later": 3}
    torch.set_num_threads(usual)
