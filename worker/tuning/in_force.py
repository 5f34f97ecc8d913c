"""The settings in force: the user's settings override the profile, and the profile overrides the defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from worker.domain.errors import SettingsError
from worker.models.build import find_manifest
from worker.settings import ModelGroup, read_groups
from worker.settings.offline import Choice, Groups
from worker.tuning.groups import not_overridden
from worker.tuning.profile import damaged, file_of, key_of, read_profile


@dataclass(frozen=True, slots=True)
class InForce:
    """Settings, and where they come from.

    Attributes:
        groups: settings, with the profile's values.
        file: the profile's file; None if there is no profile, or it is switched off.
        taken: values taken from the profile.
        left: the profile's values that are not taken, because the user has set another value.
    """

    groups: Groups
    file: Path | None = None
    taken: Choice = field(default_factory=dict)
    left: Choice = field(default_factory=dict)

    def __str__(self) -> str:
        if self.groups.model.profile == "off":
            return "off: the settings are the user's or the defaults"
        if self.file is None:
            return "none for this machine, model and versions: vision-worker tune makes one"
        left = f"; not used, because of your own settings: {_format(self.left)}" if self.left else ""
        return f"{self.file} sets {_format(self.taken) or 'nothing'}{left}"


def in_force(groups: Groups) -> InForce:
    """Apply the profile of this machine and model, if there is one, to the settings that the user has not set.

    Raises:
        ModelUnavailable: there is no such model, or no such device.
        SettingsError: the model's manifest has faults, or the profile is damaged.
    """
    if groups.model.profile == "off":
        return InForce(groups)
    key = key_of(find_manifest(groups.model), groups.model.device)
    profile = read_profile(key)
    if profile is None:
        return InForce(groups)
    taken = not_overridden(groups, profile.settings)
    explicit = groups.explicit()
    left = {
        name: value
        for name, value in profile.settings.items()
        if name not in taken and explicit.get(name, ...) != value
    }
    try:
        return InForce(groups.updated_by(taken), file_of(key), taken, left)
    except ValidationError as error:
        raise damaged(file_of(key), "; ".join(each["msg"] for each in error.errors())) from error


def offline_groups(config: Path | None, model: Path | str | None) -> Groups:
    """Return the settings in force for a run on files: those of model, sampling, window and limits.

    Args:
        config: settings as a YAML file.
        model: a folder or a manifest, or the name of a model; replaces the settings' model, and uses no profile.

    Raises:
        SettingsError: a setting that is used has a fault, or there is no model.
        ModelUnavailable: there is no such model, or no such device.
    """
    groups, faults = read_groups(config)
    # A model that is named runs with default settings, equally on every machine: the reference for comparisons.
    group = ModelGroup.named(model).model_copy(update={"profile": "off"}) if model else groups.get("model")
    faults = [fault for fault in faults if not fault.startswith(("kafka", "model" if model else "kafka"))]
    if group is None or faults:
        raise SettingsError(faults or ["give a model with --model or in --config"])
    return in_force(Groups.of({**groups, "model": group})).groups


def _format(choice: Choice) -> str:
    return ", ".join(f"{name}={value}" for name, value in choice.items())
