"""Every network of torchvision is recognised by the names and shapes of its tensors, however they are wrapped."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from worker.models.checkpoints import weights_in
from worker.models.guess import Fit, Guess, Miss, guess
from worker.models.outlines import head_of, names, outline

TWINS = {"fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn"}
"""The only networks that differ in nothing but the size to which they resize pictures."""
LIKE_RESNET18 = ["resnet18", "resnet34", "resnet50", "alexnet", "r3d_18", "vgg11"]


def find(checkpoint: object, among: list[str] | None = None, **arguments: Any) -> Guess:
    return guess(weights_in(checkpoint, "best.pth"), among or LIKE_RESNET18, arguments)


def fit(checkpoint: object, among: list[str] | None = None, **arguments: Any) -> Fit:
    (found,) = find(checkpoint, among, **arguments).fits
    return found


def miss(checkpoint: object, among: list[str] | None = None) -> Miss:
    found = find(checkpoint, among)
    assert found.fits == []
    assert found.nearest is not None
    return found.nearest


def resnet18(classes: int = 4, **changes: nn.Module) -> nn.Module:
    network: nn.Module = torchvision.models.resnet18(num_classes=classes)
    for name, module in changes.items():
        setattr(network, name, module)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.thorough), 3])
def test_every_network_is_recognised_with_its_number_of_classes(step: int) -> None:
    def drawn(architecture: str, classes: int) -> dict[str, torch.Tensor]:
        # Of another number of classes than that with which outlines are made, made by no builder.
        network = outline(architecture)
        head = head_of(network)
        more = {
            name: tuple(a + (b - a) * (classes - 7) for a, b in zip(shape, head.next_shapes[name], strict=True))
            for name, shape in network.shapes.items()
        }
        return {name: torch.empty(shape, device="meta") for name, shape in more.items()}

    assert len(names()) > 100
    known = names()[::step]
    for number, architecture in enumerate(known):
        classes = 3 + number % 9
        found = find(
            {"state_dict": {f"model.{name}": each for name, each in drawn(architecture, classes).items()}}, known
        )
        expected = TWINS & {*known} if architecture in TWINS else {architecture}
        assert {each.architecture for each in found.fits} == expected
        assert {each.classes for each in found.fits} == {classes}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "regnet_y_400mf", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_an_outline_has_the_tensors_of_the_network(name: str) -> None:
    network = torchvision.models.get_model(name, num_classes=7)
    assert outline(name).shapes == {key: tuple(each.shape) for key, each in network.state_dict().items()}


WRAPPINGS: Mapping[str, Callable[[nn.Module], object]] = {
    "a bare state dict": lambda network: network.state_dict(),
    "an ordered dict": lambda network: OrderedDict(network.state_dict()),
    "state_dict": lambda network: {"state_dict": network.state_dict(), "epoch": 7, "optimizer": {"state": {}}},
    "model": lambda network: {"model": network.state_dict()},
    "model_state_dict": lambda network: {"model_state_dict": network.state_dict(), "loss": 0.1},
    "DataParallel": lambda network: nn.DataParallel(network).state_dict(),
    "torch.compile": lambda network: {f"_orig_mod.{key}": each for key, each in network.state_dict().items()},
    "Lightning": lambda network: {
        "state_dict": {
            **{f"model.{key}": each for key, each in network.state_dict().items()},
            "criterion.weight": torch.ones(4),
        },
        "hyper_parameters": {"lr": 0.1},
    },
    "Lightning of DataParallel": lambda network: {
        "state_dict": {f"net.module.{key}": each for key, each in network.state_dict().items()}
    },
    "averaged weights": lambda network: {
        "n_averaged": torch.tensor(3),
        **{f"module.{key}": each for key, each in network.state_dict().items()},
    },
    "without counters": lambda network: {
        key: each for key, each in network.state_dict().items() if "num_batches" not in key
    },
    "half precision": lambda network: network.half().state_dict(),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrappings_do_not_matter(wrapping: str) -> None:
    found = fit(WRAPPINGS[wrapping](resnet18()))
    assert (found.architecture, found.task, found.classes) == ("resnet18", "classify", 4)
    assert (found.others, found.renamed, found.grey, dict(found.arguments)) == ((), {}, False, {})


def test_all_weights_that_fit_are_found() -> None:
    network = resnet18()
    found = find({"state_dict": network.state_dict(), "state_dict_ema": network.state_dict()})
    assert [each.place for each in found.fits] == ["state_dict", "state_dict_ema"]


def test_a_second_network_beside_it_is_told() -> None:
    tensors = {f"student.{key}": each for key, each in resnet18().state_dict().items()}
    assert fit({**tensors, "projector.weight": torch.ones(2, 2)}).others == ("projector.weight",)


HEADS = {
    "resnet18": ("fc", "fc.1"),
    "mobilenet_v2": ("classifier", "classifier.1"),
    "efficientnet_b0": ("classifier.1", "classifier.1.1"),
    "vit_b_16": ("heads", "heads.0"),
    "densenet121": ("classifier", "classifier.3"),
    "swin_t": ("head", "head.1"),
}


@pytest.mark.parametrize("name", HEADS)
def test_one_linear_layer_within_other_names_is_the_head(name: str) -> None:
    network = outline(name)
    (own,) = {each.rpartition(".")[0] for each in head_of(network).names}
    for theirs in HEADS[name]:
        tensors = {
            key.replace(f"{own}.", f"{theirs}.") if key.startswith(f"{own}.") else key: torch.empty(
                shape, device="meta"
            )
            for key, shape in network.shapes.items()
        }
        found = fit(tensors, [name])
        expected = {} if own == theirs else {f"{theirs}.{each}": f"{own}.{each}" for each in ("bias", "weight")}
        assert found.renamed == expected
        assert found.classes == 7


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 4)),
        nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, 4)),
        nn.Sequential(nn.Dropout(), nn.Linear(256, 4)),
        nn.Linear(512, 4, bias=False),
        nn.Identity(),
    ],
    ids=["two layers", "a batch norm", "other features", "no bias", "none"],
)
def test_another_head_does_not_fit(head: nn.Module) -> None:
    assert miss(resnet18(fc=head).state_dict()).architecture == "resnet18"


def test_other_layers_do_not_fit_and_the_difference_is_told() -> None:
    found = miss(resnet18(conv1=nn.Conv2d(3, 64, 3, bias=False)).state_dict())
    assert found.unlike[0] == "conv1.weight is (64, 3, 3, 3) and not (64, 3, 7, 7)"
    assert (found.architecture, found.missing, found.beyond) == ("resnet18", [], [])


def test_a_network_of_grey_pictures_is_told() -> None:
    found = fit(resnet18(conv1=nn.Conv2d(1, 64, 7, 2, 3, bias=False)).state_dict())
    assert (found.architecture, found.grey) == ("resnet18", True)
    assert miss(resnet18(conv1=nn.Conv2d(4, 64, 7, 2, 3, bias=False)).state_dict()).architecture == "resnet18"


def test_the_size_of_pictures_of_a_vision_transformer_is_told() -> None:
    shapes = outline("vit_b_32", image_size=320).shapes
    found = fit({name: torch.empty(shape, device="meta") for name, shape in shapes.items()}, ["vit_b_16", "vit_b_32"])
    assert (found.architecture, dict(found.arguments)) == ("vit_b_32", {"image_size": 320})


def test_arguments_of_the_builder_are_taken_where_the_builder_takes_them() -> None:
    network = torchvision.models.mobilenet_v2(num_classes=3, width_mult=0.5)
    found = fit(network.state_dict(), ["resnet18", "mobilenet_v2"], width_mult=0.5)
    assert (found.architecture, dict(found.arguments)) == ("mobilenet_v2", {"width_mult": 0.5})
    assert find(network.state_dict(), ["mobilenet_v2"]).fits == []


@pytest.mark.parametrize("seed", range(8))
def test_a_tensor_of_another_shape_never_fits(seed: int) -> None:
    tensors = dict(resnet18().state_dict())
    counted = sorted(name for name in tensors if not name.endswith("num_batches_tracked"))
    name = counted[int(torch.randint(len(counted), (), generator=torch.Generator().manual_seed(seed)))]
    tensors[name] = torch.zeros((*tensors[name].shape[:-1], tensors[name].shape[-1] + 1))
    assert find(tensors).fits == []


def test_weights_of_something_else_are_near_to_nothing() -> None:
    assert find({"blocks.0.attn.qkv.weight": torch.zeros(3, 3)}) == Guess([], None)
