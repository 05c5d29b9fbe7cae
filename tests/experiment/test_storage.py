"""Disks that are full, read-only or gone, ports that are taken, clocks that jump, runners that are killed: one line
each, nothing left running, and a sweep that goes on afterwards."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from capsexp import archive
from capsexp.csvfile import BoundedCsv, CsvFile
from capsexp.errors import StorageError
from capsexp.files import beside, clear_parts, remedy, storing, write_json, write_text
from tests.support import LEGACY, PATIENCE
from tests.support.bench import Bench

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
QUICK = ("workers=1,2", "reference=off", "monitor.interval=0.02", "-m")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 500 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"may not mount: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def one_line_and_resume(bench: Bench, says: str, helps: str = "make room, then ") -> None:
    """What the sweep said at its end, and that it can go on from there."""
    last = bench.stderr.strip().splitlines()[-1]
    print(bench.stderr)
    assert re.fullmatch(
        rf"capsexp: cannot write \S+: {says}; the sweep has ended: {helps}go on with resume=\S+", last
    ), bench.stderr
    assert "Traceback" not in bench.stderr
    assert bench.stderr.count("cannot write") <= 2  # the run's own line, and the sweep's


def goes_on(bench: Bench) -> None:
    assert bench.finish(bench.start(f"resume={bench.out}", bare=True)) == 0, bench.stderr
    assert [c["status"] for c in bench.report()["configurations"]] == ["ok", "ok"]
    assert not list(bench.out.rglob("*.part"))


def test_a_full_disk(bench: Bench, small_disk: Path) -> None:
    bench.out = small_disk / "out"
    assert bench.run(*QUICK, f"hydra.sweep.dir={bench.out}") == 1
    one_line_and_resume(bench, "No space left on device")
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    goes_on(bench)


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of file sizes")
def test_a_file_that_may_not_grow(bench: Bench) -> None:
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (16000, 16000)); "
    bench.prefix = [sys.executable, "-c", limit + "os.execv(sys.argv[1], sys.argv[1:])"]
    assert bench.run(*QUICK) == 1
    one_line_and_resume(bench, "File too large", r"raise the limit of file sizes \(ulimit -f\), then ")
    bench.prefix = []
    goes_on(bench)


def test_a_folder_that_is_lost(bench: Bench) -> None:
    process = bench.start(*QUICK, "engine.rtf=0.5")
    bench.until(process)
    shutil.rmtree(bench.out, ignore_errors=True)
    shutil.rmtree(bench.out, ignore_errors=True)  # somebody may have been writing
    assert bench.finish(process) == 1
    one_line_and_resume(bench, "No such file or directory", "")


def test_outputs_that_are_read_only(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o555)
    says = "Permission denied"
    if os.geteuid() == 0:  # whom permissions do not stop
        place.rmdir()
        place.write_text("a file")
        says = "File exists"
    assert bench.run(*QUICK, f"hydra.sweep.dir={place}/out") == 2
    assert bench.stderr.strip().count("\n") == 0
    assert f"{says}; choose another folder" in bench.stderr


@LINUX
def test_a_port_that_is_taken_in_between(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "late.py"
    script.write_text(  # a stranger takes the port, and the server itself never gets it
        "import os, socket, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "    taken = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "    time.sleep(3)\n"
        "    os._exit(0)\n"
        "time.sleep(60)\n"
    )
    process = bench.start("server=command", f"server.cmd='{sys.executable} {script} {{port}}'", "reference=off")
    bench.stdout, bench.stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (line,) = [line for line in bench.stderr.splitlines() if "failed:" in line]
    assert re.search(r"belongs to another process \(pid \d+\), which took the port", line)
    until = time.monotonic() + PATIENCE
    while bench.left() and time.monotonic() < until:
        time.sleep(0.1)


def test_a_clock_that_jumps_back_changes_nothing(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import os, time\n"
        "real, began = time.time, time.monotonic()\n"
        "time.time = lambda: real() - 3600 * int(20 * (time.monotonic() - began))\n"  # an hour back every 50 ms
        f"open(os.path.join({str(hook)!r}, str(os.getpid())), 'w').close()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hook))
    assert (
        bench.run(
            "engine.rtf=0.05",
            "validity=default",
            "validity.other_cpu=null",
            "validity.interference=null",
            "reference=off",
        )
        == 0
    ), bench.stderr
    assert len(list(hook.glob("[0-9]*"))) >= 5  # runner, server, worker, client, monitor
    one = bench.configuration("workers=1")
    assert one["status"] == "ok"
    assert one["requests"]["completed"] == 4
    audio_s = 3 + 6 + 9 + 23
    assert 0.05 * audio_s <= one["metrics"]["makespan_s"]["value"] < 0.05 * audio_s + PATIENCE / 12
    run = json.loads(next(bench.out.glob("0-*/run.json")).read_text())
    assert all(seconds >= 0 for seconds in run["phases_s"].values())
    assert 0 < max(bench.figures(run).durations.compute_s) < PATIENCE / 12


def test_sigterm_is_as_ctrl_c(bench: Bench) -> None:
    process = bench.start("engine.rtf=1", "reference=off")
    bench.until(process)
    process.terminate()
    assert bench.finish(process) == 130
    assert bench.report()["interrupted"]


@LINUX
@pytest.mark.parametrize("how", ["of somebody else's", "that is stopped"])
def test_a_killed_runner_takes_a_server_with_it(bench: Bench, how: str) -> None:
    line = f"{sys.executable} {LEGACY} {{workers}} {{port}} 1"
    server = ["server=command", f'server.cmd="{line}"'] if how == "of somebody else's" else []
    process = bench.start("workers=2", "engine.rtf=1", "reference=off", *server)
    bench.until(process, "0-*/monitor.csv")
    until = time.monotonic() + PATIENCE
    below: list[psutil.Process] = []
    while len(below) < 5 and time.monotonic() < until:
        time.sleep(0.5)
        below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 5
    if how == "that is stopped":
        for one in below:
            if "capsexp.server" in one.cmdline():
                one.send_signal(signal.SIGSTOP)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(below, timeout=2 * PATIENCE / 60)
    assert not alive
    assert not bench.left()


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(StorageError, match=r"cannot write x\.json: No such file"):
        write_json(tmp_path / "gone" / "x.json", {})
    (tmp_path / ".a.json.77.part").write_text("{")
    clear_parts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("name", ["录" * 79 + ".wav", "x" * 251 + ".csv", "é" * 120 + ".json"])
def test_a_file_of_any_legal_name_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()  # legal here
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    table = BoundedCsv(path, ["a"], 4)
    for number in range(20):
        table.write([{"a": number}])
    table.close()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with pytest.raises(StorageError, match=r"cannot write .*: File name too long$") as caught:
        write_text(tmp_path / ("y" * 300), "")
    assert remedy(str(caught.value)) == "shorten that name"


@pytest.mark.parametrize(
    ("number", "helps"),
    [(errno.ENOSPC, "make room"), (errno.EACCES, "make it writable"), (errno.EROFS, "make it writable"),
     (errno.ENOENT, ""), (errno.ENAMETOOLONG, "shorten that name"), (errno.EMFILE, "raise the limit of open files")],
)  # fmt: skip
def test_an_error_names_its_file_and_its_own_remedy(tmp_path: Path, number: int, helps: str) -> None:
    with pytest.raises(StorageError) as caught, storing(tmp_path / "a.csv"):
        raise OSError(number, os.strerror(number))  # as a write does: without a name
    assert str(caught.value) == f"cannot write a.csv: {os.strerror(number)}"
    assert remedy(str(caught.value)).startswith(helps)
    assert bool(remedy(str(caught.value))) == bool(helps)


@LINUX
def test_a_full_device() -> None:
    full = open("/dev/full", "w")  # noqa: SIM115 (closing it fails)
    with pytest.raises(StorageError, match="cannot write full: No space left"):
        CsvFile(full, ["a"]).flush()
    with contextlib.suppress(OSError):
        full.close()
    with pytest.raises(StorageError, match="cannot write"):
        write_text(Path("/dev/full/x"), "")


@pytest.mark.parametrize("size", ["4k", "60k"])
def test_a_disk_without_room_for_a_beginning_keeps_nothing_of_it(bench: Bench, small_disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", small_disk], check=True)
    assert bench.run(*QUICK, f"hydra.sweep.dir={small_disk}/out") == 1
    says = r"capsexp: cannot write \S+: No space left on device; nothing was begun: make room, then start it again"
    assert re.fullmatch(says, bench.stderr.strip()), bench.stderr
    assert not list(small_disk.iterdir())


def test_a_zip_that_cannot_be_written_leaves_no_part(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    folder.mkdir()
    (tmp_path / "sweep.zip").mkdir()  # stands in its way
    with pytest.raises(StorageError, match=r"cannot write sweep\.zip"):
        archive.build(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"sweep", "sweep.zip"}


def test_what_a_killed_writer_left_of_a_zip_is_cleared_and_no_other(tmp_path: Path) -> None:
    folder, other = tmp_path / "sweep", tmp_path / "other"
    for one in (folder, other):
        one.mkdir()
        for path in archive.beside_it(one):
            beside(path).write_text("half of it")
    clear_parts(folder, *archive.beside_it(folder))
    assert {path.name for path in tmp_path.glob(".*")} == {beside(path).name for path in archive.beside_it(other)}
