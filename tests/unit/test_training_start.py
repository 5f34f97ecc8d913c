"""Training begins with the weights that people have, and its manifest says what these need."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from worker.domain.errors import ModelUnavailable
from worker.models.manifest import load_manifest, write_manifest
from worker.models.store import sha256_of_file
from worker.training.options import Options
from worker.training.start import find_beginning, start_network

OPTIONS = Options(task="classify", model="squeezenet1_1", weights="none", layers="all", size=(64, 64))


def network(name: str = "squeezenet1_1", **arguments: Any) -> nn.Module:
    torch.manual_seed(1)
    built: nn.Module = torchvision.models.get_model(name, **arguments)
    return built


@pytest.mark.parametrize("form", ["plain", "DataParallel", "Lightning", "safetensors"])
def test_weights_of_a_file_are_found_as_the_worker_finds_them(tmp_path: Path, form: str) -> None:
    state, file = network().state_dict(), tmp_path / "weights"
    match form:
        case "plain":
            torch.save(state, file)
        case "DataParallel":
            torch.save({"model": nn.DataParallel(network()).state_dict(), "epoch": 3}, file)
        case "Lightning":
            torch.save({"state_dict": {f"net.{name}": each for name, each in state.items()}, "epoch": 3}, file)
        case _:
            safetensors.torch.save_file(state, file)
    options = replace(OPTIONS, weights=str(file), layers="head")

    beginning = find_beginning(options)
    started = start_network(options, beginning, 3)

    own = started.network.state_dict()
    assert set(started.random) == {"classifier.1.weight", "classifier.1.bias"}
    assert all(torch.equal(own[name], state[name]) for name in own if name not in started.random)
    assert beginning.origin == f"weights, sha256 {sha256_of_file(file)}"


def test_of_two_that_fit_none_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save({"model": network().state_dict(), "model_ema": network().state_dict()}, file)
    with pytest.raises(ModelUnavailable, match="several mappings that fit, model and model_ema: save one of them"):
        find_beginning(replace(OPTIONS, weights=str(file)))


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelUnavailable, match=r"is a Git LFS pointer.*git lfs pull"):
        find_beginning(replace(OPTIONS, weights=str(file)))


@pytest.mark.parametrize("transform", [True, False])
def test_what_weights_need_goes_from_one_model_to_the_next(tmp_path: Path, transform: bool) -> None:  # noqa: FBT001
    file = tmp_path / "weights.pth"
    torch.save(network("googlenet", num_classes=4, init_weights=False).state_dict(), file)
    said = {"name": "one", "architecture": "googlenet", "weights": file.name}
    numbers = find_beginning(OPTIONS).preprocessing
    arguments = {"transform_input": transform}
    write_manifest(tmp_path, {**said, "arguments": arguments}, labels="abcd", preprocessing=numbers)
    options = replace(OPTIONS, model="googlenet", weights=str(tmp_path))

    beginning = find_beginning(options)
    started: Any = start_network(options, beginning, 3)

    assert beginning.arguments == load_manifest(tmp_path).arguments == arguments
    assert started.network.transform_input is transform


def test_a_network_that_may_normalise_once_more_begins_without() -> None:
    for name in ("googlenet", "inception_v3"):
        assert find_beginning(replace(OPTIONS, model=name)).arguments == {"transform_input": False}
    assert find_beginning(OPTIONS).arguments == {}
