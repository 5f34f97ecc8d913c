"""How many cores and how much memory this process may use: those of the machine, within its container's limits."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")


def cores(root: Path = ROOT) -> int:
    """Count the cores that this process may use, at least 1.

    A limit of one and a half cores counts as two, as in Go and Java: two threads use all of it, and one could not.

    Args:
        root: the folder that `proc` and `sys` lie in.
    """
    count, limit = len(os.sched_getaffinity(0)), cpu_limit(root)
    return count if limit >= count else max(1, math.ceil(limit))


def is_limited(root: Path = ROOT) -> bool:
    """Tell whether a CPU limit leaves this process less than the cores that it may run on."""
    return cpu_limit(root) < len(os.sched_getaffinity(0))


def cpu_limit(root: Path = ROOT) -> float:
    """Return the CPU limit of this process in cores: the lowest one of its control group and the groups around it.

    Returns:
        Infinity without a limit, or where the system does not say it.
    """
    return min(map(_cores_of, _groups("cpu", root)), default=math.inf)


def memory_limit(root: Path = ROOT) -> float:
    """Return how much memory this process may use, in bytes: that of the machine, or less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, min(map(_memory_of, _groups("memory", root)), default=math.inf))


def group_folders(controller: str, memberships: str, mounts: str) -> Iterator[PurePosixPath]:
    """Yield the folders of the control groups that may limit this process, relative to the root of the file system.

    Args:
        controller: `cpu` or `memory`.
        memberships: the text of `/proc/self/cgroup`, a line `number:controllers:path` for each hierarchy. Version 2 has
            one hierarchy, without a name.
        mounts: the text of `/proc/self/mountinfo`. A hierarchy is mounted from one of its groups on: inside a
            container, often from the container's own.
    """
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        for group_root, mounted_at in _mounts(mounts, controller if controllers else None):
            below = PurePosixPath(path)
            # If the mount shows another part of the hierarchy, its own root is all that is known.
            below = below.relative_to(group_root) if below.is_relative_to(group_root) else PurePosixPath()
            for group in (below, *below.parents):
                yield PurePosixPath(mounted_at).relative_to("/") / group


def _groups(controller: str, root: Path) -> Iterator[Path]:
    memberships, mounts = _read(root / "proc/self/cgroup"), _read(root / "proc/self/mountinfo")
    return (root / folder for folder in group_folders(controller, memberships, mounts))


def _memory_of(folder: Path) -> float:
    """Return the limit of one group in bytes, in version 2 or version 1; infinity if it has none."""
    limit = (_read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")).strip()
    return int(limit) if limit.isdecimal() else math.inf


def _cores_of(folder: Path) -> float:
    """Return the limit of one group in cores, in version 2 or version 1; infinity if it has none."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdecimal() and period.isdecimal() and int(period)):  # "max", "-1", or no such file
        return math.inf
    return int(quota) / int(period)


def _mounts(mounts: str, controller: str | None) -> Iterator[tuple[str, str]]:
    """Yield where a controller's hierarchy is mounted: the group that is mounted, and the folder; None: version 2's."""
    for line in mounts.splitlines():
        place, _, source = line.partition(" - ")
        kind, *rest = source.split()
        options = rest[-1].split(",") if rest else []
        if kind == ("cgroup" if controller else "cgroup2") and (controller is None or controller in options):
            _, _, _, group_root, mounted_at, *_ = place.split()
            yield group_root, mounted_at


def _read(file: Path) -> str:
    """Return a file's text; nothing if it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
