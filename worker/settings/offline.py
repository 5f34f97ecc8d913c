"""The groups of settings that matter without Kafka: to files, and to speed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from worker.settings.limits import Limits
from worker.settings.model import ModelGroup
from worker.settings.sampling import SamplingGroup
from worker.settings.window import WindowGroup

Choice = Mapping[str, Any]
"""Values by a setting's full name, such as `model.engine`."""

Group = TypeVar("Group", ModelGroup, WindowGroup, Limits)


@dataclass(frozen=True, slots=True)
class Groups:
    """What a worker without Kafka is set by."""

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
        """Return the settings that the user has set; `auto` leaves them to the worker."""
        groups = self.by_name().items()
        chosen = {f"{name}.{key}": getattr(group, key) for name, group in groups for key in group.model_fields_set}
        return {name: value for name, value in chosen.items() if value != "auto"}

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


def _updated(group: Group, prefix: str, choice: Choice) -> Group:
    changes = {name.removeprefix(prefix): value for name, value in choice.items() if name.startswith(prefix)}
    return type(group).model_validate(group.model_dump(exclude_unset=True) | changes) if changes else group
