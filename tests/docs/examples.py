"""Examples of settings and of manifests on a page: are they what the worker takes?"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from worker.models.manifest_fields import Document
from worker.settings import Settings, read_groups

_WHOLE_MANIFEST: Final[Mapping[str, Any]] = {
    "name": "example",
    "sha256": "0" * 64,
    "preprocessing": {
        "resize": 256,
        "crop": 224,
        "interpolation": "bilinear",
        "antialias": True,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
    },
}
"""What a page leaves out when it explains something else."""

_LEFT_OUT: Final = (
    "it is required",
    "set either path",
    "cannot be read: No such file",
    "is not set: set it",
)
"""What settings are told for which a page shows only a part, or whose secrets stand in files and variables."""


def faults_of_yaml(text: str) -> list[str]:
    """Return what is wrong with an example: of settings, of a manifest, or of a tool whose files name their kind."""
    return [fault for piece in _pieces(text) for fault in _faults(piece)]


def _pieces(text: str) -> Iterator[str]:
    """Yield the example; if it sets a key twice, it shows alternatives, each after its comment."""
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    yield from re.split(r"^#.*$", text, flags=re.MULTILINE) if len(set(keys)) < len(keys) else [text]


def _faults(text: str) -> list[str]:
    faults = []
    for content in yaml.safe_load_all(text):
        if content is None:
            continue
        if not isinstance(content, dict):
            faults.append(f"{text!r} has no keys")
        elif content.keys() <= Settings.model_fields.keys():
            faults += _faults_of_settings(content)
        elif content.keys() <= {field.name for field in msgspec.structs.fields(Document)}:
            faults += _faults_of_manifest(content)
        elif not content.keys() & {"apiVersion", "services", "scrape_configs", "groups"}:
            faults.append(f"{sorted(content)} are no settings and no fields of a manifest")
    return faults


def _faults_of_settings(content: Mapping[str, Any]) -> list[str]:
    assert not any(name.startswith("VISION_WORKER_KAFKA") for name in os.environ)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(content), file)
        file.flush()
        _, faults = read_groups(Path(file.name))
    return [each for each in faults if re.split(r"[.:]", each)[0] in content and not any(map(each.count, _LEFT_OUT))]


def _faults_of_manifest(content: Mapping[str, Any]) -> list[str]:
    whole = {**_WHOLE_MANIFEST, **content}
    if not re.fullmatch(r"[0-9a-f]{64}", whole["sha256"]):
        whole["sha256"] = "0" * 64  # a page cannot know the hash of the reader's file
    try:
        msgspec.convert(whole, Document)
    except msgspec.ValidationError as error:
        return [str(error)]
    return []
