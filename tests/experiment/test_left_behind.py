"""What somebody else's server, or a harness that fails, leaves: no process, no gigabytes, no verdict."""

import contextlib
import errno
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.config import Config
from capsexp.engines.null import NullConfig
from capsexp.errors import EngineError, HarnessError, StorageError
from capsexp.experiment import reference
from capsexp.experiment.child import Child, Foreign
from capsexp.experiment.logs import LOG_BYTES, BoundedLog
from capsexp.files import bound_log
from capsexp.server import app
from tests.support import PATIENCE
from tests.support.bench import Bench


@pytest.mark.parametrize("told", [True, False])
def test_a_child_is_waited_for_whether_the_system_tells_of_its_end_or_not(
    told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not told:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    child = Child([sys.executable, "-c", "input()"], tmp_path / "child.log")
    looks: list[float] = []
    assert not child.wait(0.05)
    assert not child.done(0.2, lambda: looks.append(time.monotonic()), 0.05)
    assert 1 <= len(looks) <= 5  # nothing is asked more often than that
    child.say("")
    assert child.done(PATIENCE, lambda: None, PATIENCE)
    assert child.wait(0.0) and child.process.returncode == 0
    child.stop(1.0)


def test_the_end_of_a_log_is_all_that_an_error_holds(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "print('x' * 20_000_000, end='')"], tmp_path / "server.log")
    assert child.wait(PATIENCE)
    assert len(child.last_lines()) < 3000
    child.stop(1.0)
    assert LOG_BYTES < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * LOG_BYTES
    with (tmp_path / "debug.log").open("wb") as log:
        log.truncate(LOG_BYTES)
    bound_log(tmp_path / "debug.log", 1000)
    assert (tmp_path / "debug.log").stat().st_size == 0
    assert (tmp_path / "debug.log.1").stat().st_size == 1000


@pytest.mark.skipif(sys.platform == "win32", reason="needs yes(1)")
def test_a_log_is_bounded_while_nobody_looks(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "yes; true"], tmp_path / "server.log")
    try:
        until, most = time.monotonic() + 1.0, 0
        while time.monotonic() < until:
            with contextlib.suppress(OSError):  # renamed meanwhile
                most = max(most, sum(path.stat().st_size for path in tmp_path.iterdir()))
        assert LOG_BYTES < most <= 2 * LOG_BYTES
    finally:
        child.stop(1.0)


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 60))
def test_a_log_keeps_the_end_of_what_was_said(blocks: list[bytes], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        log = BoundedLog(path, most)
        for block in blocks:
            log.write(block)
        log.close()
        before = Path(folder) / "a.log.1"
        kept = (before.read_bytes() if before.is_file() else b"") + path.read_bytes()
        said = b"".join(blocks)
        assert said.endswith(kept)
        assert len(kept) >= min(len(said), most)
        assert len(kept) <= 2 * max(most, max(map(len, blocks), default=0))


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux")
def test_a_server_with_a_session_of_its_own_is_ended_too(bench: Bench) -> None:
    line = f"setsid -f {sys.executable} -c 'import time; time.sleep(600)' {{port}}"
    assert bench.run("server=command", f"server.cmd={line}", "server.ready_timeout=2", "reference=off") == 1
    assert not bench.left()


DAEMON = (  # what daemons do: two forks and a session of its own, in an empty environment
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork():\n"
    "        os._exit(0)\n"
    "    os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600) # MARK'], {})\n"
    "time.sleep(600)\n"
)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(mark in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux")
@pytest.mark.parametrize("how", ["the runner is killed", "it is stopped", "its leash is killed"])
def test_a_daemon_ends_with_whoever_started_it(bench: Bench, tmp_path: Path, how: str) -> None:
    """Also one of which nothing says whose it is, but where it came from."""
    script = tmp_path / "daemon.py"
    script.write_text(DAEMON.replace("MARK", bench.mark))
    line = f"server.cmd={sys.executable} {script} {{port}}"
    runner = bench.start("server=command", line, "reference=off", "server.ready_timeout=600", "server.grace=1")
    until = time.monotonic() + PATIENCE
    while not (left := _marked(bench.mark)):
        assert time.monotonic() < until
        time.sleep(0.02)
    try:
        assert os.getsid(left[0].pid) not in (os.getsid(runner.pid), os.getsid(left[0].ppid()))
        if how == "the runner is killed":
            runner.kill()
        elif how == "it is stopped":
            runner.terminate()
        else:
            psutil.Process(left[0].ppid()).kill()
        bench.finish(runner) if how != "the runner is killed" else runner.communicate(timeout=PATIENCE)
        until = time.monotonic() + PATIENCE / 6
        while (_marked(bench.mark) or bench.left()) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _marked(bench.mark)
        assert not bench.left()
    finally:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_leash_ends_as_its_server_does(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for code, said in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM)):
        server = Foreign([sys.executable, "-c", code], log)
        assert server.root != server.pid
        assert server.wait(PATIENCE)
        assert server.process.returncode == said
        server.stop(1.0)
    with pytest.raises(OSError, match="No such file"):
        Foreign(["/nowhere/at/all"], log)
    # One that has a session of its own is asked before it is killed.
    script = "import os, signal, sys, time; os.setsid(); signal.signal(15, lambda *_: (print('asked'), sys.exit())); "
    server = Foreign([sys.executable, "-c", script + "print('up', flush=True); time.sleep(600)"], log)
    until = time.monotonic() + PATIENCE
    while "up" not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    server.stop(PATIENCE)
    assert server.last_lines().endswith("up | asked")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_run_whose_monitor_was_killed_is_no_verdict_and_is_repeated(bench: Bench) -> None:
    runner = bench.start("engine.rtf=0.1", "reference=off", "trials_max=2")
    bench.until(runner)
    for child in psutil.Process(runner.pid).children(recursive=True):
        if "capsexp.monitor" in child.cmdline():
            child.kill()
    assert bench.finish(runner) in (0, 1), bench.stderr
    runs = [json.loads(p.read_text()) for p in sorted(bench.out.glob("*/run.json"))]
    assert (runs[0]["status"], runs[0]["failure"]) == ("failed", "harness")
    assert [run["status"] for run in runs[1:]] == ["ok"]
    assert bench.report()["verdict"] != "NOT_FEASIBLE"


@pytest.mark.skipif(sys.platform == "win32", reason="needs yes(1)")
def test_a_server_that_prints_without_end_leaves_little(bench: Bench) -> None:
    """Also of what it prints while it is being ended."""
    given = ("server=command", "server.cmd=sh -c yes {port}", "server.ready_timeout=2", "reference=off")
    assert bench.run(*given) == 1
    assert sum(path.stat().st_size for path in bench.out.rglob("*") if path.is_file()) < 20e6
    assert bench.report()["verdict"] == "INCONCLUSIVE"  # nothing was measured
    assert "server.ready_timeout = 2 s: y | y" in bench.stderr


@pytest.mark.parametrize(("kind", "says"), [(Child, "server could not write"), (Foreign, "")])
def test_only_a_tool_of_ours_says_by_its_code_that_it_cannot_write(
    kind: type[Child], says: str, tmp_path: Path
) -> None:
    child = kind([sys.executable, "-c", "raise SystemExit(4)"], tmp_path / "server.log")
    assert child.wait(PATIENCE)
    said = ""
    try:
        child.check_storage()
    except StorageError as error:
        said = str(error)
    child.stop(1)
    assert said == says


@pytest.mark.parametrize(("number", "says"), [(errno.EMFILE, "ulimit -n"), (errno.EAGAIN, "ulimit -u")])
@pytest.mark.parametrize("kind", [Child, Foreign])
def test_no_room_for_a_process_says_nothing_of_a_server(
    kind: type[Child], number: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("capsexp.experiment.child.subprocess.Popen", refuse)
    with pytest.raises(HarnessError, match=f"client cannot be started: .*{says}"):
        kind(["x"], tmp_path / "client.log")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize(
    ("ends", "expected", "says"),
    [
        ("os.kill(os.getpid(), 9)", HarnessError, "the reference ended with code -9: no output"),
        (
            "sys.exit('reference: no such model')",
            EngineError,
            "the reference ended with code 1: reference: no such model",
        ),
        ("print('reference: cannot write x: full'); sys.exit(4)", StorageError, "cannot write x: full"),
    ],
)
def test_a_reference_that_is_killed_says_nothing_of_the_engine(
    ends: str, expected: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "python", lambda *a: [sys.executable, "-c", f"import os, sys; {ends}"])
    with pytest.raises(expected) as raised:
        reference.ensure(Config(engine=NullConfig()), tmp_path)
    assert str(raised.value) == says


def test_a_server_that_cannot_record_its_workers_ends_with_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not as one that was asked to stop while it loaded."""

    def full(table: object, row: object) -> None:
        raise StorageError("cannot write workers.csv: No space left on device")

    monkeypatch.setattr("capsexp.server.record.CsvFile.write", full)
    monkeypatch.setattr("capsexp.debug.keep", lambda run_dir: None)
    with pytest.raises(StorageError, match=r"workers\.csv"):
        app.main(["engine=null", "engine.load_s=30", "--run-dir", str(tmp_path), "--port", "0"])
    assert not (tmp_path / "server.json").exists()  # by which the run would take it for the server's own fault
