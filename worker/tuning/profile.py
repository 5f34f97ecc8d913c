"""What tuning has found, in a file of the user's cache: one for each machine, model and set of versions."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from worker import __version__
from worker.domain.errors import SettingsError
from worker.models.container import cores
from worker.models.engines.torch_engine import describe_processor
from worker.models.manifest import Manifest
from worker.models.store import cache_folder, sha256_of_bytes, write_atomically
from worker.tuning.search import Tried

LIBRARIES: Final = ("torch", "openvino", "onnxruntime", "opencv-python-headless")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile is good for.

    Attributes:
        model: its name.
        sha256: of its weights or program.
        device: that the model runs on.
        processor: the CPU's name, and the GPU's if the model runs on one.
        features: of the CPU.
        cores: that the worker may use.
        versions: of what runs models, and of the worker; None where it is not installed.
    """

    model: str
    sha256: str
    device: str
    processor: str
    features: tuple[str, ...]
    cores: int
    versions: dict[str, str | None]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of settings, and what came of it; `tuning.search.Tried` as it is kept."""

    stage: str
    settings: dict[str, Any]
    frames_per_second: float | None
    agreement: float | None
    difference: float | None
    why_not: str | None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        tuned_at: date and time, ISO 8601.
        frames: what it was tried on, in words.
        min_agreement: share of the frames whose most likely class had to be the reference's.
        max_difference: that was allowed between two probabilities.
        settings: by their full names; what is not named is left as it is.
        frames_per_second: of the whole worker without Kafka, with these settings.
        untuned_frames_per_second: without a profile; None if that did not run, or did not agree.
        tried: everything.
    """

    key: Key
    tuned_at: str
    frames: str
    min_agreement: float
    max_difference: float
    settings: dict[str, Any]
    frames_per_second: float
    untuned_frames_per_second: float | None
    tried: list[Attempt]


def attempt(tried: Tried) -> Attempt:
    """Return what is kept of what was tried."""
    return Attempt(
        stage=tried.stage,
        settings=dict(tried.settings),
        frames_per_second=tried.frames_per_second,
        agreement=tried.agreement.share if tried.agreement else None,
        difference=tried.agreement.difference if tried.agreement else None,
        why_not=tried.why_not,
    )


def key_of(manifest: Manifest, device: str) -> Key:
    """Describe this machine as far as speed goes.

    Raises:
        ModelUnavailable: there is no such device.
    """
    processor, features = describe_processor(device)
    versions = {name: _version(name) for name in LIBRARIES}
    return Key(
        model=manifest.name,
        sha256=manifest.sha256,
        device=device,
        processor=processor,
        features=features,
        cores=cores(),
        versions={**versions, "vision-worker": __version__},
    )


def file_of(key: Key) -> Path:
    """Return where the profile lies, if there is one."""
    digest = sha256_of_bytes(msgspec.json.encode(key, order="sorted"))
    return cache_folder() / "profiles" / f"{key.model}-{digest[:16]}.json"


def read_profile(key: Key) -> Profile | None:
    """Read the profile of a machine and a model; None if there is none.

    Raises:
        SettingsError: it is damaged.
    """
    file = file_of(key)
    try:
        profile = msgspec.json.decode(file.read_bytes(), type=Profile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise damaged(file, error) from error
    if profile.key != key:
        raise damaged(file, "it was made for something else")
    return profile


def write_profile(profile: Profile) -> Path:
    """Keep a profile in place of the one before, whole or not at all; return its file."""
    file = file_of(profile.key)
    write_atomically(file, msgspec.json.format(msgspec.json.encode(profile)) + b"\n")
    return file


def damaged(file: Path, why: object) -> SettingsError:
    """Say that a profile cannot be used, and what to do."""
    return SettingsError(
        [f"model.profile: {file} cannot be used: {why}; delete it, run vision-worker tune again, or set it to off"]
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
