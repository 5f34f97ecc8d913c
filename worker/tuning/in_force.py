"""The settings in force: the user's settings override the profile, and the profile overrides the defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from worker.models.build import find_manifest
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


def _format(choice: Choice) -> str:
    return ", ".join(f"{name}={value}" for name, value in choice.items())
