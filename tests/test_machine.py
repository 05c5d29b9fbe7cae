"""What containers leave of a machine, told from trees of files that stand for machines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp import cgroup, machine

MB, GB = 2**20, 2**30
NONE_V1 = "9223372036854771712"
V2 = "30 23 0:26 {root} {where} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "{n} 31 0:30 {root} /sys/fs/cgroup/{name} rw,relatime shared:9 - cgroup cgroup rw,{name}"


def tree(folder: Path, groups: str, mounts: str, files: Mapping[str, Mapping[str, object]]) -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(groups)
    (folder / "proc/self/mountinfo").write_text("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    for where, contents in files.items():
        (folder / where).mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / where / name).write_text(f"{text}\n")
    return folder


def v2(folder: Path, files: Mapping[str, Mapping[str, object]], path: str = "/", root: str = "/") -> Path:
    below = {f"sys/fs/cgroup{group}".rstrip("/"): contents for group, contents in files.items()}
    return tree(folder, f"0::{path}\n", V2.format(root=root, where="/sys/fs/cgroup"), below)


def v1(folder: Path, files: Mapping[str, Mapping[str, object]], path: str = "/", root: str = "/") -> Path:
    names = ("memory", "cpu,cpuacct")
    groups = "".join(f"{n}:{name}:{path}\n" for n, name in enumerate(names, 4))
    mounts = "\n".join(V1.format(n=40 + n, root=root, name=name) for n, name in enumerate(names))
    return tree(folder, groups, mounts, {f"sys/fs/cgroup/{where}": contents for where, contents in files.items()})


def test_no_groups_no_limits(tmp_path: Path) -> None:
    assert (cgroup.cpus(tmp_path), cgroup.memory(tmp_path), cgroup.oom_kills(tmp_path)) == (None, None, None)
    root = v2(tmp_path / "x", {"/": {"cpu.max": "max 100000", "memory.max": "max", "memory.current": 5}})
    assert (cgroup.cpus(root), cgroup.memory(root)) == (None, None)


def test_page_cache_is_not_used_memory(tmp_path: Path) -> None:
    """8 GB, of which 6 GB are files that were read: two workers' worth was all that seemed left."""
    stat = f"anon {GB}\nfile {6 * GB}\ninactive_file {5 * GB}\nactive_file {GB}\nslab_reclaimable 0"
    root = v2(tmp_path, {"/": {"memory.max": 8 * GB, "memory.current": 7 * GB, "memory.stat": stat}})
    assert cgroup.memory(root) == (8 * GB, 7 * GB)


def test_what_is_shared_memory_is_used(tmp_path: Path) -> None:
    """tmpfs counts as `file`, and cannot be given back."""
    stat = f"anon {GB}\nfile {6 * GB}\nshmem {6 * GB}\ninactive_file 0\nactive_file 0"
    root = v2(tmp_path, {"/": {"memory.max": 8 * GB, "memory.current": 7 * GB, "memory.stat": stat}})
    assert cgroup.memory(root) == (8 * GB, GB)


def test_a_group_that_is_not_the_root_of_its_mount(tmp_path: Path) -> None:
    """As on a host with systemd: the limits are on the slice, the unit, or both."""
    root = v2(
        tmp_path,
        {
            "/": {"cgroup.controllers": "cpu memory"},
            "/user.slice": {"memory.max": 4 * GB, "memory.current": GB, "cpu.max": "150000 100000"},
            "/user.slice/a.scope": {"memory.max": "max", "memory.current": GB // 2, "cpu.max": "400000 100000"},
        },
        "/user.slice/a.scope",
    )
    assert cgroup.memory(root) == (4 * GB, 3 * GB)
    assert cgroup.cpus(root) == 1.5


def test_memory_high_is_as_good_as_a_limit(tmp_path: Path) -> None:
    root = v2(tmp_path, {"/": {"memory.max": "max", "memory.high": GB, "memory.current": 0}})
    assert cgroup.memory(root) == (GB, GB)


@pytest.mark.parametrize("root", ["/", "/docker/abc"])
def test_version_1(tmp_path: Path, root: str) -> None:
    """0.5 CPU and 700 MB; a container sees its own group mounted as the root, the host sees all of them."""
    below = "" if root != "/" else "/docker/abc"
    made = v1(
        tmp_path,
        {
            f"memory{below}": {
                "memory.limit_in_bytes": 700 * MB, "memory.usage_in_bytes": 650 * MB,
                "memory.stat": f"cache {200 * MB}\ntotal_inactive_file {150 * MB}\ntotal_active_file {50 * MB}",
                "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3",
            },
            f"cpu,cpuacct{below}": {"cpu.cfs_quota_us": 50000, "cpu.cfs_period_us": 100000},
        },
        "/docker/abc", root,
    )  # fmt: skip
    assert cgroup.memory(made) == (700 * MB, 250 * MB)
    assert cgroup.cpus(made) == 0.5
    assert cgroup.oom_kills(made) == 3


def test_version_1_without_limits(tmp_path: Path) -> None:
    made = v1(
        tmp_path,
        {
            "memory": {"memory.limit_in_bytes": NONE_V1, "memory.usage_in_bytes": GB},
            "cpu,cpuacct": {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000},
        },
    )
    assert (cgroup.memory(made), cgroup.cpus(made)) == (None, None)


def test_version_1_knows_the_limits_of_groups_that_cannot_be_seen(tmp_path: Path) -> None:
    stat = f"hierarchical_memory_limit {GB}"
    files = {"memory.limit_in_bytes": NONE_V1, "memory.usage_in_bytes": 0, "memory.stat": stat}
    assert cgroup.memory(v1(tmp_path, {"memory": files}, "/docker/abc", "/docker/abc")) == (GB, GB)


def test_both_versions_at_once(tmp_path: Path) -> None:
    """systemd's hybrid: version 2 without controllers beside version 1 with them."""
    made = tree(
        tmp_path,
        "5:memory:/a\n3:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/a\n",
        "\n".join([
            V1.format(n=41, root="/", name="memory"), V1.format(n=42, root="/", name="cpu,cpuacct"),
            V1.format(n=43, root="/", name="name=systemd"), V2.format(root="/", where="/sys/fs/cgroup/unified"),
        ]),
        {
            "sys/fs/cgroup/unified/a": {"cgroup.procs": 1},
            "sys/fs/cgroup/memory/a": {"memory.limit_in_bytes": GB, "memory.usage_in_bytes": MB},
            "sys/fs/cgroup/cpu,cpuacct/a": {"cpu.cfs_quota_us": 150000, "cpu.cfs_period_us": 100000},
        },
    )  # fmt: skip
    assert (cgroup.memory(made), cgroup.cpus(made)) == ((GB, GB - MB), 1.5)


@pytest.mark.parametrize("path", ["/../../outside", "/kubepods/pod1/ctr", "/gone"])
def test_a_group_of_another_name_space_is_the_mount_s_root(tmp_path: Path, path: str) -> None:
    root = v2(tmp_path, {"/": {"memory.max": GB, "memory.current": 0, "cpu.max": "50000 100000"}}, path)
    assert (cgroup.memory(root), cgroup.cpus(root)) == ((GB, GB), 0.5)


def test_a_mount_with_a_space_in_its_path(tmp_path: Path) -> None:
    made = tree(
        tmp_path, "0::/\n", V2.format(root="/", where="/my\\040groups"), {"my groups": {"cpu.max": "250000 100000"}}
    )
    assert cgroup.cpus(made) == 2.5


def test_oom_kills_are_those_of_the_own_group_else_of_the_machine(tmp_path: Path) -> None:
    events = "low 0\nhigh 0\nmax 9\noom 2\noom_kill {}"
    made = v2(
        tmp_path / "a",
        {"/": {"memory.events": events.format(7)}, "/in": {"memory.events": events.format(2)}}, "/in",
    )  # fmt: skip
    assert cgroup.oom_kills(made) == 2
    bare = v2(tmp_path / "b", {"/": {}})
    (bare / "proc/vmstat").write_text("nr_free_pages 1\noom_kill 5\n")
    assert cgroup.oom_kills(bare) == 5


@pytest.mark.parametrize("junk", ["", "max", "nonsense", "-1", "12x 100000", "0 0", "\x00"])
def test_nonsense_in_the_files_is_no_limit(tmp_path: Path, junk: str) -> None:
    names = ("cpu.max", "memory.max", "memory.current", "memory.stat", "memory.events")
    root = v2(tmp_path, {"/": dict.fromkeys(names, junk)})
    assert (cgroup.cpus(root), cgroup.memory(root), cgroup.oom_kills(root)) == (None, None, None)


sizes = st.integers(1, 64).map(lambda n: n * MB)


@given(levels=st.lists(st.tuples(st.none() | sizes, sizes, sizes), min_size=1, max_size=5))
def test_every_group_above_counts(
    tmp_path_factory: pytest.TempPathFactory, levels: list[tuple[int | None, int, int]]
) -> None:
    """However deep and wherever the limits are: no more than each of them leaves."""
    files, path = {}, ""
    for number, (limit, used, cache) in enumerate(levels):
        path += f"/g{number}"
        stat = f"inactive_file {cache}"
        files[path] = {"memory.max": limit or "max", "memory.current": used, "memory.stat": stat}
    found = cgroup.memory(v2(tmp_path_factory.mktemp("t"), files, path))
    limited = [(limit, max(0, limit - max(0, used - cache))) for limit, used, cache in levels if limit is not None]
    expected = (min(a for a, _ in limited), min(min(a, b) for a, b in limited)) if limited else None
    assert found == expected


@pytest.mark.parametrize(
    ("quota", "affinity", "usable", "whole"),
    [(None, 4, 4, 4), (1.5, 4, 1.5, 1), (0.5, 4, 0.5, 1), (2.0, 4, 2, 2), (8.0, 4, 4, 4), (2.999, 4, 2.999, 2)],
)
def test_half_a_cpu_counts_as_half_and_carries_no_worker(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, affinity: int, usable: float, whole: int
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    monkeypatch.setattr(machine.cgroup, "cpus", lambda: quota)
    assert (machine.usable_cpus(), machine.whole_cpus()) == (usable, whole)
    assert isinstance(machine.usable_cpus(), int) == (usable == int(usable))


def test_the_machine_s_memory_is_the_smaller_of_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GB, available=2 * GB))
    monkeypatch.setattr(machine.cgroup, "memory", lambda: (8 * GB, 7 * GB))
    assert (machine.total_mb(), machine.available_mb()) == (8192, 2048)
