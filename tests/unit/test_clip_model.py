"""Models that see time: what their network sees, what it answers, and which files it may come from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from torch import nn
from torchvision.models.video import R3D_18_Weights  # type: ignore[import-untyped]

from tests.support.models import SMALL, Answering, Brightness, Motion, load_file, moving_clips, small_model
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelContractBroken, ModelUnavailable
from worker.models.build import PICTURES_A_THREAD
from worker.models.container import cores
from worker.models.manifest_fields import TaskName
from worker.models.store import sha256_of_file

CLIP: Final = ClipShape(6, 15.0)
VALUES: Final = ClipShape(6, 25.0, 2)


def exported(file: Path, network: nn.Module, example: torch.Tensor) -> str:
    """Export a program for any batch, and return the file's sha256."""
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    torch.export.save(torch.export.export(network.eval(), (example,), dynamic_shapes=any_batch), file)
    return sha256_of_file(file)


def test_the_network_sees_exactly_what_torchvision_would_give_it() -> None:
    seen = list[torch.Tensor]()

    def answer(pixels: torch.Tensor) -> torch.Tensor:
        seen.append(pixels.clone())
        return torch.zeros(len(pixels), 4)

    preset = R3D_18_Weights.DEFAULT.transforms()
    numbers = replace(SMALL, resize=8, antialias=False, mean=tuple(preset.mean), std=tuple(preset.std))
    small_model(Answering(answer), task="clip", clip=CLIP, preprocessing=numbers).run(moving_clips(2))
    preset.resize_size, preset.crop_size = [8, 8], [8, 8]
    assert seen[0].shape == (2, 3, 6, 8, 8)
    assert torch.equal(seen[0], preset(torch.from_numpy(moving_clips(2).transpose(0, 1, 4, 2, 3).copy())))


def test_the_shape_of_a_sample_and_of_a_frame() -> None:
    model = small_model(Motion(), task="clip", clip=CLIP)
    assert (model.clip, model.input_shape, model.frame_shape) == (CLIP, (6, 8, 8, 3), (8, 8, 3))
    single = small_model(nn.Identity())
    assert (single.clip, single.input_shape, single.frame_shape) == (None, (8, 8, 3), (8, 8, 3))


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_a_clip_is_classified_like_a_picture(memory_format: str) -> None:
    model = small_model(Motion(), task="clip", clip=CLIP, memory_format=memory_format)
    model.warm_up(3)
    found = model.run(moving_clips(3))
    normalised = (moving_clips(3) / 255 - SMALL.mean) / SMALL.std
    expected = Motion().eval()(torch.from_numpy(normalised.transpose(0, 4, 1, 2, 3)).float()).softmax(dim=1)
    assert model.task.name == "clip"
    assert np.array_equal(found["indices"][:, 0], expected.argmax(dim=1))
    best = expected.sort(dim=1, descending=True).values.detach()
    np.testing.assert_allclose(found["probabilities"], best, atol=1e-5)


def test_fewer_frames_are_a_clip_too() -> None:
    model = small_model(Motion(), task="clip", clip=CLIP)
    whole = moving_clips(2)
    shorter = model.run(np.ascontiguousarray(whole[:, :4]))
    assert shorter["indices"].shape == (2, 4)
    assert not np.array_equal(shorter["probabilities"], model.run(whole)["probabilities"])
    values = small_model(Brightness(), task="frame_values", clip=VALUES, labels=("dark", "light"))
    np.testing.assert_allclose(values.run(whole[:, :4])["values"], values.run(whole)["values"][:, :4], rtol=1e-6)


@pytest.mark.parametrize("frames", [2, PICTURES_A_THREAD, 1000])
def test_a_part_counts_frames_and_never_cuts_a_clip(frames: int) -> None:
    model = small_model(Motion(), task="clip", clip=ClipShape(frames, 15.0))
    largest = max(part.stop - part.start for part in model.parts(1000))
    assert largest == max(1, PICTURES_A_THREAD * cores() // frames)


def test_logits_become_values_and_probabilities_stay() -> None:
    row = torch.tensor([0.1, 0.2, 0.5, 0.7, 0.001, 0.999])
    labels = ("dark", "light")
    said = small_model(
        Answering(lambda x: row.expand(len(x), 6)),
        task="frame_values",
        clip=VALUES,
        labels=labels,
        output="probabilities",
    )
    np.testing.assert_array_equal(said.run(moving_clips(2))["values"], row.expand(2, 6))
    scored = small_model(
        Answering(lambda x: row.logit().expand(len(x), 6)), task="frame_values", clip=VALUES, labels=labels
    )
    np.testing.assert_allclose(scored.run(moving_clips(2))["values"], row.expand(2, 6), atol=1e-7)


BROKEN: list[tuple[Callable[[torch.Tensor], object], str]] = [
    (lambda x: torch.zeros(len(x), 4), r"returned \(2, 4\), not \(2, 6\): task frame_values needs a value for each"),
    (lambda x: torch.zeros(len(x), 6, 1), r"returned \(2, 6, 1\)"),
    (lambda x: torch.full((len(x), 6), torch.nan), "NaN"),
    (lambda x: (torch.zeros(len(x), 6),), "returned a tuple"),
    (lambda x: torch.full((len(x), 6), 2.0), "no probabilities; say output: logits"),
]


@pytest.mark.parametrize(("answer", "text"), BROKEN)
def test_values_that_break_the_contract(answer: Callable[[torch.Tensor], object], text: str) -> None:
    model = small_model(
        Answering(answer), task="frame_values", clip=VALUES, labels=("dark", "light"), output="probabilities"
    )
    with pytest.raises(ModelContractBroken, match=text):
        model.run(moving_clips(2))


# Files.


def test_weights_of_a_video_model_load_strictly(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(torchvision.models.video.mc3_18(num_classes=4).state_dict(), file)
    found = sha256_of_file(file)
    load_file(file, sha256=found, architecture="mc3_18", classes=4, task="clip", frames=16)
    with pytest.raises(ModelUnavailable, match=r"not a state dict of mc3_18 with 5 classes.*fc\.weight is \(4, 512\)"):
        load_file(file, sha256=found, architecture="mc3_18", classes=5, task="clip", frames=16)


@pytest.mark.parametrize(
    ("architecture", "task", "text"),
    [
        ("mc3_18", "classify", r"'mc3_18' is not for the task classify: its manifest needs task: clip"),
        (
            "resnet18",
            "clip",
            r"'resnet18' is not for the task clip: its manifest needs task: classify or multi_label or embed",
        ),
        ("ssd300_vgg16", "segment", r"'ssd300_vgg16' is not for the task segment: its manifest needs task: detect"),
        ("cnn_rnn", "detect", r"'cnn_rnn' is not for the task detect: its manifest needs task: clip or recurrent"),
        ("resnet999", "clip", r"'resnet999' is not known; for the task clip there is mc3_18, .*swin3d_t, cnn_rnn"),
        ("resnet18", "frame_values", r"manifest needs task: classify or multi_label or embed"),
        ("resnet999", "frame_values", r"for the task frame_values there is none: give a program"),
    ],
)
def test_a_network_of_another_kind(tmp_path: Path, architecture: str, task: TaskName, text: str) -> None:
    file = tmp_path / "weights.pth"
    torch.save({}, file)
    with pytest.raises(ModelUnavailable, match=text):
        load_file(file, sha256=sha256_of_file(file), architecture=architecture, classes=4, task=task)


@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
def test_a_program_answers_as_its_network(tmp_path: Path, layout: torch.memory_format) -> None:
    file = tmp_path / "small.pt2"
    sha256 = exported(file, Motion(), torch.zeros(2, 3, 6, 8, 8).to(memory_format=layout))
    program = small_model(
        load_file(file, sha256=sha256, architecture=None, classes=4, frames=6), task="clip", clip=CLIP
    )
    expected = small_model(Motion(), task="clip", clip=CLIP).run(moving_clips(3))
    np.testing.assert_allclose(program.run(moving_clips(3))["probabilities"], expected["probabilities"], atol=1e-6)


def test_a_program_of_other_clips_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "small.pt2"
    sha256 = exported(file, Motion(), torch.zeros(2, 3, 6, 8, 8))
    single = r"takes an input of shape \(any, 3, 6, 8, 8\), not one of \(batch, 3, 8, 8\): export it again"
    for frames, text in (
        (None, single),
        (8, r"takes a number of frames of 6, and clip\.frames says 8: correct clip\.frames"),
    ):
        with pytest.raises(ModelUnavailable, match=text):
            load_file(file, sha256=sha256, architecture=None, classes=4, frames=frames)


def test_a_program_of_another_layout_than_the_one_that_is_set(tmp_path: Path) -> None:
    file = tmp_path / "small.pt2"
    sha256 = exported(file, Motion(), torch.zeros(2, 3, 6, 8, 8).to(memory_format=torch.channels_last_3d))
    program = load_file(file, sha256=sha256, architecture=None, classes=4, frames=6)
    with pytest.raises(ModelUnavailable, match=r"exported in channels_last.*leave model\.memory_format as it is"):
        small_model(program, task="clip", clip=CLIP, memory_format="contiguous")
