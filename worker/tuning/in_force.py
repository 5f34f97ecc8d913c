"""Which settings are in force: what the user has set, over the profile, over the defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from worker.models.build import find_manifest
from worker.tuning.groups import Choice, Groups, not_set
from worker.tuning.profile import damaged, file_of, key_of, read_profile


@dataclass(frozen=True, slots=True)
class InForce:
    """Settings, and where they come from.

    Attributes:
        groups: with the profile in them.
        file: the profile's; None if there is none, or it is switched off.
        taken: what comes from it.
        left: what it says too, and the user has set otherwise.
    """

    groups: Groups
    file: Path | None = None
    taken: Choice = field(default_factory=dict)
    left: Choice = field(default_factory=dict)

    def __str__(self) -> str:
        if self.groups.model.profile == "off":
            return "off: the settings are as they are set, or as they come"
        if self.file is None:
            return "none for this machine, model and versions: vision-worker tune makes one"
        left = f"; not taken, since you set it otherwise: {_listed(self.left)}" if self.left else ""
        return f"{self.file} sets {_listed(self.taken) or 'nothing'}{left}"


def in_force(groups: Groups) -> InForce:
    """Put the profile of this machine and model, if there is one, between what the user has set and the defaults.

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
    taken = not_set(groups, profile.settings)
    explicit = groups.explicit()
    left = {
        name: value
        for name, value in profile.settings.items()
        if name not in taken and explicit.get(name, ...) != value
    }
    try:
        return InForce(groups.having(taken), file_of(key), taken, left)
    except ValidationError as error:
        raise damaged(file_of(key), "; ".join(each["msg"] for each in error.errors())) from error


def _listed(choice: Choice) -> str:
    return ", ".join(f"{name}={value}" for name, value in choice.items())
