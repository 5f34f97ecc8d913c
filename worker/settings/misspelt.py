"""What to do about a name that is no setting: which setting is meant, and its environment variable."""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Final

from worker.domain.spelling import closest
from worker.settings.groups import ENV_PREFIX

LIST: Final = "vision-worker settings lists all"
_HALF: Final = re.compile(r"VISION|WORKER", re.IGNORECASE)
_OURS: Final = 0.9
"""How much of a variable's name must be that of one of ours, for the variable to be meant for the worker."""


def unknown_group(name: str, settings: Mapping[str, str]) -> str:
    """Return the fault of a name at the top of a file.

    Args:
        name: what stands there.
        settings: environment variables by the full names of all settings, such as `kafka.options`.
    """
    groups = dict.fromkeys(each.partition(".")[0] for each in settings)
    meant = closest(name, groups) or _full_name(_elsewhere(name, settings), settings)
    return f"{name}: there is no such group of settings; {_meant(meant)}"


def unknown_setting(group: str, name: str, settings: Mapping[str, str]) -> str:
    """Return the fault of a name in a group; see `unknown_group`."""
    own = {each.partition(".")[2]: each for each in settings if each.startswith(f"{group}.")}
    near = closest(name, own)
    meant = own[near] if near else _elsewhere(name, settings)
    return f"{group}.{name}: there is no such setting; {_meant(_full_name(meant, settings))}"


def unknown_variable(name: str, settings: Mapping[str, str]) -> str:
    """Return the fault of an environment variable; see `unknown_group`."""
    by_rest = {each.removeprefix(ENV_PREFIX): each for each in settings.values()}
    meant = closest(name, settings.values()) if not name.startswith(ENV_PREFIX) else None
    meant = meant or by_rest.get(closest(name.removeprefix(ENV_PREFIX), by_rest) or "")
    between = "; two underscores stand between group and setting" if meant and "__" not in name else ""
    return f"environment variable {name}: there is no such setting{between}; {_meant(meant)}"


def nearly_ours(names: Iterable[str], variables: Iterable[str]) -> list[str]:
    """Return the names that are nearly those of variables of ours, but for how they begin: VISON_WORKER_..."""
    known = list(variables)
    others = [name for name in names if _HALF.search(name) and not name.upper().startswith(ENV_PREFIX)]
    return [name for name in others if any(_alike(name, each) for each in known)]


def _alike(name: str, other: str) -> bool:
    matcher = SequenceMatcher(None, name.upper(), other)
    return matcher.real_quick_ratio() >= _OURS and matcher.quick_ratio() >= _OURS and matcher.ratio() >= _OURS


def _elsewhere(name: str, settings: Iterable[str]) -> str | None:
    """Return the only setting of any group that has this name."""
    found = [each for each in settings if each.partition(".")[2] == name]
    return found[0] if len(found) == 1 else None


def _full_name(setting: str | None, settings: Mapping[str, str]) -> str | None:
    return setting and f"{setting} ({settings[setting]})"


def _meant(name: str | None) -> str:
    return f"did you mean {name}?" if name else LIST
