"""The monitor sees what real processes use, and nothing that comes or goes upsets it."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf

from capsexp.config import schema
from capsexp.csvfile import BoundedCsv
from capsexp.monitor.app import Stop, ticks, used_mb
from capsexp.monitor.probes.base import Row
from capsexp.monitor.sampler import MONITOR, Sampler

SCALE = float(os.environ.get("CAPSEXP_TEST_SCALE", "1"))  # of all time limits, for slow machines
PATIENCE = 20 * SCALE
COLUMNS = Sampler({}, None).tables[MONITOR]
linux = pytest.mark.skipif(sys.platform != "linux", reason="PSS is known on Linux alone")

# Allocates or works when told to, line by line, and answers each.
OBEDIENT = """
import subprocess, sys, time
held = []
for line in sys.stdin:
    word = line.strip()
    if word == "allocate":
        held.append(bytearray(b"x") * (50 * 2**20))
    elif word == "work":
        end = time.process_time() + 0.3
        while time.process_time() < end: pass
    elif word == "child":
        held.append(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
        print(held[-1].pid, flush=True)
        continue
    elif word == "kill":
        held[-1].kill()  # and leave a zombie
    print("ok", flush=True)
"""

LISTENER = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
time.sleep(600)
"""


class Obedient:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.pid = process, process.pid

    def __call__(self, word: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def gateway() -> Iterator[Obedient]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OBEDIENT], stdin=pipe, stdout=pipe, text=True) as process:
        try:
            gateway = Obedient(process)
            assert gateway("hello") == "ok"
            yield gateway
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()


def of(rows: Sequence[Row], pid: int) -> Row:
    (row,) = (row for row in rows if row.get("pid") == pid)
    return row


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@linux
def test_memory_and_cpu_of_a_real_process(gateway: Obedient) -> None:
    sampler = Sampler({gateway.pid: "gateway"}, None)
    before = of(sampler.tick()[MONITOR], gateway.pid)
    gateway("allocate")
    gateway("work")
    after = of(sampler.tick()[MONITOR], gateway.pid)
    for column in ("pss_mb", "uss_mb", "rss_mb"):
        assert 48 < after[column] - before[column] < 56
    assert 0.25 <= after["cpu_s"] - before["cpu_s"] < 2
    assert after["threads"] == 1
    assert after["role"] == "gateway"
    memory = psutil.Process(gateway.pid).memory_full_info()
    assert after["pss_mb"] == pytest.approx(memory.pss / 2**20, rel=0.02)
    assert after["uss_mb"] == pytest.approx(memory.uss / 2**20, rel=0.02)


def test_the_system_and_the_monitor_have_rows(gateway: Obedient) -> None:
    sampler = Sampler({gateway.pid: "gateway"}, None)
    first = sampler.tick()[MONITOR]
    time.sleep(0.1)
    second = sampler.tick()[MONITOR]
    assert [row["role"] for row in second] == ["monitor", "gateway", "system"]
    assert "cpu_percent" not in first[-1]
    assert 0 <= second[-1]["cpu_percent"] <= 100
    assert second[-1]["available_mb"] > 0
    assert second[-1]["swap_in_mb"] >= 0
    assert of(second, os.getpid())["cpu_s"] > 0
    assert all(set(row) < set(COLUMNS) for row in second)


def test_a_child_that_dies_between_ticks(gateway: Obedient) -> None:
    sampler = Sampler({gateway.pid: "gateway"}, None)
    child = int(gateway("child"))
    assert (of(sampler.tick()[MONITOR], child)["role"], of(sampler.tick()[MONITOR], child)["worker"]) == ("worker", 0)
    gateway("kill")
    until(lambda: all(row.get("pid") != child for row in sampler.tick()[MONITOR]))  # a zombie by now
    another = int(gateway("child"))
    assert of(sampler.tick()[MONITOR], another)["worker"] == 1
    psutil.Process(another).kill()
    gateway.process.kill()
    gateway.process.wait()
    assert [row["role"] for row in sampler.tick()[MONITOR]] == ["monitor", "system"]


def test_a_pid_that_never_was() -> None:
    assert [row["role"] for row in Sampler({2**22 + 1: "gateway"}, None).tick()[MONITOR]] == ["monitor", "system"]


def test_pid_files_give_roles(gateway: Obedient, tmp_path: Path) -> None:
    worker, other = int(gateway("child")), int(gateway("child"))
    sampler = Sampler({gateway.pid: "gateway"}, tmp_path)
    assert {row["worker"] for row in sampler.tick()[MONITOR] if row["role"] == "worker"} == {0, 1}
    (tmp_path / str(worker)).write_text("worker 2")
    (tmp_path / str(other)).write_text("")  # not written yet
    (tmp_path / "junk").write_text("worker x")
    client = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / str(client.pid)).write_text("client 0")
        rows = sampler.tick()[MONITOR]
    finally:
        client.kill()
        client.communicate()
    assert (of(rows, worker)["role"], of(rows, worker)["worker"]) == ("worker", 2)
    assert (of(rows, other)["role"], of(rows, other)["worker"]) == ("helper", None)
    assert (of(rows, client.pid)["role"], of(rows, client.pid).get("worker")) == ("client", None)
    assert all(row.get("pid") != client.pid for row in sampler.tick()[MONITOR])


def test_a_late_tick_is_left_out_and_the_others_keep_time() -> None:
    stop, interval, moments = Stop(), 0.1, []
    for moment in ticks(interval, stop):
        moments.append(moment)
        if len(moments) == 3:
            time.sleep(0.25)
        if len(moments) == 6:
            stop.put(None)
    assert len(moments) == 7
    grid = [(moment - moments[0]) / interval for moment in moments[:6]]
    assert [round(g) for g in grid][:3] == [0, 1, 2]
    assert all(later - earlier > 0.5 for earlier, later in itertools.pairwise(grid))
    if SCALE == 1:
        assert grid == pytest.approx([0, 1, 2, 5, 6, 7], abs=0.5)


def monitor(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "capsexp.monitor", *arguments]


@contextmanager
def run_mode(tmp_path: Path, gateway: Obedient, interval: float) -> Iterator[subprocess.Popen[bytes]]:
    tree = schema("null")
    tree.monitor.interval = interval
    (tmp_path / "c.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(tree)))
    (tmp_path / ".pids").mkdir()
    command = monitor("--config", str(tmp_path / "c.yaml"), "--run-dir", str(tmp_path), "--stdin-guard")
    command += ["--zero", repr(time.monotonic()), "--watch", f"gateway:{gateway.pid}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            until((tmp_path / ".monitor-ready").is_file)
            yield process
        finally:
            process.kill()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_a_run_end_to_end(tmp_path: Path, gateway: Obedient, end: str) -> None:
    with run_mode(tmp_path, gateway, 0.1) as process:
        time.sleep(1)
        flushed = read(tmp_path / "monitor.csv")
        began = time.monotonic()
        if end == "stdin":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, end))
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 2 * SCALE
    rows = read(tmp_path / "monitor.csv")
    assert len(rows) > len(flushed) > 3  # a row for each as it is taken, and a last look at the end
    assert {row["role"] for row in rows} == {"gateway", "monitor", "system"}
    times = [float(row["time_s"]) for row in rows if row["role"] == "system"]
    assert times == sorted(set(times))
    assert 0 < times[0] < PATIENCE
    off = [((t - times[0]) / 0.1 + 0.5) % 1 - 0.5 for t in times[1:-1]]  # how far from the grid, in intervals
    assert sorted(off)[len(off) // 2] < 0.3
    assert abs(off[-1]) < 0.5
    own = [float(row["cpu_s"]) for row in rows if row["role"] == "monitor"]
    assert own == sorted(own)


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(monitor(*arguments), capture_output=True, text=True, timeout=PATIENCE)


def test_no_server_on_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    got = alone("--port", str(port))
    assert got.returncode == 1
    assert got.stdout == ""
    line = f"no server listens on port {port}: start it first (python -m capsexp.server) or give another monitor.port"
    assert got.stderr == f"capsexp.monitor: {line}\n"


def test_no_such_process_and_no_such_folder(tmp_path: Path) -> None:
    got = alone("--pid", str(2**22 + 1))
    assert got.returncode == 1
    assert got.stderr.count("\n") == 1
    got = alone("--pid", str(os.getpid()), "--log", str(tmp_path / "none" / "x.csv"))
    assert got.returncode == 2
    assert got.stderr.startswith("capsexp.monitor: monitor.log: cannot write")


def test_a_page_of_what_was_seen(tmp_path: Path, gateway: Obedient) -> None:
    page = tmp_path / "x.html"
    command = monitor("--pid", str(gateway.pid), "--interval", "0.1", "--html", str(page))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        for _ in range(12):  # ticks
            watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        said, _ = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0
    peak = re.search(r"peak (\w+) of the server's processes: (\d+) MiB", said)
    text = page.read_text("utf-8")
    assert peak is not None and f"at most {peak[2]} MB of {peak[1]}." in text
    for table in ("table-memory-time-0", "table-cpu-time-0"):
        rows = re.search(f'id="{table}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
        assert rows is not None and rows[1].count("<tr>") >= 10
    assert "Content-Security-Policy" in text and "<script src" not in text


def test_a_page_that_cannot_be_written_is_told_before_anything_is_watched(tmp_path: Path) -> None:
    got = alone("--pid", str(os.getpid()), "--html", str(tmp_path / "none" / "x.html"))
    assert got.returncode == 2
    assert got.stderr.startswith("capsexp.monitor: monitor.html: cannot write")
    assert got.stdout == ""


def test_alone_until_the_server_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        port, log = listener.stdout.readline().strip(), tmp_path / "x.csv"
        command = monitor("--port", port, "--interval", "0.1", "--log", str(log))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            try:
                until(lambda: log.is_file() and sum(row["role"] == "gateway" for row in read(log)) >= 2)
            finally:
                listener.kill()
            lines = watching.communicate(timeout=PATIENCE)[0].splitlines()
    assert watching.returncode == 0
    assert f"server {listener.pid}: 1 processes" in lines[0]
    assert lines[-1].startswith("the server has ended after ")
    assert lines[-1].endswith(" MiB")
    assert {int(row["pid"]) for row in read(log) if row["role"] == "gateway"} == {listener.pid}


def test_busy_idle_and_stolen_seconds_only_grow_and_make_up_the_machine(gateway: Obedient) -> None:
    sampler = Sampler({gateway.pid: "gateway"}, None)
    first, began = sampler.tick()[MONITOR][-1], time.monotonic()
    gateway("work")
    middle = sampler.tick()[MONITOR][-1]
    gateway("work")
    last, took = sampler.tick()[MONITOR][-1], time.monotonic() - began
    assert first["busy_s"] <= middle["busy_s"] <= last["busy_s"]
    assert last["busy_s"] - first["busy_s"] > 0.4  # two times 0.3 s of CPU, in ticks of the kernel
    parts = sum(last.get(c, 0.0) - first.get(c, 0.0) for c in ("busy_s", "idle_s", "steal_s"))
    assert parts == pytest.approx(took * (psutil.cpu_count() or 1), rel=0.3, abs=0.1)


def test_a_thinned_table_tells_the_share_of_the_cpus_as_the_whole_one_does(tmp_path: Path) -> None:
    """Ticks are kept for their memory; here the machine is idle whenever the server is large."""
    table, busy = BoundedCsv(tmp_path / "m.csv", COLUMNS, 10, used_mb), 0.0
    for tick in range(400):
        large = tick % 2
        busy += 0.0 if large else 1.0
        system = {"role": "system", "cpu_percent": 0.0 if large else 100.0, "busy_s": busy, "idle_s": tick + 1 - busy}
        server = {"role": "gateway", "pid": 7, "pss_mb": 100.0 + large, "rss_mb": 500.0}
        table.write([{"time_s": float(tick), **row} for row in (server, system)])
    table.close()
    rows = [row for row in read(tmp_path / "m.csv") if row["role"] == "system"]
    assert len(rows) <= 12
    busy, idle = (float(rows[-1][c]) - float(rows[0][c]) for c in ("busy_s", "idle_s"))
    assert busy / (busy + idle) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("known", ["pss_mb", "uss_mb", "rss_mb"])
def test_a_thinned_table_keeps_the_peak_by_what_the_platform_knows(tmp_path: Path, known: str) -> None:
    """macOS knows no PSS, and other users' processes show RSS alone."""
    columns = ("pss_mb", "uss_mb", "rss_mb")
    table = BoundedCsv(tmp_path / "m.csv", COLUMNS, 10, used_mb)
    for tick in range(400):
        sizes = dict.fromkeys(columns[columns.index(known) :], 900.0 if tick == 123 else 100.0)
        table.write([{"time_s": float(tick), "role": "gateway", "pid": 7, **sizes}])
    table.close()
    assert max(float(row[known]) for row in read(tmp_path / "m.csv")) == 900.0
