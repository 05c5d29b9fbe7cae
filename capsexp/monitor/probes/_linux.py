"""Processes straight from /proc, as going through psutil costs several times as much CPU.

What costs little is read at every tick, from files that stay open. What costs much is a walk through a process's pages
(smaps_rollup), which alone knows PSS: it is made when memory has moved, and as seldom as it is dear. In between,
PSS and USS move as RSS does.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from capsexp.machine import MB, open_files
from capsexp.monitor.probes._portable import Process
from capsexp.monitor.probes.base import Row

MOST_OPEN = 2048  # files; what is beyond is opened each time
MUCH_MB, MUCH = 4.0, 0.02  # of memory that moved, in MB and as a share of RSS: then PSS is read at once
AT_WORK = 0.1  # of a CPU: a thread that uses less between two ticks waits for work
FEW_FAULTS = 64  # pages: fewer say nothing
SHARE, SHARE_MUCH = 1 / 4000, 1 / 100  # of a CPU, which one process's PSS may take; and where much has moved
LONGEST_S = 10.0  # without reading PSS again
LIST_S = 2.0  # without listing all processes again, where the kernel's last pid does not tell


def sysconf(name: str) -> int:
    """What /proc counts in, so only where that is."""
    if sys.platform == "win32":
        raise NotImplementedError(name)
    return os.sysconf(name)


def read_bytes(path: str) -> bytes:
    """The whole of a file of /proc; raises OSError."""
    # Half the cost of a file object, dozens of times a tick.
    fd = os.open(path, os.O_RDONLY)
    try:
        content = b""
        while piece := os.read(fd, 16384):  # the kernel may give less than there is
            content += piece
        return content
    finally:
        os.close(fd)


class _File:
    """A small file of /proc that is read again and again: while it stays open at a third of the cost, and it stays that
    of the same process or thread, whoever gets its number next. Raises OSError, as do the rest."""

    _kept = 0  # by all of them

    def __init__(self, path: str, most: int) -> None:
        self._path, self._fd = path, -1
        if sys.platform != "win32" and _File._kept < most:
            self._fd = os.open(path, os.O_RDONLY)
            _File._kept += 1

    def read(self) -> bytes:
        if sys.platform == "win32" or self._fd < 0:
            return read_bytes(self._path)
        return os.pread(self._fd, 4096, 0)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            _File._kept -= 1


class Linux:
    def __init__(self) -> None:
        self._second = sysconf("SC_CLK_TCK")
        self._page_mb = sysconf("SC_PAGE_SIZE") / MB
        limit = open_files(MOST_OPEN + 256)
        self._most = MOST_OPEN if limit is None else max(0, min(MOST_OPEN, limit - 256))
        self._watched: dict[int, _Watched] = {}
        self._births = Births()
        self._ticks = 0
        self._family = 0  # counts who came and went: shared pages are then divided otherwise
        self._delays = _counts_delays()

    def begin(self) -> None:
        self._births.look(time.monotonic())
        self._ticks += 1
        for pid in [pid for pid, one in self._watched.items() if one.tick < self._ticks - 1]:
            self._forget(pid)

    def read(self, pid: int) -> Process | None:
        one = self._watched.get(pid)
        if one is None:
            self._family += 1
            one = self._watched[pid] = _Watched(pid, self._most, self._delays)
        try:
            # The name, in brackets, may hold anything.
            stat = one.stat.read().rpartition(b")")[2].split(None, 22)
            if stat[0] in (b"Z", b"X", b"x"):
                self._forget(pid)
                return None
            born = stat[19]
            self._births.moved(pid, int(stat[1]))
            columns: Row = {
                "cpu_s": (int(stat[11]) + int(stat[12])) / self._second,
                "threads": int(stat[17]),
                "major_faults": int(stat[9]),
                **one.memory(int(stat[21]) * self._page_mb, int(stat[7]) + int(stat[9]), self._family),
                **one.disk(),
            }
            if one.delays is not None:
                columns["runqueue_s"] = one.delays.seconds(int(stat[17]))
                columns["busy_threads"] = one.delays.busy(time.monotonic())
        except (OSError, IndexError):
            self._forget(pid)
            raise ProcessLookupError(pid) from None
        one.tick = self._ticks
        return Process(born, columns)

    def children(self, pid: int) -> list[int]:
        return sorted(self._births.children.get(pid, ()))

    def cmdline(self, pid: int) -> bytes:
        return read_bytes(f"/proc/{pid}/cmdline")

    def _forget(self, pid: int) -> None:
        self._family += 1
        self._watched.pop(pid, None)


class _Watched:
    """What stays open of a process, and what its memory was when it was looked at last. Sizes in MB."""

    def __init__(self, pid: int, most: int, delays: bool) -> None:
        self.pid, self.tick, self.stat = pid, 0, _File(f"/proc/{pid}/stat", most)
        self._status = _File(f"/proc/{pid}/status", most)
        self._io: _File | None = None
        with contextlib.suppress(PermissionError):  # another user's
            self._io = _File(f"/proc/{pid}/io", most)
        self.delays = _Delays(pid, most) if delays else None
        self._faults = -1  # at the last tick
        self._peak: Row = {}
        self._sizes: Row = {}  # as the walk through its pages found them; and then: by its stat
        self._rss, self._then, self._faults_then, self._family = 0.0, float("-inf"), 0, 0
        self._cost_s = 0.0

    def memory(self, rss: float, faults: int, family: int) -> Row:
        """`rss` and `faults` by its stat, at each tick: no memory grows without faults."""
        if rss == 0:  # it is ending: its memory has been given back
            return {"rss_mb": 0.0}
        if faults != self._faults:
            self._faults = faults
            _, _, rest = self._status.read().partition(b"VmHWM:")
            self._peak = {"peak_rss_mb": int(rest.split(None, 1)[0]) / 1024} if rest else {}
        now = time.monotonic()
        age, moved = now - self._then, abs(rss - self._rss)
        much = moved > max(MUCH_MB, MUCH * rss) and age >= self._cost_s / SHARE_MUCH
        some = faults - self._faults_then >= FEW_FAULTS or moved > 0 or family != self._family or age > LONGEST_S
        if much or (some and age >= self._cost_s / SHARE):
            began = time.thread_time()
            try:
                self._sizes = _sizes(read_bytes(f"/proc/{self.pid}/smaps_rollup"))
            except PermissionError:  # other users' processes show no more than RSS
                self._sizes = {}
            self._cost_s = time.thread_time() - began
            self._rss, self._then, self._faults_then, self._family = rss, now, faults, family
        if not self._sizes:
            return {"rss_mb": rss, **self._peak}
        grown = rss - self._rss
        return {**{name: max(0.0, size + grown) for name, size in self._sizes.items()}, **self._peak}

    def disk(self) -> Row:
        if self._io is None:
            return {}
        try:
            words = self._io.read().split()
        except PermissionError:
            self._io = None
            return {}
        return {"read_mb": int(words[9]) / MB, "write_mb": int(words[11]) / MB}


class _Delays:
    """How long a process's threads waited for a CPU although they could run, and how many of them were at work. What
    one that ended had waited stays in the sum, up to the last tick that saw it."""

    def __init__(self, pid: int, most: int) -> None:
        self._folder, self._most = f"/proc/{pid}/task", most
        self._threads: dict[str, _File] = {}
        self._waited: dict[str, int] = {}  # ns
        self._ran: dict[str, int] = {}  # ns
        self._before: dict[str, int] = {}  # the same at the tick before
        self._then = time.monotonic()
        self._ended = 0

    def seconds(self, threads: int) -> float:
        gone = [thread for thread, file in self._threads.items() if not self._read(thread, file)]
        for thread in gone:
            del self._threads[thread]
            self._ran.pop(thread, None)
            self._ended += self._waited.pop(thread, 0)
        if gone or threads != len(self._threads):
            for thread in os.listdir(self._folder):
                if thread not in self._threads:
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        file = _File(f"{self._folder}/{thread}/schedstat", self._most)
                        if self._read(thread, file):
                            self._threads[thread] = file
        return (self._ended + sum(self._waited.values())) / 1e9

    def busy(self, now: float) -> int:
        """Threads that have used more than AT_WORK of a CPU since the last time; none at the first."""
        least, since = 1e9 * AT_WORK * (now - self._then), self._before
        found = sum(ran - since.get(thread, 0) > least for thread, ran in self._ran.items()) if since else 0
        self._before, self._then = dict(self._ran), now
        return found

    def _read(self, thread: str, file: _File) -> bool:
        try:
            ran, waited, _ = file.read().split()  # CPU time, waiting time, time slices
            self._ran[thread], self._waited[thread] = int(ran), int(waited)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True


def _counts_delays() -> bool:
    """A kernel that does not count says so by zeros."""
    try:
        return read_bytes("/proc/self/schedstat").split() != [b"0", b"0", b"0"]
    except OSError:
        return False


def _sizes(rollup: bytes) -> Row:
    sizes: dict[bytes, int] = {}
    for line in rollup.splitlines()[1:]:
        name, _, size = line.partition(b":")
        sizes[name] = int(size.split()[0])
    if b"Rss" not in sizes:  # it is ending
        return {}
    uss = sizes[b"Private_Clean"] + sizes[b"Private_Dirty"] + sizes.get(b"Private_Hugetlb", 0)
    return {"rss_mb": sizes[b"Rss"] / 1024, "pss_mb": sizes[b"Pss"] / 1024, "uss_mb": uss / 1024}


class Births:
    """Who is whose child. All processes are listed only when somebody was born, which the kernel's last pid tells, and
    of those only the new ones are looked at."""

    def __init__(self) -> None:
        self.children: dict[int, set[int]] = {}
        self._parents: dict[int, int] = {}
        self._last, self._listed = -1, float("-inf")

    def look(self, now: float) -> None:
        """`now` in seconds of any clock."""
        before, self._last = self._last, _last_pid()  # before the list: who is born meanwhile is in the next one
        if before == self._last and now - self._listed < LIST_S:
            return
        self._listed = now
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        for pid in self._parents.keys() - there:
            self._part(pid)
        for pid in there:
            if pid not in self._parents or _given(pid, before, self._last):
                with contextlib.suppress(OSError, IndexError):
                    self.moved(pid, int(read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 2)[1]))

    def moved(self, pid: int, parent: int) -> None:
        """What is known of it now: orphans get another parent."""
        if self._parents.get(pid) != parent:
            self._part(pid)
            self._parents[pid] = parent
            self.children.setdefault(parent, set()).add(pid)

    def _part(self, pid: int) -> None:
        parent = self._parents.pop(pid, None)
        if parent is not None:
            siblings = self.children[parent]
            siblings.discard(pid)
            if not siblings:
                del self.children[parent]


def _last_pid() -> int:
    try:
        return int(read_bytes("/proc/loadavg").split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _given(pid: int, before: int, last: int) -> bool:
    """Whether a pid was given after `before` up to `last`; the numbers begin again at the end. It may have been
    somebody else's."""
    return before < pid <= last if before <= last else pid > before or pid <= last
