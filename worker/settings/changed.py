"""Which settings differ from the defaults, and where they come from: what a person wants to see at the start."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from worker.settings.groups import ENV_PREFIX, Settings
from worker.settings.kafka import BOOTSTRAP_VARIABLE
from worker.settings.load import effective


class Changed(NamedTuple):
    """A setting with another value than its default.

    Attributes:
        origin: an environment variable, a file, or `profile`.
    """

    name: str
    value: Any
    origin: str


def changed(settings: Settings, chosen: Settings, file: Path | None) -> Iterator[Changed]:
    """Yield the settings in force that differ from the defaults, in order, with secrets masked.

    Args:
        settings: those in force, with the values of the profile.
        chosen: those that the user has set.
        file: the settings file; None if there is none.
    """
    shown = effective(settings)
    for group in Settings.model_fields:
        of_group, of_user = getattr(settings, group), getattr(chosen, group)
        for name, field in type(of_group).model_fields.items():
            value = getattr(of_group, name)
            if value != getattr(of_user, name):
                yield Changed(f"{group}.{name}", shown[group][name], "profile")
            elif field.is_required() or value != field.get_default(call_default_factory=True):
                yield Changed(f"{group}.{name}", shown[group][name], _variable(group, name) or str(file))


def _variable(group: str, name: str) -> str | None:
    """Return the environment variable that a setting comes from; None if it comes from the file."""
    setting = f"{ENV_PREFIX}{group}__{name}".upper()
    for variable in os.environ:
        upper = variable.upper()
        if upper == setting or upper.startswith(f"{setting}__") or upper == f"{ENV_PREFIX}{group}".upper():
            return variable
    is_servers = (group, name) == ("kafka", "bootstrap_servers")
    return BOOTSTRAP_VARIABLE if is_servers and os.environ.get(BOOTSTRAP_VARIABLE) else None
