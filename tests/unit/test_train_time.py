"""Networks that see time learn what no single frame tells: whether it becomes brighter or darker."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.labelled import a_picture
from worker.data.labelled import read_labelled
from worker.domain.errors import SettingsError
from worker.domain.networks import CnnRnnShape
from worker.models.build import load_model
from worker.models.cnn_rnn import CnnRnn
from worker.models.manifest import load_manifest
from worker.models.network import load_network
from worker.settings import ModelGroup
from worker.training.batches import normalise
from worker.training.options import Options
from worker.training.prepared import prepare
from worker.training.train import train

pytestmark = pytest.mark.slow

FRAMES = 4
CLIPS = Options(
    task="clip",
    model="cnn_rnn",
    shape=CnnRnnShape("shufflenet_v2_x0_5", hidden=16, layer="maxpool"),
    weights="none",
    layers="all",
    size=(32, 32),
    frames=FRAMES,
    rate=10,
    learning_rate=0.01,
    augment="none",
    epochs=6,
    batch=8,
    threads=1,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write twelve videos of each class, as sub-folders of four pictures."""
    folder = tmp_path_factory.mktemp("data")
    for label, levels in (("brighter", (40, 90, 140, 190)), ("darker", (190, 140, 90, 40))):
        for video in range(12):
            place = folder / label / f"{label}{video}"
            place.mkdir(parents=True)
            for number, level in enumerate(levels):
                picture = a_picture(video * 10 + number, colour=(level, level, level))
                (place / f"{number}.png").write_bytes(picture)
    return folder


def prepared_clips(data: Path, folder: Path, scratch: Path) -> list[tuple[str, torch.Tensor]]:
    """Return the label and the pixels of each video, (1, frames, 3, height, width)."""
    items = read_labelled(data, rate=10)
    found = prepare(items, load_manifest(folder).preprocessing, scratch)
    groups = list(dict.fromkeys((each.group, each.label or "") for each in items))
    clips = []
    for group, label in groups:
        rows = [row for row, each in enumerate(found.items) if each.group == group]
        clips.append((label, torch.from_numpy(np.array(found.pixels[rows])).permute(0, 3, 1, 2)[None]))
    return clips


def network_in(folder: Path) -> CnnRnn:
    network = load_network(load_manifest(folder))
    assert isinstance(network, CnnRnn)
    return network.eval()


def test_clips_are_learned_and_served(data: Path, tmp_path: Path) -> None:
    outcome = train(data, tmp_path / "clips", CLIPS)

    manifest = load_manifest(tmp_path / "clips")
    model = load_model(ModelGroup(path=tmp_path / "clips"))
    clips = prepared_clips(data, tmp_path / "clips", tmp_path)
    pixels = np.stack([clip[0].permute(0, 2, 3, 1).numpy() for _, clip in clips])
    said = [manifest.labels[index] for index in model.run(pixels)["indices"][:, 0]]

    assert (manifest.clip and manifest.clip.frames, manifest.clip and manifest.clip.rate) == (FRAMES, 10)
    assert outcome.measured.score == 1
    assert said == [label for label, _ in clips]


def test_a_recurrent_network_answers_each_frame_as_it_was_measured(data: Path, tmp_path: Path) -> None:
    outcome = train(data, tmp_path / "stream", replace(CLIPS, task="recurrent", rate=None))

    manifest, network = load_manifest(tmp_path / "stream"), network_in(tmp_path / "stream")
    card = json.loads((tmp_path / "stream" / "card.json").read_text())
    held_out = set(card["data"]["held_out_groups"])
    groups = list(dict.fromkeys(each.group for each in read_labelled(data)))
    right = []
    for group, (label, clip) in zip(groups, prepared_clips(data, tmp_path / "stream", tmp_path), strict=True):
        if group not in held_out:
            continue
        state = torch.zeros(1, network.state_size)
        with torch.inference_mode():
            for frame in clip[0]:
                scores, state = network.step(network.features(normalise(frame[None], manifest.preprocessing)), state)
                right.append(manifest.labels[int(scores.argmax())] == label)

    assert (manifest.recurrence and manifest.recurrence.silence_ms) == 10_000
    share = card["held_out"]["accuracy_share"]
    assert (sum(right), len(right)) == (share["right"], share["total"])
    assert outcome.measured.score > 0.7  # of the first frame, nothing is known


def test_weights_of_clips_begin_a_recurrent_network(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "clips", CLIPS)

    options = replace(CLIPS, task="recurrent", weights=str(tmp_path / "clips"), layers="head", epochs=1)
    train(data, tmp_path / "stream", replace(options, learning_rate=0.0))

    clips, stream = network_in(tmp_path / "clips").state_dict(), network_in(tmp_path / "stream").state_dict()
    assert all(torch.equal(clips[name], stream[name]) for name in clips)
    assert json.loads((tmp_path / "stream" / "card.json").read_text())["random_at_first"] == []


def test_streams_that_are_too_short_are_refused_with_advice(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a clip needs 16 frames of one camera or video, 10 a second"):
        train(data, tmp_path / "out", replace(CLIPS, frames=16))
