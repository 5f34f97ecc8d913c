"""A file and the environment to settings; every fault is reported, all of them together."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ByteSize, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource
from pydantic_settings import SettingsError as UnparsableVariable

from worker.domain.errors import SettingsError
from worker.settings.base import Group
from worker.settings.groups import ENV_PREFIX, Settings
from worker.settings.kafka import BOOTSTRAP_VARIABLE

NOT_SETTINGS: Final = frozenset({"VISION_WORKER_CACHE"})
MASK: Final = "******"

_SECRET = re.compile(r"password|secret|\.key\.pem$|\.key$|oauthbearer\.config|token|credentials", re.IGNORECASE)
_GROUPS: Final[Mapping[str, type[Group]]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
}


def load_settings(file: Path | None) -> Settings:
    """Read the settings from a YAML file, if any, and from the environment, which wins.

    Raises:
        SettingsError: lists every fault with the setting's name and its environment variable.
    """
    groups, faults = read_groups(file)
    if faults:
        raise SettingsError(faults)
    return Settings.model_construct(None, **groups)


def read_groups(file: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Read each group of settings on its own, so that a fault in one does not hide those of another.

    Returns:
        The groups that are right, by name, and the faults of all others.
    """
    faults = [f"environment variable {name}: there is no such setting" for name in _unknown_variables()]
    try:
        content = _overlay(_from_file(file), _from_environment())
    except SettingsError as error:
        return {}, [*faults, *error.faults]
    faults += [f"{name}: there is no such group of settings" for name in content if name not in Settings.model_fields]
    groups = {}
    for name in Settings.model_fields:
        try:
            groups[name] = _GROUPS[name].model_validate(content.get(name) or {})
        except ValidationError as error:
            faults += [_fault((name, *each["loc"]), each) for each in error.errors()]
    return groups, faults


def effective(settings: Settings) -> dict[str, Any]:
    """Return every setting as it is in force, with secrets masked."""
    return {group: _masked(values) for group, values in settings.model_dump(mode="json").items()}


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, environment variable, default and meaning of every setting, in order."""
    for group_name, group in _GROUPS.items():
        for name, field in group.model_fields.items():
            default = "required" if field.is_required() else _shown(field.default)
            yield f"{group_name}.{name}", _variable(group_name, name), default, field.description or ""


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with what `above` says, group by group."""
    both = {
        name: _overlay(below[name], above[name])
        for name in below.keys() & above.keys()
        if isinstance(below[name], dict) and isinstance(above[name], dict)
    }
    return below | above | both


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise SettingsError([f"--config {file}: {error.strerror}"]) from error
    except yaml.YAMLError as error:
        raise SettingsError([f"--config {file}: not YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise SettingsError([f"--config {file}: it must hold groups of settings, such as 'kafka:' and 'model:'"])
    return content


def _from_environment() -> dict[str, Any]:
    try:
        content = EnvSettingsSource(Settings)()
    except UnparsableVariable as error:
        raise SettingsError([f"environment: {error}; write options as a JSON object"]) from error
    servers = os.environ.get(BOOTSTRAP_VARIABLE)
    return _overlay({"kafka": {"bootstrap_servers": servers}}, content) if servers else content


def _unknown_variables() -> list[str]:
    groups = tuple(f"{ENV_PREFIX}{name}__".upper() for name in Settings.model_fields)
    whole = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    ours = (name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in NOT_SETTINGS)
    return [name for name in ours if not name.upper().startswith(groups) and name.upper() not in whole]


def _fault(location: tuple[int | str, ...], error: ErrorDetails) -> str:
    where = [str(part) for part in location]
    text, value = error["msg"].removeprefix("Value error, "), error["input"]
    if error["type"] == "missing":
        return f"{'.'.join(where)}: it is required; set it in the file or as {_variable(*where)}"
    shown = "" if isinstance(value, Mapping) else f" (it is {_mask(where[-1], value)!r})"
    return f"{'.'.join(where)}: {text}{shown}"


def _variable(*names: str) -> str:
    return ENV_PREFIX + "__".join(name.upper() for name in names)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask(name, each) for name, each in value.items()}
    return value


def _mask(name: str, value: Any) -> Any:
    return MASK if _SECRET.search(name) and value else _masked(value)


def _shown(default: object) -> str:
    if isinstance(default, ByteSize):
        return default.human_readable()
    return "unset" if default is None else str(default)
