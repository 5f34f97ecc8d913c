"""The settings that tuning may change, by their full name. Tuning never changes what the user has set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from worker.settings import Limits, ModelGroup, SamplingGroup, WindowGroup

Choice = Mapping[str, Any]
"""Values by a setting's full name, such as `model.engine`."""

MEASURED_TOGETHER: Final = frozenset(
    {"model.engine", "model.precision", "model.memory_format", "model.streams", "model.threads"}
)
"""Settings that are measured together: which value of one is the fastest depends on the others, and not every engine
supports every value."""

Group = TypeVar("Group", ModelGroup, WindowGroup, Limits)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of settings that affect speed."""

    model: ModelGroup
    window: WindowGroup
    limits: Limits
    sampling: SamplingGroup = field(default_factory=SamplingGroup)

    @classmethod
    def of(cls, groups: Mapping[str, Any]) -> "Groups":
        """Select these groups from all groups by name; the model's group must be present."""
        return cls(
            groups["model"],
            groups.get("window", WindowGroup()),
            groups.get("limits", Limits()),
            groups.get("sampling", SamplingGroup()),
        )

    def by_name(self) -> Mapping[str, ModelGroup | WindowGroup | Limits]:
        """Return the groups by their names."""
        return {"model": self.model, "window": self.window, "limits": self.limits}

    def explicit(self) -> Choice:
        """Return the settings that the user has set."""
        groups = self.by_name().items()
        return {f"{name}.{key}": getattr(group, key) for name, group in groups for key in group.model_fields_set}

    def updated_by(self, choice: Choice) -> "Groups":
        """Return these settings, overridden by a choice.

        Raises:
            pydantic.ValidationError: there is no such setting, or the value is not valid for it.
        """
        return Groups(
            _updated(self.model, "model.", choice),
            _updated(self.window, "window.", choice),
            _updated(self.limits, "limits.", choice),
            self.sampling,
        )


def not_overridden(groups: Groups, choice: Choice) -> Choice:
    """Return the part of a choice that the user's own settings do not override.

    If the user has set another value for one of the settings that were measured together, none of them is returned.
    """
    explicit = groups.explicit()
    overridden = {name for name in choice if name in explicit and explicit[name] != choice[name]}
    excluded = explicit.keys() | (MEASURED_TOGETHER if overridden & MEASURED_TOGETHER else frozenset())
    return {name: value for name, value in choice.items() if name not in excluded}


def _updated(group: Group, prefix: str, choice: Choice) -> Group:
    changes = {name.removeprefix(prefix): value for name, value in choice.items() if name.startswith(prefix)}
    return type(group).model_validate(group.model_dump(exclude_unset=True) | changes) if changes else group
