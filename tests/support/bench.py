"""capsexp as a user starts it, and a look at what is left afterwards."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from capsexp.analysis.figures import Figures
from capsexp.report.build import figures_of
from capsexp.results.read import read_run
from tests.support import PATIENCE

SWEEP_S = 5 * PATIENCE  # for a sweep of several runs beside other tests
BASE = (
    "engine=null",
    "samples=dir",
    "load.seg_duration=2",
    "load.seg_overlap=0.5",
    "load.message_s=2",
    "load.repeats=1",
    "monitor.interval=0.1",
    "trials=1",
    "validity=off",
)


class Bench:
    """Runs capsexp with a mark in the environment, by which everything it started can be found."""

    def __init__(self, folder: Path, audio: Path) -> None:
        self.out, self.audio, self.mark = folder / "out", audio, f"capsexp-test-{uuid.uuid4()}"
        self.stdout = self.stderr = ""
        self.prefix: list[str] = []  # of the command
        self.cwd: Path | None = None

    def start(self, *overrides: str, bare: bool = False, terminal: int | None = None) -> subprocess.Popen[str]:
        given = {o.partition("=")[0] for o in overrides}
        base = [
            o
            for o in (*BASE, f"samples.dir={self.audio}", f"hydra.sweep.dir={self.out}")
            if o.partition("=")[0] not in given and not bare
        ]
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "capsexp", *base, *overrides],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if terminal is None else terminal,
            stdin=subprocess.DEVNULL, text=True, cwd=self.cwd,
            env={**os.environ, "CAPSEXP_TEST_MARK": self.mark},
        )  # fmt: skip

    def until(self, process: subprocess.Popen[str], sign: str = "0-*/segments.csv") -> None:
        """Wait for a file of the sweep: by default until the first run is under load."""
        deadline = time.monotonic() + SWEEP_S
        while not list(self.out.glob(sign)):
            assert time.monotonic() < deadline, f"no {sign}"
            assert process.poll() is None, f"it has ended, and there is no {sign}"
            time.sleep(0.01)

    def run(self, *overrides: str) -> int:
        return self.finish(self.start(*overrides))

    def finish(self, process: subprocess.Popen[str]) -> int:
        self.stdout, self.stderr = process.communicate(timeout=SWEEP_S)
        left = self.left()
        assert not left, left
        return process.returncode

    def figures(self, run: dict[str, Any]) -> Figures:
        """Of a run.json: what its tables say."""
        (planned,) = self.out.glob(f"{run['num']}-*")
        found = figures_of(read_run(planned))
        assert found is not None
        return found

    def left(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("CAPSEXP_TEST_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found

    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "report.json").read_text()))

    def configuration(self, key: str) -> dict[str, Any]:
        return next(c for c in self.report()["configurations"] if c["key"] == key)
