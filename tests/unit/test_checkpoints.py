"""The weights of one small network, saved in the ways in which people save them."""

import argparse
import collections
import datetime as dt
import pathlib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from tests.support.models import file_manifest, load_file
from worker.domain.errors import ModelUnavailable

NAME = "shufflenet_v2_x0_5"
State = Mapping[str, Any]


def drawn(seed: int = 0, name: str = NAME, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    network: nn.Module = torchvision.models.get_model(name, num_classes=4, **arguments)
    return network


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": each for name, each in state.items()}


STATE = drawn().state_dict()
OTHER = drawn(1).state_dict()


def saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "weights.pth"
    torch.save(content, file)
    return file


def loaded_state(file: Path, name: str = NAME, **fields: Any) -> State:
    network = load_file(file, architecture=name, **fields)
    assert isinstance(network, nn.Module)
    return network.state_dict()


def assert_same(found: State, expected: State = STATE) -> None:
    for name, each in expected.items():
        assert torch.equal(found[name], each), name


def compiled_whole() -> State:
    network: Any = torch.compile(drawn())
    state: State = network.state_dict()
    return state


def compiled_in_part() -> State:
    return {name.replace("stage2.", "stage2._orig_mod."): each for name, each in STATE.items()}


OPTIONS = argparse.Namespace(epochs=3, out=pathlib.PosixPath("/runs"), size=(224, 224))
FORMS: dict[str, Callable[[], object]] = {
    "as it is": lambda: STATE,
    "in a dict": lambda: {"state_dict": STATE, "epoch": 3},
    "DataParallel": lambda: nn.DataParallel(drawn()).state_dict(),
    "DataParallel in a dict": lambda: {"model": prefixed("module.", STATE)},
    "compiled": compiled_whole,
    "compiled in part": compiled_in_part,
    "compiled, then DataParallel": lambda: prefixed("module._orig_mod.", STATE),
    "Lightning": lambda: {
        "state_dict": {
            **prefixed("model.", STATE),
            "criterion.weight": torch.ones(4),
            "val_metric.total": torch.ones(1),
        },
        "pytorch-lightning_version": "2.5",
        "optimizer_states": [{"state": {0: {"exp_avg": STATE["conv1.0.weight"]}}, "param_groups": [{"lr": 0.1}]}],
        "hyper_parameters": {"options": OPTIONS},
    },
    "with its loss": lambda: STATE | {"loss_fn.pos_weight": torch.ones(4)},
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(drawn()).state_dict(),
    "counted by thop": lambda: STATE | {"conv1.0.total_ops": torch.zeros(1), "total_params": torch.zeros(1)},
    "with an optimizer": lambda: {"net": STATE, "optimizer": torch.optim.SGD(drawn().parameters(), 0.1).state_dict()},
    "in a list": lambda: [3, {"net": STATE}],
    "teacher and student": lambda: {"student": STATE, "teacher": drawn(2, "resnet18").state_dict()},
    "half": lambda: {name: each.half().float() if each.is_floating_point() else each for name, each in STATE.items()},
    "without counters": lambda: {name: each for name, each in STATE.items() if "num_batches" not in name},
    "with options and numbers": lambda: {
        "args": OPTIONS,
        "config": types.SimpleNamespace(lr=0.1),
        "best": np.float64(0.9),
        "epoch": np.int64(3),
        "history": collections.defaultdict(list, loss=[0.1]),
        "curve": np.arange(3.0),
        "when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "took": dt.timedelta(seconds=3),
        "device": torch.device("cpu"),
        "torch": torch.__version__,
        "windows": pathlib.PureWindowsPath("C:/runs"),
        "model_state_dict": STATE,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_as_people_save_them(tmp_path: Path, form: str) -> None:
    content = FORMS[form]()
    expected = content if form == "half" else STATE
    assert_same(loaded_state(saved(tmp_path, content)), expected if isinstance(expected, Mapping) else STATE)


def test_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    safetensors.torch.save_file({f"model.{name}": each for name, each in STATE.items()}, file)
    assert_same(loaded_state(file))


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ({"state_dict": STATE, "state_dict_ema": OTHER}, ("state_dict", "state_dict_ema")),
        (
            {"state_dict": {**prefixed("model.", STATE), **prefixed("ema.module.", OTHER)}},
            ("state_dict.model", "state_dict.ema.module"),
        ),
        ({**STATE, "ema": OTHER}, (".", "ema")),
        ([STATE, OTHER], ("0", "1")),
    ],
)
def test_of_two_mappings_that_fit_the_manifest_names_one(
    tmp_path: Path, content: object, places: tuple[str, str]
) -> None:
    file = saved(tmp_path, content)
    with pytest.raises(ModelUnavailable) as caught:
        loaded_state(file)
    assert f"has 2 mappings that fit, {places[0]} and {places[1]}: say which one" in str(caught.value)
    assert f'weights_entry: "{places[0]}" in the manifest' in str(caught.value)
    for place, expected in zip(places, (STATE, OTHER), strict=True):
        assert_same(loaded_state(file, weights_entry=place), expected)


def test_a_mapping_may_be_named_without_what_all_its_names_begin_with(tmp_path: Path) -> None:
    file = saved(tmp_path, {"net": prefixed("module.", STATE), "ema": prefixed("module.", OTHER)})
    assert_same(loaded_state(file, weights_entry="ema"), OTHER)


def test_an_entry_that_is_not_there(tmp_path: Path) -> None:
    file = saved(tmp_path, {"state_dict": STATE})
    text = r"no mapping at weights_entry 'ema' has .*'state_dict' has 338, such as conv1.*: correct weights_entry, or"
    with pytest.raises(ModelUnavailable, match=text):
        loaded_state(file, weights_entry="ema")


def test_two_entries_of_a_file_are_two_versions(tmp_path: Path) -> None:
    plain, one, other = (
        file_manifest(tmp_path, weights_entry=entry).identity.version for entry in (None, "state_dict", "ema")
    )
    assert plain == "0" * 12
    assert len({plain, one, other}) == 3
    assert {len(one), len(other)} == {12}


def test_parts_beside_a_network_are_not_dropped_in_silence(tmp_path: Path) -> None:
    more = {"neck.weight": torch.zeros(4, 4), "neck.bias": torch.zeros(4)}
    file = saved(tmp_path, {"state_dict": {**prefixed("backbone.", STATE), **more}})
    with pytest.raises(
        ModelUnavailable, match=r'has neck\.weight, neck\.bias beside the tens.*weights_entry: "state_dict\.backbone"'
    ):
        loaded_state(file)
    with pytest.raises(ModelUnavailable, match=r"neck\.weight"):
        loaded_state(file, weights_entry="state_dict")
    assert_same(loaded_state(file, weights_entry="state_dict.backbone"))


def test_a_message_names_three_tensors_at_most(tmp_path: Path) -> None:
    file = saved(tmp_path, {name: each for name, each in STATE.items() if not name.startswith("stage4.3")})
    with pytest.raises(ModelUnavailable) as caught:
        loaded_state(file)
    text = str(caught.value)
    assert "not a state dict of shufflenet_v2_x0_5 with 4 classes: it lacks stage4.3.branch2.0.weight, " in text
    assert text.count("stage4.3") == 3
    assert "and 12 more" in text
    assert text.endswith("check that architecture, arguments and the number of labels are those of the training")


def test_another_network_is_refused_with_what_the_file_has(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": drawn(0, "mobilenet_v2").state_dict()})
    with pytest.raises(
        ModelUnavailable, match=r"no mapping has at least half of its names; 'model' has 314, such as feat"
    ):
        loaded_state(file)


def test_weights_for_other_classes_say_both_shapes(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"fc\.weight is \(4, 1024\) in the file and \(7, 1024\) in the network"):
        loaded_state(saved(tmp_path, STATE), classes=7)


@pytest.mark.parametrize("damaged", [torch.nan, torch.inf])
def test_damaged_weights_are_refused(tmp_path: Path, damaged: float) -> None:
    state = STATE | {"conv1.1.running_var": torch.full((24,), damaged)}
    with pytest.raises(ModelUnavailable, match=r"NaN or infinity in conv1\.1\.running_var"):
        loaded_state(saved(tmp_path, state))


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    state = STATE | {"fc.weight": torch.ones(4, 1024, dtype=torch.int8)}
    with pytest.raises(ModelUnavailable, match=r"fc\.weight is of type torch\.int8 in the file"):
        loaded_state(saved(tmp_path, state))


class Unknown:
    """What the worker does not know."""


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (drawn, r"such as a whole network \(torch"),
        (lambda: {"model": nn.Sequential(nn.Linear(2, 2))}, r"such as a whole network \(torch\.nn\.modules"),
        (lambda: {"state_dict": STATE, "config": Unknown()}, r"holds objects that are no tensors.*Unknown"),
    ],
)
def test_objects_with_code_are_not_unpickled(
    tmp_path: Path,
    content: Callable[[], object],
    text: str,
    old: bool,  # noqa: FBT001
) -> None:
    file = tmp_path / "weights.pth"
    torch.save(content(), file, _use_new_zipfile_serialization=not old)
    with pytest.raises(ModelUnavailable, match=rf"{text}.*torch\.save\(network\.state_dict\(\), FILE\)$"):
        loaded_state(file)


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a pickle would call."""
        return (Path.write_text, (self.mark, "run"))


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(ModelUnavailable, match="runs no code of a file"):
        loaded_state(saved(tmp_path, {"state_dict": STATE, "callback": Harmful(mark)}))
    assert not mark.exists()


@pytest.mark.parametrize("content", [3, [], {}, {"epoch": 3}, torch.zeros(3)])
def test_a_file_without_named_tensors(tmp_path: Path, content: object) -> None:
    with pytest.raises(ModelUnavailable, match=r"has no mapping from names to tensors, but a \w+: save the weights"):
        loaded_state(saved(tmp_path, content))


# What torchvision's networks themselves make of names and versions.


@pytest.mark.parametrize(
    "name",
    ["mnasnet0_5", *(pytest.param(f"mnasnet{width}", marks=pytest.mark.slow) for width in ("0_75", "1_0", "1_3"))],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_mnasnets_load_with_and_without_the_version_of_their_modules(tmp_path: Path, name: str, prefix: str) -> None:
    state = drawn(0, name).state_dict()
    wrapped = nn.DataParallel(drawn(0, name)).state_dict() if prefix else state
    for content in (wrapped, dict(wrapped)):
        assert_same(loaded_state(saved(tmp_path, content), name), state)
    safetensors.torch.save_file(dict(wrapped), tmp_path / "weights.safetensors")
    assert_same(loaded_state(tmp_path / "weights.safetensors", name), state)


@pytest.mark.slow
def test_transformers_load_with_the_names_of_2021(tmp_path: Path) -> None:
    network = drawn(0, "vit_b_32")
    old = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): each
        for name, each in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    assert_same(loaded_state(saved(tmp_path, {"model": old}), "vit_b_32", preprocessing=SQUARE), network.state_dict())


SQUARE = file_manifest(Path()).preprocessing.__class__(
    resize=224, crop=224, interpolation="bilinear", antialias=True, mean=(0.5, 0.4, 0.3), std=(0.3, 0.4, 0.5)
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("with_auxiliaries", [True, False])
def test_auxiliary_classifiers_may_be_there_or_not(tmp_path: Path, name: str, with_auxiliaries: bool) -> None:  # noqa: FBT001
    state = drawn(0, name, aux_logits=with_auxiliaries, init_weights=False).state_dict()
    found = loaded_state(saved(tmp_path, state), name)
    assert_same(state, found)
    assert not any(key.lower().startswith("aux") for key in found)


@pytest.mark.parametrize("with_auxiliaries", [True, False])
def test_a_segmenter_without_its_auxiliary_classifier(tmp_path: Path, with_auxiliaries: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    state = torchvision.models.segmentation.lraspp_mobilenet_v3_large(num_classes=4, weights_backbone=None).state_dict()
    extra = {"aux_classifier.0.weight": torch.zeros(1)} if with_auxiliaries else {}
    found = loaded_state(saved(tmp_path, state | extra), "lraspp_mobilenet_v3_large", task="segment", labels="abcd")
    assert_same(found, state)


@pytest.mark.parametrize(
    ("build", "fields"),
    [
        (lambda: torchvision.models.video.mc3_18(num_classes=4), {"task": "clip", "frames": 6}),
        (
            lambda: torchvision.models.detection.ssdlite320_mobilenet_v3_large(num_classes=4, weights_backbone=None),
            {"task": "detect"},
        ),
    ],
)
def test_networks_of_other_tasks_are_wrapped_too(
    tmp_path: Path, build: Callable[[], nn.Module], fields: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    state = build().state_dict()
    name = "mc3_18" if fields["task"] == "clip" else "ssdlite320_mobilenet_v3_large"
    file = saved(tmp_path, {"model": prefixed("module.", state), "args": OPTIONS})
    assert_same(loaded_state(file, name, **fields), state)


# Arguments of the builder.


@pytest.mark.slow
def test_a_transformer_for_pictures_of_another_size(tmp_path: Path) -> None:
    state = drawn(0, "vit_b_32", image_size=96).state_dict()
    file = saved(tmp_path, state)
    small = SQUARE.__class__(
        resize=96, crop=96, interpolation="bilinear", antialias=True, mean=SQUARE.mean, std=SQUARE.std
    )
    assert_same(loaded_state(file, "vit_b_32", arguments={"image_size": 96}, preprocessing=small), state)
    with pytest.raises(
        ModelUnavailable, match=r"pos_embedding is \(1, 10, 768\) in the file .*image_size in arguments$"
    ):
        loaded_state(file, "vit_b_32", preprocessing=small)
    with pytest.raises(ModelUnavailable, match=r"built for pictures of 96x96, and preprocessing\.crop says 224x224"):
        loaded_state(file, "vit_b_32", arguments={"image_size": 96}, preprocessing=SQUARE)


@pytest.mark.parametrize("arguments", [{"image_sise": 96}, {"norm_layer": "batch"}, {"width_per_group": 0}])
def test_arguments_that_the_builder_does_not_take(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ModelUnavailable, match=r"resnet18 cannot be built with arguments .*: correct arguments in the"):
        loaded_state(saved(tmp_path, STATE), "resnet18", arguments=arguments)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_network_normalises_once_more_where_the_manifest_says_so(tmp_path: Path, name: str) -> None:
    network: Any = drawn(0, name, init_weights=False).eval()
    file, pixels = saved(tmp_path, network.state_dict()), torch.rand(1, 3, 299, 299)
    answers = []
    for transform in (False, True):
        network.transform_input = transform
        found = load_file(file, architecture=name, arguments={"transform_input": transform})
        assert isinstance(found, nn.Module)
        with torch.inference_mode():
            answers.append(network(pixels))
            assert torch.equal(found.eval()(pixels), answers[-1])
    assert not torch.equal(*answers)
