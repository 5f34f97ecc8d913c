"""Settings as tuning sees them: by their full name, and those that the user has set are not to be touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from worker.settings import Limits, ModelGroup, WindowGroup

Choice = Mapping[str, Any]
"""Values by a setting's full name, such as `model.engine`."""

TOGETHER: Final = frozenset(
    {"model.engine", "model.precision", "model.memory_format", "model.streams", "model.threads"}
)
"""Settings that are measured together: which value of one is the fastest hangs on the others, and not every engine
takes every value."""

Group = TypeVar("Group", ModelGroup, WindowGroup, Limits)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of settings that have to do with speed."""

    model: ModelGroup
    window: WindowGroup
    limits: Limits

    @classmethod
    def of(cls, groups: Mapping[str, Any]) -> "Groups":
        """Take them out of all groups, by their names; the model's must be there."""
        return cls(groups["model"], groups.get("window", WindowGroup()), groups.get("limits", Limits()))

    def by_name(self) -> Mapping[str, ModelGroup | WindowGroup | Limits]:
        """Return the groups by their names."""
        return {"model": self.model, "window": self.window, "limits": self.limits}

    def explicit(self) -> Choice:
        """Return what the user has set."""
        groups = self.by_name().items()
        return {f"{name}.{key}": getattr(group, key) for name, group in groups for key in group.model_fields_set}

    def having(self, choice: Choice) -> "Groups":
        """Return these settings with a choice over them.

        Raises:
            pydantic.ValidationError: there is no such setting, or it cannot be that.
        """
        return Groups(
            _over(self.model, "model.", choice),
            _over(self.window, "window.", choice),
            _over(self.limits, "limits.", choice),
        )


def not_set(groups: Groups, choice: Choice) -> Choice:
    """Return what of a choice may come into force, since what the user has set wins.

    Of the settings that were measured together none does if the user wants another value for one of them.
    """
    explicit = groups.explicit()
    overruled = {name for name in choice if name in explicit and explicit[name] != choice[name]}
    barred = explicit.keys() | (TOGETHER if overruled & TOGETHER else frozenset())
    return {name: value for name, value in choice.items() if name not in barred}


def _over(group: Group, prefix: str, choice: Choice) -> Group:
    changes = {name.removeprefix(prefix): value for name, value in choice.items() if name.startswith(prefix)}
    return type(group).model_validate(group.model_dump(exclude_unset=True) | changes) if changes else group
