"""What is read of processes at every tick, what only when something moved, and that it is right all the same."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis.figures import memory
from capsexp.monitor.probes import Watch, _linux, processes
from capsexp.monitor.probes.base import Row
from tests.support import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

CHILD = """
import mmap, os, sys, time
held, shared = [], None
for line in sys.stdin:
    word, _, size = line.strip().partition(" ")
    if word == "take":
        held.append(bytearray(b"x") * (int(size) * 2**20))
    elif word == "spike":
        big = bytearray(b"x") * (int(size) * 2**20)
        time.sleep(0.2)
        del big
    elif word == "share":
        held.append(mmap.mmap(-1, int(size) * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        held[-1].madvise(15)  # MADV_NOHUGEPAGE: what is written later is copied page by page
        held[-1].write(b"x" * len(held[-1]))
        there, here = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.read(there[0], 1)
            for at in range(0, len(held[-1]), 4096): held[-1][at] = 1
            os.write(here[1], b".")
            time.sleep(600)
    elif word == "unshare":
        os.write(there[1], b".")
        os.read(here[0], 1)
    elif word == "work":
        os.sched_setaffinity(0, {int(size)})
        print("ok", flush=True)
        while True: pass
    print("ok", flush=True)
"""


class Told:
    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        self.pid = self.process.pid

    def __call__(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.pid, 9)
            self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[[], Told]]:
    started: list[Told] = []

    def make() -> Told:
        started.append(Told())
        started[-1]("hello")
        return started[-1]

    yield make
    for each in started:
        each.end()


def trees(root: int) -> processes.Trees:
    return processes.start(Watch({root: "gateway"}, None))


def look(probe: processes.Trees, pid: int) -> Row:
    (row,) = (row for row in probe.look(time.monotonic(), []) if row["pid"] == pid)
    return row


def test_a_spike_between_two_ticks_is_seen_and_counts(start: Callable[[], Told]) -> None:
    told = start()
    probe = trees(told.pid)
    before = look(probe, told.pid)
    told("spike 500")  # takes 200 ms, within which no tick falls
    after = look(probe, told.pid)
    assert after["rss_mb"] - before["rss_mb"] < 50
    assert 495 < after["peak_rss_mb"] - before["rss_mb"] < 520
    rows = [{"time_s": t, "uss_mb": None, **row} for t, row in enumerate((before, after))]
    assert memory(rows, None).peak_mb - before["pss_mb"] > 450


def test_what_rests_is_not_walked_through_again_and_what_moves_is(
    start: Callable[[], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, walks = start(), 0

    def counting(path: str) -> bytes:
        nonlocal walks
        walks += path == f"/proc/{told.pid}/smaps_rollup"
        return read(path)

    read = _linux.read_bytes
    monkeypatch.setattr(_linux, "read_bytes", counting)
    probe = trees(told.pid)
    look(probe, told.pid)
    time.sleep(0.1)
    look(probe, told.pid)
    resting = walks
    for _ in range(20):
        before = look(probe, told.pid)
    assert walks == resting <= 2
    told("take 30")
    after = look(probe, told.pid)
    assert walks == resting + 1
    for column in ("pss_mb", "uss_mb", "rss_mb"):
        assert 29 < after[column] - before[column] < 32


def test_between_two_walks_pss_moves_as_rss_does(start: Callable[[], Told], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linux, "MUCH_MB", 1e6)
    monkeypatch.setattr(_linux, "SHARE", 1e-12)  # never worth it
    told = start()
    probe = trees(told.pid)
    before = look(probe, told.pid)
    told("take 40")
    after = look(probe, told.pid)
    real = psutil.Process(told.pid).memory_full_info()
    assert after["pss_mb"] - before["pss_mb"] == pytest.approx(40, abs=2)
    assert after["pss_mb"] == pytest.approx(real.pss / 2**20, abs=2)
    assert after["uss_mb"] == pytest.approx(real.uss / 2**20, abs=2)


def test_pages_that_are_no_longer_shared_are_seen_though_rss_stays(start: Callable[[], Told]) -> None:
    """As workers do that were forked from a process with the model."""
    told = start()
    told("share 60")
    probe = trees(told.pid)
    deadline = time.monotonic() + PATIENCE
    before = sum(row["pss_mb"] for row in probe.look(time.monotonic(), []) if row["role"] != "monitor")
    told("unshare")
    grown = 0.0
    while grown < 55 and time.monotonic() < deadline:
        time.sleep(0.05)
        rows = [row for row in probe.look(time.monotonic(), []) if row["role"] != "monitor"]
        grown = sum(row["pss_mb"] for row in rows) - before
    assert len(rows) == 2
    assert 55 < grown < 65


def test_two_that_share_a_cpu_wait_for_it(start: Callable[[], Told]) -> None:
    if not _linux._counts_delays():
        pytest.skip("this kernel does not count")
    one, other = start(), start()
    cpu = min(os.sched_getaffinity(0))
    probe = trees(one.pid)
    before, began = look(probe, one.pid)["runqueue_s"], time.monotonic()
    for each in (one, other):
        each(f"work {cpu}")
    waited, deadline = 0.0, time.monotonic() + PATIENCE
    while waited < 0.3 and time.monotonic() < deadline:
        time.sleep(0.1)
        waited = look(probe, one.pid)["runqueue_s"] - before
    assert 0.3 <= waited < time.monotonic() - began


def test_what_threads_waited_stays_in_the_sum_when_they_end(tmp_path: Path) -> None:
    def thread(name: str, waited_s: float) -> None:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "schedstat").write_text(f"5 {int(waited_s * 1e9)} 7\n")

    delays = _linux._Delays(1, 0)  # nothing stays open: a file that is removed is gone
    delays._folder = str(tmp_path)
    thread("1", 1.0)
    thread("2", 0.5)
    assert delays.seconds(2) == 1.5
    (tmp_path / "2" / "schedstat").unlink()
    thread("3", 0.25)
    thread("1", 1.5)
    assert delays.seconds(2) == 1.5 + 0.5 + 0.25
    assert delays.seconds(2) == 2.25


def test_threads_at_work_are_those_that_used_a_cpu_since_the_tick_before(tmp_path: Path) -> None:
    def ran(**threads: float) -> None:
        for name, seconds in threads.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "schedstat").write_text(f"{int(seconds * 1e9)} 0 7\n")

    delays = _linux._Delays(1, 0)
    delays._folder = str(tmp_path)
    ran(one=2.0, two=0.05)
    delays.seconds(2)
    assert delays.busy(100.0) == 0  # nobody knows since when
    ran(one=3.0, two=0.1, three=0.9)
    delays.seconds(3)
    assert delays.busy(101.0) == 2
    ran(one=3.0, two=1.0)
    (tmp_path / "three" / "schedstat").unlink()
    delays.seconds(2)
    assert delays.busy(102.0) == 1
    delays.seconds(2)
    assert delays.busy(103.0) == 0


def test_a_real_thread_that_works_is_counted(start: Callable[[], Told]) -> None:
    if not _linux._counts_delays():
        pytest.skip("this kernel does not count")
    one = start()
    probe, deadline, found = trees(one.pid), time.monotonic() + PATIENCE, 0
    time.sleep(0.2)
    look(probe, one.pid)
    one(f"work {min(os.sched_getaffinity(0))}")
    while found != 1 and time.monotonic() < deadline:
        time.sleep(0.3)
        found = look(probe, one.pid)["busy_threads"]
    assert found == 1


def test_files_stay_open_while_they_are_watched_and_no_longer(start: Callable[[], Told]) -> None:
    gc.collect()
    before, told = len(os.listdir("/proc/self/fd")), start()
    with_pipes = len(os.listdir("/proc/self/fd"))
    probe = trees(told.pid)
    for _ in range(10):
        probe.look(time.monotonic(), [])
    assert len(os.listdir("/proc/self/fd")) - with_pipes <= 2 * 4 + len(os.listdir("/proc/self/task"))
    told.end()
    probe.look(time.monotonic(), [])
    probe.look(time.monotonic(), [])
    assert not [n for n in _linked() if n.startswith(f"/proc/{told.pid}/")]
    probe.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def _linked() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return found


def test_with_no_files_to_spare_all_is_seen_as_well(start: Callable[[], Told], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_linux, "open_files", lambda needed: 64)
    told = start()
    probe = trees(told.pid)
    look(probe, told.pid)
    assert not [name for name in _linked() if name.startswith(f"/proc/{told.pid}/")]
    told("take 30")
    row = look(probe, told.pid)
    assert {"pss_mb", "cpu_s", "peak_rss_mb", "read_mb"} <= set(row)


def test_who_is_born_between_two_looks_is_a_child_and_who_is_orphaned_is_another_s() -> None:
    births = _linux.Births()
    births.look(0.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        births.look(0.1)
        assert child.pid in births.children[os.getpid()]
        births.moved(child.pid, 1)
        assert child.pid in births.children[1] and child.pid not in births.children.get(os.getpid(), ())
        child.kill()
    births.look(10.0)
    assert child.pid not in births.children.get(1, ())


@given(st.integers(1, 50), st.integers(0, 60))
def test_a_pid_that_was_given_since_is_looked_at_again(before: int, count: int) -> None:
    """The numbers 1 to 50 begin again after 50."""
    given_since = [(before + n) % 50 + 1 for n in range(min(count, 49))]
    last = given_since[-1] if given_since else before
    assert {pid for pid in range(1, 51) if _linux._given(pid, before, last)} == set(given_since)
