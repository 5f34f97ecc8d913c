"""Programs as people export them: what is refused at load, and what runs nevertheless."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from tests.support.models import SMALL, file_manifest, load_file, small_model
from tests.support.pictures import scene
from worker.domain.errors import ModelUnavailable
from worker.models.build import assemble
from worker.models.graph import ModelGraph, export_graph
from worker.models.heads import ClassifyHead
from worker.models.loaded import LoadedModel
from worker.models.programs import BatchLimits, batch_limits
from worker.settings import ModelGroup
from worker.tasks.classify import Classify

ANY = {0: Dim("batch", min=1)}
PICTURES = np.stack([np.roll(scene(8, 8), shift, axis=1) for shift in range(7)])


def plain() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers)


def exported(
    folder: Path,
    network: nn.Module,
    *inputs: torch.Tensor,
    batch: Mapping[int, Any] | None = ANY,
    train: bool = False,
) -> Path:
    file = folder / "small.pt2"
    given = inputs or (torch.zeros(2, 3, 8, 8),)
    shapes = tuple(batch for _ in given) if batch is not None else None
    torch.export.save(torch.export.export(network.train(train), given, dynamic_shapes=shapes), file)
    return file


def opened(file: Path, **fields: Any) -> LoadedModel:
    program = load_file(file, **fields)
    return assemble(program, file_manifest(file, **fields), ModelGroup(path=file, threads=1))


class Returning(nn.Module):
    """A small network whose answer a function puts into another form."""

    def __init__(self, form: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.network = plain()
        self.form = form

    def forward(self, pixels: torch.Tensor) -> Any:
        """Return the answer in that form."""
        return self.form(self.network(pixels))


# What is refused when a program is loaded, each with its own text.


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 1, 8, 8), r"takes 1 channel: set preprocessing\.channels: gray"),
        ((2, 4, 8, 8), r"takes 4 channels, and the worker gives 3"),
        ((2, 8, 8, 3), r"takes the channels last, \(any, 8, 8, 3\): .* so that it takes \(batch, 3, 8, 8\)"),
        ((2, 3, 9, 8), r"takes a height of 9, and preprocessing\.crop says 8: correct preprocessing\.crop, or export"),
        ((2, 3, 8, 16), r"takes a width of 16, and preprocessing\.crop says 8"),
        (
            (2, 3, 6, 8, 8),
            r"takes an input of shape \(any, 3, 6, 8, 8\), not one of \(batch, 3, 8, 8\): export it again",
        ),
        ((2, 192), r"takes an input of shape \(any, 192\)"),
    ],
)
def test_a_program_for_other_pictures(tmp_path: Path, shape: tuple[int, ...], text: str) -> None:
    file = exported(tmp_path, nn.Flatten(), torch.zeros(shape))
    with pytest.raises(ModelUnavailable, match=rf"the program .*small\.pt2 {text}"):
        load_file(file)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_a_program_for_other_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    file = exported(tmp_path, nn.Flatten(), torch.zeros((2, 3, 8, 8), dtype=dtype))
    with pytest.raises(ModelUnavailable, match=rf"takes {dtype}, and the worker gives torch\.float32: export it again"):
        load_file(file)


class Two(nn.Module):
    """Takes two inputs."""

    def forward(self, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """Add them."""
        return (one + two).mean((2, 3))


def test_a_program_of_two_inputs(tmp_path: Path) -> None:
    file = exported(tmp_path, Two(), torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
    with pytest.raises(ModelUnavailable, match="takes 2 inputs, not one tensor of pictures: wrap the network"):
        load_file(file)


class Wrapped(nn.Module):
    """Takes pictures within a dict, and returns nothing but them."""

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return means."""
        return batch["pixels"].mean((2, 3))


def test_a_program_takes_its_input_as_the_worker_gives_it(tmp_path: Path) -> None:
    file = tmp_path / "small.pt2"
    pixels = torch.zeros(2, 3, 8, 8)
    by_keyword = torch.export.export(nn.Flatten(), (), {"input": pixels}, dynamic_shapes={"input": ANY})
    within = torch.export.export(Wrapped(), ({"pixels": pixels},), dynamic_shapes=({"pixels": ANY},))
    for program in (by_keyword, within):
        torch.export.save(program, file)
        with pytest.raises(ModelUnavailable, match=r"takes its input by a keyword or within .*with args=\(example,\)"):
            load_file(file)


def test_a_program_for_multiples_of_a_batch_size(tmp_path: Path) -> None:
    file = exported(tmp_path, nn.Flatten(), torch.zeros(8, 3, 8, 8), batch={0: 4 * Dim("fours", min=1)})
    with pytest.raises(ModelUnavailable, match=r"takes batches of 4\*\w+ samples: export it again with dynamic_shapes"):
        load_file(file)


def test_every_fault_of_an_input_is_told_at_once(tmp_path: Path) -> None:
    file = exported(tmp_path, nn.Flatten(), torch.zeros((2, 1, 9, 8), dtype=torch.float16))
    with pytest.raises(
        ModelUnavailable, match=r"takes 1 channel: .*; it takes a height of 9.*; it takes torch\.float16"
    ):
        load_file(file)


def test_any_size_that_a_program_admits_will_do(tmp_path: Path) -> None:
    pool = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sizes = {2: Dim("high", min=8, max=64), 3: Dim("wide", min=8, max=64)}
    file = exported(tmp_path, pool, torch.zeros(2, 3, 16, 24), batch={**ANY, **sizes})
    load_file(file)
    with pytest.raises(ModelUnavailable, match=r"takes a height of .*, and preprocessing\.crop says 65"):
        load_file(file, preprocessing=replace(SMALL, resize=65, crop=65))


class Stateful(nn.Module):
    """Counts its calls."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return more each time."""
        self.calls.add_(1)
        return pixels.mean((2, 3)) + self.calls


class Attention(nn.Module):
    """Drops at random where a fused operator does it."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Attend over rows."""
        rows = pixels.mean(1)
        drop = 0.5 if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(rows, rows, rows, dropout_p=drop).mean(1)


class Depth(nn.Module):
    """Leaves layers out at random."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Leave rows out."""
        kept = torch.empty(pixels.shape[0], 1).bernoulli_(0.5) if self.training else 1.0
        return pixels.mean((2, 3)) * kept


class Rows(nn.Module):
    """Drops at random between the layers of an RNN."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(8, 4, 2, dropout=0.5, batch_first=True)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Read rows."""
        found: torch.Tensor = self.rnn(pixels.mean(1))[0][:, -1]
        return found


class Ring(nn.Module):
    """Overwrites a part of what it remembers."""

    kept: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(4, 3))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what was there before, too."""
        found = pixels.mean((2, 3)) + self.kept.sum()
        self.kept[1].copy_(found[0])
        return found


IN_TRAINING: list[Any] = [
    (nn.Sequential(nn.Dropout(0.5), nn.Flatten()), "is random"),
    (nn.Sequential(nn.Dropout2d(0.5), nn.Flatten()), "is random"),
    (nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()), r"changes its own 0\.num_batches_tracked"),
    (nn.Sequential(nn.RReLU(), nn.Flatten()), "is random"),
    (Attention(), "is random"),
    (Depth(), "is random"),
    pytest.param(Rows(), "is random", marks=pytest.mark.slow),
]


@pytest.mark.filterwarnings("ignore:.*_flat_weights")
@pytest.mark.parametrize(("network", "text"), IN_TRAINING)
def test_a_program_of_train_mode_is_refused(tmp_path: Path, network: nn.Module, text: str) -> None:
    file = exported(tmp_path, network, train=True)
    with pytest.raises(ModelUnavailable, match=rf"(?:{text}).*train mode.*: call network\.eval\(\) before"):
        load_file(file)
    load_file(exported(tmp_path, network, train=False))


@pytest.mark.parametrize(("network", "name"), [(Stateful(), "calls"), (Ring(), "kept")])
def test_a_program_that_remembers_is_refused(tmp_path: Path, network: nn.Module, name: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"changes its own {name} when it runs"):
        load_file(exported(tmp_path, network))


def test_statistics_of_the_batch_are_refused_in_eval_mode_too(tmp_path: Path) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten())
    with pytest.raises(ModelUnavailable, match="with the statistics of the batch"):
        load_file(exported(tmp_path, network))


def test_layers_that_only_look_like_training_are_taken(tmp_path: Path) -> None:
    still = nn.Sequential(nn.InstanceNorm2d(3), nn.GroupNorm(3, 3), nn.Dropout(0.0), nn.LPPool2d(2, 2), nn.Flatten())
    for train in (False, True):
        load_file(exported(tmp_path, still, train=train))


# Outputs.


FORMS: list[tuple[Callable[[torch.Tensor], Any], str | None]] = [
    (lambda scores: scores, None),
    (lambda scores: (scores,), None),
    (lambda scores: {"logits": scores}, None),
    (lambda scores: {"loss": None, "logits": scores}, None),
    (lambda scores: (scores.neg(), scores), "1"),
    (lambda scores: {"features": scores.mean(1), "logits": scores}, "logits"),
    (lambda scores: {"heads": [scores.neg(), scores]}, "heads.1"),
]


@pytest.mark.parametrize(("form", "name"), FORMS)
def test_one_output_of_a_program_is_taken(
    tmp_path: Path, form: Callable[[torch.Tensor], Any], name: str | None
) -> None:
    file = exported(tmp_path, Returning(form))
    found = opened(file, output_name=name).run(PICTURES)
    expected = small_model(plain()).run(PICTURES)
    np.testing.assert_array_equal(found["indices"], expected["indices"])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


def test_of_several_outputs_the_manifest_names_one(tmp_path: Path) -> None:
    file = exported(tmp_path, Returning(lambda scores: {"features": scores, "logits": scores}))
    with pytest.raises(ModelUnavailable, match=r"returns 2 tensors: write output_name .* one of 'features', 'logits'"):
        opened(file)
    with pytest.raises(
        ModelUnavailable, match="no output 'scores': write another output_name, one of 'features', 'log"
    ):
        opened(file, output_name="scores")


# Batches.


@pytest.mark.parametrize(
    ("batch", "limits"),
    [
        (ANY, BatchLimits(1, None)),
        ({0: Dim("batch")}, BatchLimits(1, None)),
        ({0: Dim.AUTO}, BatchLimits(2, None)),
        ({0: Dim("batch", min=2, max=3)}, BatchLimits(2, 3)),
        (None, BatchLimits(2, 2)),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_pictures_goes_through_any_program(
    tmp_path: Path, batch: Mapping[int, Any] | None, limits: BatchLimits, count: int
) -> None:
    file = exported(tmp_path, plain(), batch=batch)
    program = load_file(file)
    assert isinstance(program, ExportedProgram)
    assert batch_limits(program) == limits
    found = opened(file).run(PICTURES[:count])
    expected = small_model(plain()).run(PICTURES[:count])
    np.testing.assert_array_equal(found["indices"], expected["indices"])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


@pytest.mark.parametrize("size", [1, 5])
def test_a_program_for_one_batch_size_is_called_with_that_size(tmp_path: Path, size: int) -> None:
    file = exported(tmp_path, plain(), torch.zeros(size, 3, 8, 8), batch=None)
    model = opened(file)
    model.warm_up(32)
    assert all((part.stop - part.start) % size == 0 for part in model.parts(10 * size))
    found, expected = model.run(PICTURES), small_model(plain()).run(PICTURES)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


@pytest.mark.parametrize("engine", ["compile", "openvino", "onnxruntime"])
def test_engines_that_convert_need_any_batch(tmp_path: Path, engine: str) -> None:
    file = exported(tmp_path, plain(), batch=None)
    with pytest.raises(ModelUnavailable, match=rf"engine {engine} cannot run a program that takes at most 2 .*Dim\('b"):
        assemble(load_file(file), file_manifest(file), ModelGroup(path=file, engine=engine))


def test_the_graph_of_a_named_output_is_exported_for_the_other_engines(tmp_path: Path) -> None:
    program = load_file(exported(tmp_path, Returning(lambda scores: (scores.neg(), scores)), batch={0: Dim.AUTO}))
    head = ClassifyHead(Classify([f"class {number}" for number in range(4)], output="logits", top_k=4))
    graph = ModelGraph(program, SMALL, head=head, leaf=1, device=torch.device("cpu"))
    again = export_graph(graph, (8, 8, 3)).module()
    expected = small_model(plain()).run(PICTURES)
    for count in (2, 7):
        indices, probabilities, *_ = again(torch.from_numpy(PICTURES[:count]))
        np.testing.assert_array_equal(indices, expected["indices"][:count])
        np.testing.assert_allclose(probabilities, expected["probabilities"][:count], atol=1e-6)
