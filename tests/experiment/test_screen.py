"""A sweep on a terminal: it shows itself, and goes on whatever becomes of what shows it."""

import os
import pty
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support import PATIENCE
from tests.support.bench import Bench

SWEEP = ("workers=1,2", "engine.rtf=0.05", "load.repeats=2", "reference=off")


class Terminal:
    """What somebody sees who looks at it."""

    def __init__(self) -> None:
        self._master, self.end = pty.openpty()
        self._seen = b""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while block := os.read(self._master, 65536):
                self._seen += block

    @property
    def seen(self) -> str:
        return self._seen.decode("utf-8", "replace")

    def until(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.seen:
            assert time.monotonic() < deadline, self.seen[-2000:]
            time.sleep(0.05)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    found = Terminal()
    yield found
    os.close(found.end)


def view_of(sweep: "subprocess.Popen[str]") -> psutil.Process:
    for child in psutil.Process(sweep.pid).children():
        with suppress(psutil.Error):  # one that has ended
            if "capsexp.live" in child.cmdline():
                return child
    raise AssertionError("no view")


def test_it_shows_what_runs_and_what_the_sweep_says(bench: Bench, terminal: Terminal) -> None:
    sweep = bench.start(*SWEEP, terminal=terminal.end)
    terminal.until("run 2 of 2: workers=2")
    terminal.until("of 8 requests")
    assert bench.finish(sweep) == 0
    for wanted in ("[1/2] workers=1", "[2/2] workers=2", "x real time", "memory", "about", "so far"):
        assert wanted in terminal.seen, wanted
    assert terminal.seen.index("[2/2]") < terminal.seen.rindex("archived as")  # which is said when the view has gone
    assert "Verdict" in bench.stdout


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_a_view_that_is_killed_or_stands_still_costs_the_sweep_nothing(
    bench: Bench, terminal: Terminal, signum: signal.Signals
) -> None:
    sweep = bench.start(*SWEEP, terminal=terminal.end)
    terminal.until("phase")
    view_of(sweep).send_signal(signum)
    assert bench.finish(sweep) == 0
    assert [c["status"] for c in bench.report()["configurations"]] == ["ok", "ok"]
    for wanted in ("[1/2] workers=1", "[2/2] workers=2", "archived as"):  # is said all the same
        assert wanted in terminal.seen, wanted


def test_one_that_is_interrupted_ends_with_its_view(bench: Bench, terminal: Terminal) -> None:
    sweep = bench.start(*SWEEP, "engine.rtf=1", terminal=terminal.end)
    terminal.until("of 8 requests")
    sweep.send_signal(signal.SIGINT)
    assert bench.finish(sweep) == 130  # and nothing is left


def test_plain_lines_where_it_is_not_wanted(bench: Bench, terminal: Terminal) -> None:
    assert bench.finish(bench.start(*SWEEP, "live=false", terminal=terminal.end)) == 0
    assert "[2/2] workers=2" in terminal.seen
    assert "\x1b" not in terminal.seen and "memory" not in terminal.seen


def test_of_a_sweep_that_is_killed_no_view_is_left(bench: Bench, terminal: Terminal) -> None:
    before = set(Path(tempfile.gettempdir()).glob("capsexp-*.said"))
    sweep = bench.start(*SWEEP, "engine.rtf=1", terminal=terminal.end)
    terminal.until("of 8 requests")
    sweep.kill()
    sweep.wait()
    deadline = time.monotonic() + PATIENCE
    while bench.left():
        assert time.monotonic() < deadline, bench.left()
        time.sleep(0.1)
    assert set(Path(tempfile.gettempdir()).glob("capsexp-*.said")) <= before
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")  # the cursor is there again
