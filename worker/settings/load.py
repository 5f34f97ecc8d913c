"""Read settings from a file and the environment, and report all faults together."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ByteSize, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource
from pydantic_settings import SettingsError as UnparsableVariable

from worker.domain.errors import SettingsError
from worker.domain.spelling import closest
from worker.settings.base import Group
from worker.settings.file import read_file
from worker.settings.groups import ENV_PREFIX, Settings
from worker.settings.kafka import BOOTSTRAP_VARIABLE
from worker.settings.misspelt import nearly_ours, unknown_group, unknown_setting, unknown_variable

NOT_SETTINGS: Final = frozenset({"VISION_WORKER_CACHE"})
MASK: Final = "******"
NO_BROKERS: Final = (
    f"it is not set; name your brokers with --bootstrap-servers, in the file of --config or as {BOOTSTRAP_VARIABLE}, "
    "or start a Kafka on this machine: vision-worker kafka up"
)

_SECRET = re.compile(
    r"pass(word|phrase)|secret|\.key\.pem$|\.key$|oauthbearer\.config|token(?!\.endpoint\.url)|credentials",
    re.IGNORECASE,
)
_MERGED: Final = 3
"""Levels whose entries are merged: groups, settings, and options of Kafka's clients. What is deeper is one value."""
_GROUPS: Final[Mapping[str, type[Group]]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Group)
}


def load_settings(file: Path | None) -> Settings:
    """Read the settings from a YAML file, if any, and from the environment, which takes precedence.

    Raises:
        SettingsError: lists every fault with the name of the setting.
    """
    groups, faults = read_groups(file)
    if faults:
        raise SettingsError(faults)
    return Settings.model_construct(None, **groups)


def read_groups(
    file: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    find_brokers: Callable[[], str | None] = lambda: None,
) -> tuple[dict[str, Any], list[str]]:
    """Read each group of settings separately, so that a fault in one group does not hide those in another.

    Args:
        file: YAML; None for the environment alone, which overrides the file.
        overrides: values by group that override both.
        find_brokers: is asked for brokers if `kafka.bootstrap_servers` is not set; None if there are none.

    Returns:
        The valid groups by name, and the faults of all others.
    """
    settings = _all_settings()
    faults = [unknown_variable(name, settings) for name in _unknown_variables(settings.values())]
    try:
        content = _overlay(_overlay(read_file(file) if file else {}, _from_environment()), dict(overrides or {}))
    except SettingsError as error:
        return {}, [*faults, *error.faults]
    kafka = content.get("kafka") or {}
    if isinstance(kafka, dict) and "bootstrap_servers" not in kafka and (servers := find_brokers()):
        content["kafka"] = {**kafka, "bootstrap_servers": servers}
    faults += [unknown_group(str(name), settings) for name in content if name not in Settings.model_fields]
    groups = {}
    for name in Settings.model_fields:
        try:
            groups[name] = _GROUPS[name].model_validate(content.get(name) or {})
        except ValidationError as error:
            faults += [fault_of((name, *each["loc"]), each) for each in error.errors()]
    return groups, faults


def effective(settings: Settings) -> dict[str, Any]:
    """Return all settings in force, with secrets masked."""
    return {group: _masked(values) for group, values in settings.model_dump(mode="json").items()}


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, environment variable, default and meaning of every setting, in order."""
    for group_name, group in _GROUPS.items():
        for name, field in group.model_fields.items():
            default = "required" if field.is_required() else _format(field.default)
            yield f"{group_name}.{name}", _variable(group_name, name), default, field.description or ""


def _overlay(lower: dict[str, Any], upper: dict[str, Any], levels: int = _MERGED) -> dict[str, Any]:
    """Return `lower` overridden by `upper`, group by group."""
    merged = {
        name: _overlay(lower[name], upper[name], levels - 1)
        for name in lower.keys() & upper.keys()
        if levels > 1 and isinstance(lower[name], dict) and isinstance(upper[name], dict)
    }
    return lower | upper | merged


def _from_environment() -> dict[str, Any]:
    try:
        content = EnvSettingsSource(Settings)()
    except UnparsableVariable as error:
        raise SettingsError(
            [
                f'environment variable {name}: it is not JSON; write it as in {{"log_level": 3}}'
                for name in _unparsable()
            ]
            or [f"environment: {error}; write options as a JSON object"]
        ) from error
    servers = os.environ.get(BOOTSTRAP_VARIABLE)
    return _overlay({"kafka": {"bootstrap_servers": servers}}, content) if servers else content


def _unparsable() -> Iterator[str]:
    """Yield the environment variables that must be JSON, as options and whole groups must, and are not."""
    of_options = {name: field for group in _GROUPS.values() for name, field in group.model_fields.items()}
    whole = {_variable(name) for name in _GROUPS}
    for name, value in os.environ.items():
        field = of_options.get(name.rpartition("__")[2].lower())
        if name.upper().startswith(ENV_PREFIX) and (name.upper() in whole or (field and field.default == {})):
            try:
                json.loads(value)
            except ValueError:
                yield name


def _unknown_variables(known: Iterable[str]) -> list[str]:
    groups = tuple(f"{ENV_PREFIX}{name}__".upper() for name in Settings.model_fields)
    complete = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    names = (name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in NOT_SETTINGS)
    unknown = [name for name in names if not name.upper().startswith(groups) and name.upper() not in complete]
    return unknown + nearly_ours(os.environ, known)


def fault_of(location: tuple[int | str, ...], error: ErrorDetails) -> str:
    """Return what is wrong with a setting as a line for people; `location` is its group and its name."""
    where, value = [str(part) for part in location], error["input"]
    name, shown = ".".join(where), f" (it is {_mask(where[-1], value)!r})"
    match error["type"]:
        case "missing" if name == "kafka.bootstrap_servers":
            return f"{name}: {NO_BROKERS}"
        case "missing":
            return f"{name}: it is required; set it in the file or as {_variable(*where)}"
        case "extra_forbidden":
            return unknown_setting(where[0], ".".join(where[1:]), _all_settings())
        case "model_type":
            return f"{name}: it is a group{shown}; write its settings below it, indented, one a line: {_example(name)}"
        case "literal_error" if meant := closest(str(value), re.findall(r"'([^']+)'", error["ctx"]["expected"])):
            return f"{name}: {error['msg']}{shown}; did you mean {meant}?"
        case _:
            return f"{name}: {error['msg'].removeprefix('Value error, ')}{'' if isinstance(value, Mapping) else shown}"


def _all_settings() -> dict[str, str]:
    """Return the variable of each setting, by its name."""
    return {name: variable for name, variable, *_ in describe()}


def _example(group: str) -> str:
    return f"{next(iter(_GROUPS[group].model_fields))}: ..."


def _variable(*names: str) -> str:
    return ENV_PREFIX + "__".join(name.upper() for name in names)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask(name, each) for name, each in value.items()}
    return value


def _mask(name: str, value: Any) -> Any:
    # A dict says where a secret is read from.
    return MASK if _SECRET.search(name) and value and not isinstance(value, dict) else _masked(value)


def _format(default: object) -> str:
    if isinstance(default, ByteSize):
        return default.human_readable()
    return "unset" if default is None else str(default)
