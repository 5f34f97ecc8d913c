"""Which settings differ from the defaults, and where they come from: what a person wants to see at the start."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from worker.settings.file import read_file
from worker.settings.groups import ENV_PREFIX, Settings
from worker.settings.kafka import BOOTSTRAP_VARIABLE
from worker.settings.load import effective

COMMAND_LINE = "command line"


class Changed(NamedTuple):
    """A setting with another value than its default.

    Attributes:
        origin: an environment variable, a file, or a few words.
    """

    name: str
    value: Any
    origin: str


def changed(
    settings: Settings,
    chosen: Settings,
    file: Path | None,
    *,
    given: Collection[str] = (),
    origins: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Changed]:
    """Yield the settings in force that differ from the defaults, in order, with secrets masked.

    Args:
        settings: those in force.
        chosen: those that the user has set.
        file: the settings file, which can be read; None if there is none.
        given: names of those that the command line sets.
        origins: where values come from that the user has not set.
    """
    shown, content = effective(settings), read_file(file) if file else {}
    for group in Settings.model_fields:
        of_group, of_user = getattr(settings, group), getattr(chosen, group)
        for name, field in type(of_group).model_fields.items():
            value, full_name = getattr(of_group, name), f"{group}.{name}"
            if value != getattr(of_user, name):
                yield Changed(full_name, shown[group][name], origins[full_name])
            elif field.is_required() or value != field.get_default(call_default_factory=True):
                of_command = COMMAND_LINE if full_name in given else None
                of_file = str(file) if name in (content.get(group) or {}) else "vision-worker kafka up"
                yield Changed(full_name, shown[group][name], of_command or _variable(group, name) or of_file)


def _variable(group: str, name: str) -> str | None:
    """Return the environment variable that sets a setting, or a part of it; None if none does."""
    setting = f"{ENV_PREFIX}{group}__{name}".upper()
    for variable in os.environ:
        upper = variable.upper()
        if upper in {setting, f"{ENV_PREFIX}{group}".upper()} or upper.startswith(f"{setting}__"):
            return variable
    is_servers = (group, name) == ("kafka", "bootstrap_servers")
    return BOOTSTRAP_VARIABLE if is_servers and os.environ.get(BOOTSTRAP_VARIABLE) else None
