"""What a file is said to be, for files as their own libraries write them."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from tests.support.models import load_file
from tests.support.pictures import jpeg_with_exif, scene
from worker.domain.errors import ModelUnavailable
from worker.models.file_kinds import PROGRAM, SAFETENSORS, SAVED, kind_of
from worker.models.store import sha256_of_file

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
STATE = NETWORK.state_dict()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """Return what a library writes to a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return file.getvalue()


SAVED_BYTES = written(lambda file: torch.save(STATE, file))
TENSORS = safetensors.torch.save(STATE)
PROGRAM_BYTES = written(lambda file: torch.export.save(torch.export.export(NETWORK, (torch.zeros(2, 3, 8, 8),)), file))


def scripted() -> bytes:
    with pytest.warns(FutureWarning):
        return written(lambda file: torch.jit.save(torch.jit.script(NETWORK), file))


def test_what_the_worker_can_read() -> None:
    old = written(lambda file: torch.save(STATE, file, _use_new_zipfile_serialization=False))
    assert [kind_of(each) for each in (SAVED_BYTES, old, TENSORS, PROGRAM_BYTES)] == [
        SAVED,
        SAVED,
        SAFETENSORS,
        PROGRAM,
    ]
    # Its first two bytes are those of a pickle: the length of the header happens to be 640.
    length = 640 - len(safetensors.torch.save({"a": torch.zeros(1)}, {"note": ""})) + 12
    padded = safetensors.torch.save({"a": torch.zeros(1)}, {"note": "x" * length})
    assert padded[:2] == b"\x80\x02"
    assert kind_of(padded) is SAFETENSORS


OTHERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file, .*: copy or download it again"),
    "blank": (b"\n\n", "an empty file"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "annex": (b"/annex/objects/SHA256E-s9--ab.pth\n", "a git-annex pointer.*git annex get"),
    "page": (b"\xef\xbb\xbf\n<!DOCTYPE html><html>Sign in</html>", "an HTML page.*download the file itself"),
    "xhtml": (b"<html lang='de'>", "an HTML page"),
    "error": (
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "an XML text.*download the file itself",
    ),
    "json": (b'{"id2label": {"0": "cat"}}', "a JSON text.*name the file with the weights"),
    "yaml": ("name: mäuse\n".encode() * 300, "a text, such as YAML.*name the file with the weights"),
    "cut": (SAVED_BYTES[:-100], "a file that is cut short.*copy or download it again"),
    "cut tensors": (TENSORS[:-1], "a file that is cut short"),
    "cut header": (TENSORS[:150], "a file that is cut short"),
    "gzip": (gzip.compress(SAVED_BYTES), "a compressed archive.*unpack it"),
    "tar": (tarred(), "a compressed archive"),
    "zip": (zipped(**{"weights.pth": SAVED_BYTES}), "a zip archive without a network.*unpack it"),
    "pickle": (np.zeros(1).dumps(), r"a pickle that torch\.save did not write.*torch\.save\(network\.state_dict"),
    "onnx": (b"\x08\x0a\x12\x07pytorch\x1a\x062.14.1:\x80\x01", "an ONNX model.*torch.export.save"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(64), "a model of Keras.*in torch"),
    "keras 3": (zipped(**{"config.json": b"{}", "model.weights.h5": b""}), "a model of Keras"),
    "saved model": (b"\x08\x01\x12\xd0\x01", "a model of TensorFlow.*in torch"),
    "lite": (b"\x1c\x00\x00\x00TFL3" + bytes(64), "a model of TensorFlow"),
    "frozen": (b"\n.\n\x05input\x12\x0bPlaceholder*", "a model of TensorFlow"),
    "arrays": (written(lambda file: np.savez(file, a=np.zeros(3))), "a file of NumPy"),
    "array": (written(lambda file: np.save(file, np.zeros(3))), "a file of NumPy"),
    "picture": (jpeg_with_exif(scene(8, 8)), "a picture"),
    "noise": (np.random.default_rng(1).bytes(500), "a file of an unknown kind.*give a file of torch.save"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_network_is_named_whatever_the_manifest_says(tmp_path: Path, name: str) -> None:
    content, text = OTHERS[name]
    file = tmp_path / "network.bin"
    file.write_bytes(content)
    for architecture in ("squeezenet1_1", None):
        for sha256 in (sha256_of_file(file), "a" * 64):  # people take the hash of what they have, or of what they want
            with pytest.raises(ModelUnavailable, match=rf"(?s)network\.bin is {text}"):
                load_file(file, architecture=architecture, sha256=sha256)


def test_torchscript_says_how_to_get_its_weights(tmp_path: Path) -> None:
    file = tmp_path / "scripted.pt"
    file.write_bytes(scripted())
    with pytest.raises(ModelUnavailable, match=r'is a TorchScript program.*torch\.jit\.load\("FILE"\)\.state_dict'):
        load_file(file, architecture="squeezenet1_1")


def test_weights_in_the_place_of_a_program_and_the_reverse(tmp_path: Path) -> None:
    file = tmp_path / "network"
    for content, what in ((SAVED_BYTES, "a file of torch.save"), (TENSORS, "a safetensors file")):
        file.write_bytes(content)
        with pytest.raises(ModelUnavailable, match=f"is {what}, not a program: give it as weights, together with arch"):
            load_file(file)
    file.write_bytes(PROGRAM_BYTES)
    with pytest.raises(ModelUnavailable, match=r"is a program of torch\.export, not weights: write program: FILE"):
        load_file(file, architecture="squeezenet1_1")


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("saved_model.pb", "a model of TensorFlow"),
        ("Manifest.json", "a model of Core ML"),
        ("model.safetensors", r"a folder, .*: name the file .* such as model\.safetensors"),
    ],
)
def test_a_folder_is_no_file(tmp_path: Path, inside: str, text: str) -> None:
    (tmp_path / inside).write_text(json.dumps({}))
    with pytest.raises(ModelUnavailable, match=f"is {text}"):
        load_file(tmp_path, architecture="squeezenet1_1")
