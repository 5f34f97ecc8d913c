"""The settings in force: the user's own come first, then the profile's, then what suits this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from worker.domain.errors import SettingsError
from worker.models.build import find_manifest
from worker.models.manifest import Manifest
from worker.settings import ModelGroup, read_groups
from worker.settings.offline import Choice, Groups
from worker.tuning.groups import not_overridden
from worker.tuning.profile import damaged, file_of, key_of, read_profile
from worker.tuning.suited import Suited, suited


@dataclass(frozen=True, slots=True)
class InForce:
    """Settings, and where they come from.

    Attributes:
        groups: settings, with the profile's values, and without `auto`.
        file: the profile's file; None if there is no profile, or it is switched off.
        taken: values taken from the profile.
        left: the profile's values that are not taken, because the user has set another value.
        suited: what was chosen for this machine, of the settings that are `auto`.
    """

    groups: Groups
    file: Path | None = None
    taken: Choice = field(default_factory=dict)
    left: Choice = field(default_factory=dict)
    suited: Suited | None = None

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the values of settings come from that the user has not set."""
        chosen = self.suited.chosen if self.suited else {}
        return {**dict.fromkeys(self.taken, "profile"), **dict.fromkeys(chosen, "auto")}

    @property
    def choice(self) -> str | None:
        """What was chosen for this machine, and what may be faster; None if nothing was left open."""
        if self.suited is None or not self.suited.chosen:
            return None
        may_tune = self.file is None and self.groups.model.profile == "auto"
        faster = "; vision-worker tune may find faster settings" if may_tune else ""
        return f"{self.suited}{faster}"

    def __str__(self) -> str:
        if self.groups.model.profile == "off":
            return "off: the settings are the user's or the defaults"
        if self.file is None:
            return "none for this machine, model and versions: vision-worker tune makes one"
        left = f"; not used, because of your own settings: {_format(self.left)}" if self.left else ""
        return f"{self.file} sets {_format(self.taken) or 'nothing'}{left}"


def in_force(groups: Groups, *, comparing: Callable[[str], None] = lambda _: None) -> InForce:
    """Apply the profile of this machine and model, if there is one, to the settings that the user has not set.

    What is still `auto` then is chosen for this machine.

    Args:
        groups: the user's settings.
        comparing: is told when engines are compared, which takes some seconds.

    Raises:
        ModelUnavailable: there is no such model, or no such device.
        SettingsError: the model's manifest has faults, or the profile is damaged.
    """
    manifest = find_manifest(groups.model)
    profiled = _profiled(groups, manifest)
    chosen = suited(profiled.groups, manifest, comparing=comparing)
    return replace(profiled, groups=chosen.groups, suited=chosen)


def offline_groups(config: Path | None, model: Path | str | None, options: Choice | None = None) -> Groups:
    """Return the settings in force for a run on files: those of model, sampling, window and limits.

    Args:
        config: settings as a YAML file.
        model: a folder or a manifest, or the name of a model; replaces the settings' model. It runs equally on every
            machine: no profile is used, and nothing is chosen.
        options: values by a setting's full name, which come before those of the settings.

    Raises:
        SettingsError: a setting that is used has a fault, or there is no model.
        ModelUnavailable: there is no such model, or no such device.
        pydantic.ValidationError: an option has a fault.
    """
    groups, faults = read_groups(config)
    # The reference for comparisons.
    group = ModelGroup.named(model).model_copy(update={"profile": "off"}) if model else groups.get("model")
    faults = [fault for fault in faults if not fault.startswith(("kafka", "model" if model else "kafka"))]
    if group is None or faults:
        raise SettingsError(faults or ["give a model with --model or in --config"])
    found = Groups.of({**groups, "model": group}).updated_by(options or {})
    return found if model else in_force(found).groups


def _profiled(groups: Groups, manifest: Manifest) -> InForce:
    if groups.model.profile == "off":
        return InForce(groups)
    key = key_of(manifest, groups.model.device)
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
