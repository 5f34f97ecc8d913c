"""How many cores and how much memory a process may use, from what Linux says of its control groups."""

import math
import os
from pathlib import Path, PurePosixPath

import pytest

from worker.models.container import cores, cpu_limit, group_folders, is_limited, memory_limit

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 24 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "33 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "34 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
)


@pytest.fixture
def root(tmp_path: Path) -> "Root":
    return Root(tmp_path)


class Root:
    """Files of `/proc` and `/sys` in another folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, memberships: str, mounts: str, groups: dict[str, str]) -> Path:
        proc = {"proc/self/cgroup": memberships, "proc/self/mountinfo": mounts}
        for name, text in (proc | {f"sys/fs/cgroup/{name}": text for name, text in groups.items()}).items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self.path


@pytest.mark.parametrize(
    ("groups", "limit"),
    [
        ({"pod/box/cpu.max": "150000 100000\n"}, 1.5),
        ({"pod/box/cpu.max": "max 100000\n"}, math.inf),
        ({"pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "50000 100000\n"}, 0.5),
        ({"pod/box/cpu.max": "400000 100000\n", "pod/cpu.max": "200000 100000\n"}, 2.0),
        ({"pod/box/cpu.max": "100000 50000\n", "pod/cpu.max": "300000 100000\n", "cpu.max": "800000 100000\n"}, 2.0),
        ({"other/cpu.max": "100000 100000\n"}, math.inf),
        ({"pod/box/cpu.max": ""}, math.inf),
        ({"pod/box/cpu.max": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_version_2_of_control_groups(root: Root, groups: dict[str, str], limit: float) -> None:
    assert cpu_limit(root("0::/pod/box\n", V2, groups)) == limit


@pytest.mark.parametrize(
    ("quota", "limit"), [("150000\n", 1.5), ("-1\n", math.inf), ("", math.inf), ("300000\n", 3.0)], ids=repr
)
def test_version_1_of_control_groups(root: Root, quota: str, limit: float) -> None:
    own = {"cpu,cpuacct/docker/12/cpu.cfs_quota_us": quota, "cpu,cpuacct/docker/12/cpu.cfs_period_us": "100000\n"}
    misleading = {"cpuset/docker/12/cpu.cfs_quota_us": "1000\n", "cpuset/docker/12/cpu.cfs_period_us": "100000\n"}
    memberships = "5:cpuset:/docker/12\n4:cpu,cpuacct:/docker/12\n1:name=systemd:/docker/12\n"

    assert cpu_limit(root(memberships, V1, own | misleading)) == limit


def test_a_container_sees_its_own_group_as_the_root_of_the_mount(root: Root) -> None:
    mounts = V1.replace("0:30 / /sys", "0:30 /docker/12 /sys")
    groups = {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}

    assert cpu_limit(root("4:cpu,cpuacct:/docker/12\n", mounts, groups)) == 2.5
    # Of a group below the one that is mounted, the path goes on.
    assert list(group_folders("cpu", "4:cpu,cpuacct:/docker/12/job\n", mounts)) == [
        PurePosixPath("sys/fs/cgroup/cpu,cpuacct/job"),
        PurePosixPath("sys/fs/cgroup/cpu,cpuacct"),
    ]
    # What is mounted is the container's, although the group has a name of the host.
    assert list(group_folders("cpu", "4:cpu,cpuacct:/host/7\n", mounts)) == [PurePosixPath("sys/fs/cgroup/cpu,cpuacct")]


def test_no_system_says_anything(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path) == math.inf
    assert cores(tmp_path) == len(os.sched_getaffinity(0))
    assert not is_limited(tmp_path)


@pytest.mark.parametrize(("quota", "count"), [("10000", 1), ("50000", 1), ("100000", 1), ("100001", 2)])
def test_a_part_of_a_core_counts_as_one(root: Root, quota: str, count: int) -> None:
    limited = root("0::/\n", V2, {"cpu.max": f"{quota} 100000\n"})

    assert cores(limited) == min(count, len(os.sched_getaffinity(0)))
    assert is_limited(limited) == (int(quota) / 100_000 < len(os.sched_getaffinity(0)))


def test_a_limit_above_the_cores_is_none(root: Root) -> None:
    assert cores(root("0::/\n", V2, {"cpu.max": "99900000 100000\n"})) == len(os.sched_getaffinity(0))


GIB = 2**30


@pytest.mark.parametrize(
    ("groups", "limit"),
    [
        ({"pod/box/memory.max": f"{GIB // 8}\n"}, GIB // 8),
        ({"pod/box/memory.max": "max\n", "pod/memory.max": f"{GIB // 4}\n"}, GIB // 4),
        ({"pod/box/memory.max": f"{GIB // 2}\n", "pod/memory.max": f"{GIB // 4}\n"}, GIB // 4),
    ],
)
def test_memory_of_version_2(root: Root, groups: dict[str, str], limit: int) -> None:
    assert memory_limit(root("0::/pod/box\n", V2, groups)) == limit


def test_memory_of_version_1_and_of_the_machine(root: Root) -> None:
    mounts = V1 + "35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    own = "memory/docker/12/memory.limit_in_bytes"
    memberships = "7:memory:/docker/12\n4:cpu,cpuacct:/docker/12\n"

    assert memory_limit(root(memberships, mounts, {own: f"{GIB // 8}\n"})) == GIB // 8
    assert memory_limit(root(memberships, mounts, {own: "9223372036854771712\n"})) == machine  # no limit, in version 1
    assert memory_limit(root("", "", {})) == machine
