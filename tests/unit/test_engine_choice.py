"""`model.engine: auto`: OpenVINO is taken only where it gives torch's answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.support.models import small_manifest, write_manifest
from worker.models.build import find_manifest
from worker.models.engine_choice import (
    MOST_COPIES,
    TOLERANCE,
    EngineChoice,
    choose_engine,
    compare_with_torch,
    compared,
    difference,
    drawn,
)
from worker.models.manifest_fields import TaskName
from worker.models.store import sha256_of_file
from worker.settings import ModelGroup


class Hashes(nn.Module):
    """Computes with whole numbers beyond 32 bits, which OpenVINO does in 32 bits without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(192, 3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        hashed = (pictures * 100).to(torch.int64) * 1_000_000_007 % 1009
        scores: torch.Tensor = self.last(hashed.float().flatten(1) / 1009)
        return scores


class Unknown(nn.Module):
    """Has an operation that cannot be written as ONNX."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = torch.special.i0e(pictures.flatten(2).sum(2))
        return scores


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    return folder


def a_model(folder: Path, network: nn.Module | None = None) -> Path:
    """Write a model of 8x8 pixels with three classes."""
    torch.manual_seed(1)
    network = network or nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    any_batch = ({0: torch.export.Dim("n", min=1)},)
    program = torch.export.export(network.eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=any_batch)
    torch.export.save(program, folder / "small.pt2")
    return write_manifest(folder, small_manifest(sha256=sha256_of_file(folder / "small.pt2")))


def settings(model: Path, **others: object) -> ModelGroup:
    return ModelGroup.model_validate({"path": model, "streams": 2, **others})


def chosen(model: Path, **others: object) -> EngineChoice:
    group = settings(model, **others)
    return choose_engine(find_manifest(group), group)


# The comparison of arrays.


def ranked(*rows: list[tuple[int, float]]) -> dict[str, NDArray[np.generic]]:
    return {
        "indices": np.array([[index for index, _ in row] for row in rows]),
        "probabilities": np.array([[probability for _, probability in row] for row in rows], np.float32),
    }


def test_the_same_answers_differ_by_nothing() -> None:
    answers = ranked([(7, 0.6), (1, 0.3)], [(2, 0.9), (7, 0.05)])

    assert difference(answers, answers) == 0.0


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(7, 0.59), (1, 0.31)], 0.01 / 0.6),
        ([(1, 0.6), (7, 0.3)], 0.3 / 0.6),  # the classes have changed places
        ([(7, 0.6), (2, 0.3)], 0.0),  # a class that may be as probable as the last one here
        ([(2, 0.6), (7, 0.3)], 0.3 / 0.6),  # a class that is less probable here than the last one
        ([(7, 0.6), (1, float("nan"))], float("nan")),
    ],
)
def test_classes_are_compared_with_their_own_probabilities(found: list[tuple[int, float]], expected: float) -> None:
    assert difference(ranked([(7, 0.6), (1, 0.3)]), ranked(found)) == pytest.approx(expected, nan_ok=True, abs=1e-6)


def test_classes_of_equal_probability_may_change_places() -> None:
    assert difference(ranked([(7, 0.5), (1, 0.5)]), ranked([(1, 0.5), (7, 0.5)])) == 0.0


def test_small_numbers_count_as_much_as_large_ones() -> None:
    tiny = {"values": np.array([[1e-6, 2e-6]], np.float32)}
    wrong = {"values": np.array([[2e-6, 2e-6]], np.float32)}
    large = {"vectors": np.array([[1e6, 2e6]], np.float32)}

    assert difference(tiny, wrong) == pytest.approx(0.5)
    assert difference(large, {"vectors": large["vectors"] + 1}) < TOLERANCE


def test_areas_are_compared_place_by_place() -> None:
    area = {"classes": np.zeros((1, 10, 10), np.uint8), "total": np.array([3.0])}
    other = {"classes": area["classes"].copy(), "total": np.array([9.0])}
    other["classes"][0, 0, 0] = 1

    assert difference(area, other) == 0.01


def test_other_shapes_and_other_names_never_agree() -> None:
    vectors = {"vectors": np.zeros((2, 3), np.float32)}

    assert difference(vectors, {"vectors": np.zeros((2, 1), np.float32)}) == float("inf")
    assert difference(vectors, {"values": np.zeros((2, 3), np.float32)}) == float("inf")


@pytest.mark.parametrize("shape", [(8, 8, 3), (4, 8, 8, 3), (33, 17, 1)])
def test_samples_are_the_same_each_time_and_no_two_are_alike(shape: tuple[int, ...]) -> None:
    samples = drawn(9, shape)

    assert samples.shape == (9, *shape)
    assert samples.dtype == np.uint8
    assert (samples == drawn(9, shape)).all()
    assert len({each.tobytes() for each in samples}) == 9
    assert samples.min() < 20
    assert samples.max() > 235


# With the real engines.


def test_openvino_is_taken_where_it_agrees_and_later_starts_remember_it(folder: Path) -> None:
    model = a_model(folder)
    first = chosen(model)

    assert first.engine == "openvino"
    assert first.why.startswith("it agrees with torch within ")
    assert first.why.endswith(" on 9 pictures")  # one more than a full part: the network for any number runs too
    (verdict,) = (folder.parent / "cache" / "engines").glob("*.engine.json")
    verdict.write_bytes(verdict.read_bytes().replace(b"9 pictures", b"many pictures"))
    assert chosen(model).why.endswith("many pictures")
    moved = model.rename(folder.parent / "moved")
    assert chosen(moved).why.endswith("many pictures")  # it is the same model


def test_a_network_that_openvino_computes_otherwise_stays_with_torch(folder: Path) -> None:
    group = settings(a_model(folder, Hashes()))
    choice = compare_with_torch(find_manifest(group), group)

    assert choice.engine == "eager"
    assert choice.why.startswith("OpenVINO differs from torch by ")


def test_a_network_that_cannot_be_converted_stays_with_torch(folder: Path) -> None:
    group = settings(a_model(folder, Unknown()))
    choice = compare_with_torch(find_manifest(group), group)

    assert choice.engine == "eager"
    assert choice.why.startswith("OpenVINO cannot run this model: this network cannot be written as ONNX")
    assert choice.why.isprintable()


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"device": "cuda", "streams": 1}, "model.engine openvino runs on a CPU, not on cuda"),
        ({"memory_format": "contiguous"}, "model.engine openvino chooses the layout itself"),
        ({"precision": "bf16"}, "OpenVINO is not chosen by itself for precision bf16"),
        ({"threads": 1}, "model.threads is 1 and model.streams 2: each stream needs a thread"),
    ],
)
def test_settings_that_openvino_does_not_know_keep_torch(folder: Path, others: dict[str, object], why: str) -> None:
    choice = chosen(a_model(folder), **others)

    assert choice.engine == "eager"
    assert choice.why.startswith(why)
    assert not (folder.parent / "cache").exists()  # nothing was tried


@pytest.mark.parametrize("task", ["detect", "recurrent"])
def test_answers_that_hang_on_the_last_bit_stay_with_torch(folder: Path, task: TaskName) -> None:
    group = settings(a_model(folder))

    assert choose_engine(replace(find_manifest(group), task=task), group) == EngineChoice(
        "eager", f"OpenVINO is not chosen by itself for the task {task}"
    )


def test_weights_that_would_be_copied_too_often_stay_with_torch(folder: Path) -> None:
    model = a_model(folder)
    with (folder / "small.pt2").open("ab") as file:
        file.truncate(MOST_COPIES // 4 + 1)

    assert chosen(model).why.startswith("OpenVINO's copies of the weights would take 1.0 GiB")


def test_a_missing_file_is_left_to_the_one_who_builds_the_model(folder: Path) -> None:
    model = a_model(folder)
    (folder / "small.pt2").unlink()

    assert chosen(model).engine == "eager"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "OpenVINO crashes with this model (signal 11)"),
        ("raise OSError('no space left')", "OpenVINO could not be compared with torch: OSError: no space left"),
        ("raise SystemExit(3)", "OpenVINO could not be compared with torch: it says nothing"),
    ],
)
def test_a_comparison_that_fails_keeps_torch_and_is_tried_again(folder: Path, program: str, why: str) -> None:
    file = folder / "verdict.json"

    assert compared(settings(folder), file, program) == EngineChoice("eager", why)
    assert not file.exists()
