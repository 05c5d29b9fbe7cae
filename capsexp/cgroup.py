"""What the kernel's control groups leave this process of CPUs and memory: version 1, version 2 and both at once.

A limit counts wherever it is set, on the process's own group or on any above it that can be seen. Which folder is a
group's is said by /proc/self/cgroup and /proc/self/mountinfo; a container may see its own group as the root of the
mount, or not at all. Everything is read below `root`, so that trees of files stand for machines in tests.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_ESCAPE = re.compile(r"\\([0-7]{3})")
# Memory that is given back when it is wanted, as the kernel's own MemAvailable counts it: without it, whoever has read
# files as large as the limit has no memory left.
_RECLAIMABLE = {
    2: ("inactive_file", "active_file", "slab_reclaimable"),
    1: ("total_inactive_file", "total_active_file"),
}


@dataclass(frozen=True)
class _Group:
    folder: Path
    version: int


def cpus(root: Path = ROOT) -> float | None:
    """The smallest quota, in CPUs (1.5 is one and a half); None without one."""
    quotas = []
    for group in _groups(root):
        if group.version == 2:
            quota, _, period = _text(group.folder / "cpu.max").partition(" ")
        else:
            quota = _text(group.folder / "cpu.cfs_quota_us")
            period = _text(group.folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.strip().isdigit() and int(quota) and int(period):  # `max` and -1: none
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def memory(root: Path = ROOT) -> tuple[int, int] | None:
    """The smallest limit and what is still to be had under all of them, in bytes; None without one."""
    limits, room = [], []
    for group in _groups(root):
        limit = _limit(group)
        if limit is None:
            continue
        limits.append(limit)
        used = _number(group.folder / ("memory.current" if group.version == 2 else "memory.usage_in_bytes"))
        if used is not None:
            stat = _table(group.folder / "memory.stat")
            cache = sum(stat.get(name, 0) for name in _RECLAIMABLE[group.version])
            room.append(max(0, limit - max(0, used - cache)))
    return (min(limits), min([*room, *limits])) if limits else None


def oom_kills(root: Path = ROOT) -> int | None:
    """How many processes of this process's group the kernel has ended for want of memory; where groups do not say,
    of the whole machine. None where nobody says."""
    for group in _groups(root):
        events = "memory.events" if group.version == 2 else "memory.oom_control"
        count = _table(group.folder / events).get("oom_kill")
        if count is not None:
            return count  # its own group comes first, and counts those below it
    return _table(root / "proc/vmstat").get("oom_kill")


def _limit(group: _Group) -> int | None:
    if group.version == 2:  # beyond `high` processes stand still: no more to be had
        found = [_number(group.folder / name) for name in ("memory.max", "memory.high")]
    else:  # the latter holds those of groups above that a container does not see
        stat = _table(group.folder / "memory.stat")
        found = [_number(group.folder / "memory.limit_in_bytes"), stat.get("hierarchical_memory_limit")]
    return min((limit for limit in found if limit is not None and limit < 2**60), default=None)  # version 1's "none"


@functools.lru_cache(maxsize=8)  # asked for at each tick of the monitor
def _groups(root: Path) -> tuple[_Group, ...]:
    """The groups this process is in, of each hierarchy the innermost first, up to the root of its mount."""
    paths: dict[str, str] = {}  # by controller; version 2 has no name
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number.isdigit():
            paths.update(dict.fromkeys(names.split(","), path))
    found: dict[Path, _Group] = {}
    for version, controllers, top, mounted in _mounts(root):
        given = next((paths[name] for name in controllers if name in paths), None)
        if given is None:
            continue
        below = _relative(given, mounted)
        folder = top / below
        if not folder.is_dir():  # of another name space: the mount is what is ours of it
            folder = top
        for one in [folder, *folder.parents]:
            found.setdefault(one, _Group(one, version))
            if one == top:
                break
    return tuple(found.values())


def _relative(path: str, mounted: str) -> PurePosixPath:
    """A group's path below the mount of the group `mounted`; nothing where it is not below it."""
    given = PurePosixPath(os.path.normpath("/" + path.lstrip("/")))
    try:
        return given.relative_to(mounted)
    except ValueError:
        return PurePosixPath()


def _mounts(root: Path) -> Iterator[tuple[int, list[str], Path, str]]:
    """Of each mounted hierarchy: version, controllers, where, and which of its groups is the mount's root."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, *others) = left.split(), right.split() or [""]
        if len(fields) < 5 or kind not in ("cgroup", "cgroup2"):
            continue
        controllers = [""] if kind == "cgroup2" else (others[-1].split(",") if others else [])
        where = root / _plain(fields[4]).lstrip("/")
        yield (2 if kind == "cgroup2" else 1), controllers, where, _plain(fields[3])


def _plain(field: str) -> str:
    """mountinfo writes spaces and others as `\\040`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
