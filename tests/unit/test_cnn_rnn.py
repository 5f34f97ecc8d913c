"""A CNN + RNN runs a clip as a whole, and frame by frame, to the same scores."""

import pytest
import torch

from worker.domain.errors import ModelUnavailable
from worker.domain.networks import Cell, CnnRnnShape
from worker.models.cnn_rnn import CnnRnn

FRAMES = 5


def network(shape: CnnRnnShape) -> CnnRnn:
    torch.manual_seed(1)
    return CnnRnn(shape, classes=3).eval()


@pytest.mark.parametrize("rnn", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@torch.inference_mode()
def test_frame_by_frame_from_a_fresh_state_ends_where_the_clip_does(rnn: Cell, layers: int) -> None:
    shape = CnnRnnShape("squeezenet1_1", rnn, hidden=8, layers=layers, layer="features.5", grid=2)
    found, clips = network(shape), torch.randn(4, 3, FRAMES, 32, 32)
    state = torch.zeros(4, found.state_size)
    assert found.state_size == 8 * layers * (2 if rnn == "lstm" else 1)
    for number in range(FRAMES):
        scores, state = found.step(found.features(clips[:, :, number]), state)
    torch.testing.assert_close(scores, found(clips), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_cameras_of_one_step_do_not_see_each_other() -> None:
    found = network(CnnRnnShape("shufflenet_v2_x0_5", "lstm", hidden=8, layers=2))
    features, states = found.features(torch.randn(3, 3, 32, 32)), torch.randn(3, found.state_size)
    together = found.step(features, states)
    for row in range(3):
        alone = found.step(features[row : row + 1], states[row : row + 1])
        torch.testing.assert_close(alone.scores[0], together.scores[row], rtol=0, atol=1e-6)
        torch.testing.assert_close(alone.state[0], together.state[row], rtol=0, atol=1e-6)


def test_a_backbone_without_a_layer_gives_what_its_classifier_would_see() -> None:
    found = network(CnnRnnShape("mobilenet_v3_small", hidden=8))
    assert found.features(torch.zeros(2, 3, 32, 32)).shape == (2, 1024)
    assert "classifier.3.weight" not in found.backbone.state_dict()


def test_wrong_parts_are_named() -> None:
    with pytest.raises(ModelUnavailable, match="torchvision has no classifier 'resnet999'; it has alexnet"):
        network(CnnRnnShape("resnet999"))
    with pytest.raises(ModelUnavailable, match="resnet18 has no layer 'layer9'"):
        network(CnnRnnShape("resnet18", layer="layer9"))
