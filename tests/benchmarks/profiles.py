"""The settings of a tuned worker: those that `vision-worker tune` finds, and defaults for the rest."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.models import TimedModel
from worker.models.manifest import load_manifest
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.profile import key_of, read_profile
from worker.tuning.suited import suited

Settings = Mapping[str, Mapping[str, Any]]

UNTUNED: Settings = {}
"""The settings of a user who sets only brokers, topics and model."""
UINT8: Settings = {"model": {"preparation": "uint8"}}
"""The settings of a user who also has pictures resized in integers, as no peer does it."""


def tuned(model: TimedModel, frames: Path, servers: str, *, quick: bool) -> Settings:
    """Return the settings of a worker tuned for a model on the cores that this process may use, group by group.

    Pictures are prepared as the peers prepare them, so this setting is not searched.

    Args:
        model: the model to tune for.
        frames: a folder of pictures.
        servers: bootstrap servers of the Kafka on which the best candidates are compared.
        quick: use the profile of an earlier run if there is one, and measure for a shorter time.
    """
    key = key_of(load_manifest(model.folder), "cpu")
    profile = read_profile(key) if quick else None
    if profile is None:
        effort = ["--seconds", "1.5", "--count", "48"] if quick else ["--seconds", "3"]
        options = ["--frames", str(frames), "--kafka", servers, *effort]
        given = {"VISION_WORKER_MODEL__PATH": str(model.folder), "VISION_WORKER_MODEL__PREPARATION": "exact"}
        subprocess.run([sys.executable, "-m", "worker", "tune", *options], check=True, env=os.environ | given)
        profile = read_profile(key)
    assert profile is not None, "tuning has written no profile"
    found = defaultdict[str, dict[str, Any]](dict)
    for name, value in profile.settings.items():
        group, _, setting = name.partition(".")
        found[group][setting] = value
    return dict(found)


def what_tuning_chose(profile: Settings) -> str:
    """Say it in a sentence, for the reader of a table with a tuned worker and an untuned one."""
    chosen = [f"{group}.{name}={value}" for group, settings in profile.items() for name, value in settings.items()]
    if not chosen:
        return "Tuning kept the default settings: a tuned worker and one with default settings differ by chance alone."
    return f"Tuning chose {', '.join(chosen)}."


def model_settings(profile: Settings, model: TimedModel) -> Mapping[str, Any]:
    """Return the settings of the group model under a profile; what it leaves open is what suits this machine."""
    group = ModelGroup(path=model.folder, **profile.get("model", {}))
    found = suited(Groups(group, WindowGroup(), Limits()), load_manifest(model.folder)).groups.model
    return found.model_dump(exclude_unset=True, exclude={"path"})


def on_one_core(profile: Settings) -> Settings:
    """Return a profile for one core: the same, with one stream of one thread."""
    return {**profile, "model": {**profile.get("model", {}), "streams": 1, "threads": 1}}
