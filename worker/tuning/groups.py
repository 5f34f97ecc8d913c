"""Which settings are measured together. Tuning never changes what the user has set."""

from typing import Final

from worker.settings.offline import Choice, Groups

MEASURED_TOGETHER: Final = frozenset(
    {"model.engine", "model.precision", "model.memory_format", "model.streams", "model.threads"}
)
"""Settings that are measured together: which value of one is the fastest depends on the others, and not every engine
supports every value."""


def not_overridden(groups: Groups, choice: Choice) -> Choice:
    """Return the part of a choice that the user's own settings do not override.

    If the user has set another value for one of the settings that were measured together, none of them is returned.
    """
    explicit = groups.explicit()
    overridden = {name for name in choice if name in explicit and explicit[name] != choice[name]}
    excluded = explicit.keys() | (MEASURED_TOGETHER if overridden & MEASURED_TOGETHER else frozenset())
    return {name: value for name, value in choice.items() if name not in excluded}
