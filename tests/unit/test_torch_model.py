from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn

from tests.support.models import SIZES, SMALL, Answering, load_file, photograph, prepared, small_model
from tests.support.pictures import scene
from worker.app.main_thread import MainThread
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelContractBroken, ModelFailed, ModelUnavailable
from worker.domain.frames import Image
from worker.domain.geometry import resized_size
from worker.models.engines.torch_engine import find_device
from worker.models.store import sha256_of_file
from worker.models.torchvision_weights import published_weights


def saved(file: Path, content: object) -> str:
    """Save with torch and return the file's sha256."""
    torch.save(content, file)
    return sha256_of_file(file)


def exported(file: Path, network: nn.Module, *inputs: torch.Tensor, batch: bool = True) -> str:
    """Export a program and return the file's sha256."""
    shapes = tuple({0: torch.export.Dim("batch", min=1)} if batch else {} for _ in inputs)
    torch.export.save(torch.export.export(network.eval(), inputs, dynamic_shapes=shapes), file)
    return sha256_of_file(file)


# Preprocessing.

WEIGHTS = [
    ("mobilenet_v2", "IMAGENET1K_V1"),  # bilinear, 256 to 224
    ("mobilenet_v2", "IMAGENET1K_V2"),  # 232 to 224
    ("efficientnet_b3", "IMAGENET1K_V1"),  # bicubic, 320 to 300
    ("regnet_y_16gf", "IMAGENET1K_SWAG_E2E_V1"),  # bicubic, nothing cut off: 384 to 384
]


@pytest.mark.parametrize(("architecture", "member"), WEIGHTS)
def test_preparing_is_torchvisions_own_bit_for_bit(architecture: str, member: str) -> None:
    numbers = published_weights(architecture, member).preprocessing
    transforms = torchvision.models.get_model_weights(architecture)[member].transforms()
    model = small_model(nn.Identity(), preprocessing=numbers)
    grey = np.repeat(photograph("coffee").pixels[:, :, 1:2], 3, axis=2)
    pictures = [photograph(name).pixels for name in ("chelsea", "coffee", "rocket")]
    pictures += [pictures[0][:61, :97], pictures[1].transpose(1, 0, 2), pictures[2][:224, :224], grey]
    for pixels in [*pictures, *(scene(width, height) for height, width in SIZES)]:
        expected = transforms(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))))
        (found,) = torch.from_numpy(prepared(model, Image(pixels))).permute(0, 3, 1, 2)
        normalised = (found.float() / 255 - torch.tensor(numbers.mean).view(3, 1, 1)) / torch.tensor(numbers.std).view(
            3, 1, 1
        )
        assert torch.equal(normalised, expected), pixels.shape


def test_the_network_sees_exactly_what_torchvision_would_give_it() -> None:
    seen = list[torch.Tensor]()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.clone())
        return torch.zeros(len(pixels), 1)

    weights = published_weights("mobilenet_v2", "IMAGENET1K_V1")
    model = small_model(Answering(answer), classes=1, preprocessing=weights.preprocessing)
    model.run(prepared(model, photograph("coffee"), photograph("rocket")))
    transforms = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    for row, name in zip(seen[0], ("coffee", "rocket"), strict=True):
        assert torch.equal(row, transforms(torch.from_numpy(photograph(name).pixels.transpose(2, 0, 1).copy())))


def test_nearest_needs_no_antialiasing() -> None:
    pixels = np.kron(np.arange(144, dtype=np.uint8).reshape(12, 12, 1), np.ones((2, 2, 3), np.uint8))
    nearest = SMALL.__class__(
        resize=12, crop=8, interpolation="nearest", antialias=True, mean=SMALL.mean, std=SMALL.std
    )
    assert np.array_equal(
        prepared(small_model(nn.Identity(), preprocessing=nearest), Image(pixels))[0], pixels[::2, ::2][2:10, 2:10]
    )


# What the network answers.


def test_logits_become_probabilities_and_probabilities_stay() -> None:
    row = torch.tensor([0.1, 0.2, 0.3, 0.4])
    black = np.zeros((2, 8, 8, 3), np.uint8)
    said = small_model(Answering(lambda x: row.expand(len(x), 4)), output="probabilities").run(black)
    np.testing.assert_array_equal(said["indices"], [[3, 2, 1, 0]] * 2)
    np.testing.assert_array_equal(said["probabilities"], row.flip(0).expand(2, 4))
    scored = small_model(Answering(lambda x: row.log().expand(len(x), 4)), output="logits").run(black)
    np.testing.assert_array_equal(scored["indices"], said["indices"])
    np.testing.assert_allclose(scored["probabilities"], said["probabilities"], rtol=1e-6)


def test_logits_of_any_size_become_probabilities() -> None:
    row = torch.tensor([-1000.0, 1000.0, 999.0, 0.0])
    found = small_model(Answering(lambda x: row.expand(len(x), 4))).run(np.zeros((1, 8, 8, 3), np.uint8))
    np.testing.assert_array_equal(found["indices"], [[1, 2, 0, 3]])
    np.testing.assert_allclose(found["probabilities"], torch.softmax(row[[1, 2, 0, 3]], 0)[None], rtol=1e-6)


BROKEN: list[tuple[Callable[[torch.Tensor], object], str]] = [
    (lambda x: torch.zeros(len(x), 5), r"returned \(2, 5\), not \(2, 4\): do its labels belong"),
    (lambda _: torch.zeros(1, 4), r"returned \(1, 4\), not \(2, 4\)"),
    (lambda x: torch.zeros(len(x), 4, 1), r"returned \(2, 4, 1\)"),
    (lambda x: torch.full((len(x), 4), torch.nan), "NaN or infinity"),
    (lambda x: torch.full((len(x), 4), torch.inf), "NaN or infinity"),
    (lambda x: (torch.zeros(len(x), 4),), "returned a tuple"),
    (lambda x: torch.ones(len(x), 4), "no probabilities; say output: logits"),
    (lambda x: torch.tensor([[2.0, -1.0, 0.0, 0.0]]).expand(len(x), 4), "no probabilities"),
]


@pytest.mark.parametrize(("answer", "text"), BROKEN)
def test_an_answer_that_breaks_the_contract(answer: Callable[[torch.Tensor], object], text: str) -> None:
    model = small_model(Answering(answer), output="probabilities")
    with pytest.raises(ModelContractBroken, match=text):
        model.warm_up(2)


def test_what_the_network_raises_is_a_failure_with_its_cause() -> None:
    def answer(_: torch.Tensor) -> object:
        raise IndexError("no such layer")

    with pytest.raises(ModelFailed, match="small@000000000000 failed on a batch of 3: no such layer") as caught:
        small_model(Answering(answer)).warm_up(3)
    assert isinstance(caught.value.__cause__, IndexError)


def test_before_frames_come_the_network_has_seen_every_size_that_calls_will_have() -> None:
    seen = list[int]()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return torch.zeros(len(pixels), 4)

    model, inference = small_model(Answering(answer), threads=2, streams=1), MainThread(1)
    model.fill_memory(32, inference.in_each)
    before = list(seen)
    for samples in range(1, 33):
        for part in model.parts(samples):
            model.run(np.zeros((part.stop - part.start, 8, 8, 3), np.uint8))

    assert before == 2 * [16, 8, 7, 6, 5, 4, 3, 2, 1]
    assert set(seen) == set(before)


def test_batches_that_are_small_need_no_larger_size() -> None:
    seen = list[int]()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return torch.zeros(len(pixels), 4)

    small_model(Answering(answer), threads=1).fill_memory(3, MainThread(1).in_each)
    assert seen == 2 * [3, 2, 1]


def test_a_network_runs_as_for_use_not_as_for_training() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 8 * 8, 4))
    model = small_model(network)
    model.warm_up(1)
    pictures = scene(8, 8)[None]
    first, second = model.run(pictures), model.run(pictures)
    assert np.array_equal(first["probabilities"], second["probabilities"])
    assert not any(module.training for module in network.modules())


# Devices.


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"device '{device}'.* use cpu"):
        find_device(device, "fp32")


def test_threads_are_set_for_the_process() -> None:
    before = torch.get_num_threads()
    try:
        small_model(nn.Identity(), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


# Files.


def test_weights_load_strictly(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    state = torchvision.models.squeezenet1_1(num_classes=4).state_dict()
    torch.save(state, file)
    load_file(file, architecture="squeezenet1_1", classes=4)
    with pytest.raises(
        ModelUnavailable, match=r"not a state dict of squeezenet1_1 with 5 classes.*\(4, 512, 1, 1\) in"
    ):
        load_file(file, architecture="squeezenet1_1", classes=5)
    state.popitem()
    torch.save(state, file)
    with pytest.raises(ModelUnavailable, match=r"it lacks classifier\.1\.bias: check"):
        load_file(file, architecture="squeezenet1_1", classes=4)


def test_a_file_that_is_another_one(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    found = saved(file, {})
    with pytest.raises(ModelUnavailable, match=f"has sha256 {found}, but its manifest says {'a' * 64}: get"):
        load_file(file, sha256="a" * 64, architecture="squeezenet1_1", classes=4)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file or directory; put the model's file there"):
        load_file(tmp_path / "weights.pth", sha256="a" * 64, architecture="squeezenet1_1", classes=4)


def test_an_architecture_torchvision_does_not_have(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    with pytest.raises(ModelUnavailable, match=r"'resnet999' is not known; for the task classify there is alexnet"):
        load_file(file, sha256=saved(file, {}), architecture="resnet999", classes=4)


def test_densenets_published_names_of_2017_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    network = torchvision.models.densenet121(num_classes=4)
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2"): value
        for name, value in network.state_dict().items()
    }
    assert old.keys() != network.state_dict().keys()
    load_file(file, sha256=saved(file, old), architecture="densenet121", classes=4)


def test_what_torchvision_gives_its_builders_travels_with_the_weights() -> None:
    for name in ("googlenet", "inception_v3"):
        assert published_weights(name).arguments == {"transform_input": True}
        assert published_weights(name).preprocessing.mean == (0.485, 0.456, 0.406)
    assert published_weights("vit_h_14").arguments == {"image_size": 518}
    assert published_weights("vit_b_16", "IMAGENET1K_SWAG_E2E_V1").arguments == {"image_size": 384}
    assert published_weights("resnet18").arguments == {}


def test_all_of_torchvisions_classifiers_are_described() -> None:
    for architecture in torchvision.models.list_models(module=torchvision.models):
        for member in torchvision.models.get_model_weights(architecture).__members__:
            if (architecture, member) == ("vgg16", "IMAGENET1K_FEATURES"):
                continue
            weights = published_weights(architecture, member)
            assert len(weights.labels) == 1000
            assert min(weights.preprocessing.crop_size) <= max(resized_size((9, 9), weights.preprocessing.resize))
            assert weights.clip is None
            assert isinstance(weights.preprocessing.crop, int)
    with pytest.raises(ModelUnavailable, match="no weights 'V9'; it has IMAGENET1K_V1, DEFAULT"):
        published_weights("squeezenet1_1", "V9")
    with pytest.raises(ModelUnavailable, match="feature weights without classes"):
        published_weights("vgg16", "IMAGENET1K_FEATURES")


CLIPS: Final = {
    "r3d_18": ClipShape(16, 15.0),
    "mc3_18": ClipShape(16, 15.0),
    "r2plus1d_18": ClipShape(16, 15.0),
    "s3d": ClipShape(128, 15.0),
    "mvit_v1_b": ClipShape(16, 7.5),
    "mvit_v2_s": ClipShape(16, 7.5),
    "swin3d_t": ClipShape(32, 15.0),
    "swin3d_s": ClipShape(32, 15.0),
    "swin3d_b": ClipShape(32, 15.0),
}


def test_all_of_torchvisions_video_models_are_described() -> None:
    assert CLIPS.keys() == set(torchvision.models.list_models(module=torchvision.models.video))
    for architecture, clip in CLIPS.items():
        for member in torchvision.models.get_model_weights(architecture).__members__:
            weights = published_weights(architecture, member)
            assert (weights.clip, len(weights.labels)) == (clip, 400)
            assert weights.preprocessing.crop_size == ((112, 112) if architecture.endswith("_18") else (224, 224))
            assert not weights.preprocessing.antialias
    assert published_weights("r3d_18").preprocessing.resize == (128, 171)
    assert published_weights("s3d").preprocessing.resize == (256, 256)
    assert published_weights("swin3d_t").preprocessing.resize == 256


# Programs.

POOL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_program_is_run_in_the_layout_it_was_exported_with(tmp_path: Path, layout: torch.memory_format) -> None:
    # Flattening without pooling is exported as a view, which fits one layout only.
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 4))
    file, pictures = tmp_path / "small.pt2", np.stack([scene(8, 8)] * 3)
    sha256 = exported(file, network, torch.zeros(2, 3, 8, 8).to(memory_format=layout))
    program = small_model(load_file(file, sha256=sha256, architecture=None, classes=4))
    found, expected = program.run(pictures), small_model(network).run(pictures)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)


def test_a_program_of_another_layout_than_the_one_that_is_set(tmp_path: Path) -> None:
    file = tmp_path / "small.pt2"
    sha256 = exported(file, POOL, torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last))
    program = load_file(file, sha256=sha256, architecture=None, classes=4)
    with pytest.raises(ModelUnavailable, match=r"exported in channels_last.*leave model\.memory_format as it is"):
        small_model(program, memory_format="contiguous")
