"""A case: what is in the folder, how capsexp is started and what is expected; and a run of it as a user makes it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

TIMEOUT_S = 120.0
BASE = {
    "engine": "null", "samples": "dir", "load.repeats": "1", "trials": "1", "validity": "off", "workers": "1",
    "monitor.interval": "0.1", "load.timeout": "60",
}  # fmt: skip
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


@dataclass
class Start:
    """How capsexp is started. `cwd` is relative to the case's folder, `clips` is `samples.dir` as it is typed."""

    overrides: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    cwd: str = "."
    clips: str | None = "clips"
    shell: str = '"$@"'  # what the command line is part of, e.g. '"$@" | head -1'
    obeys_modes: bool = False  # files' modes count, for root too
    beside: subprocess.Popen[bytes] | None = None  # to be ended afterwards


@dataclass
class Seen:
    """What came of it. `report` and `run` are None where there is none."""

    code: int
    out: str
    err: str
    seconds: float
    report: dict[str, Any] | None
    run: dict[str, Any] | None
    archive: str  # what `capsexp.archive verify` finds wrong, or `none`, or nothing
    left: list[str]
    sizes_mb: float  # of what was written, on the disk
    transcripts: dict[str, str | None]  # of each sample, what was said in it

    @property
    def samples(self) -> dict[str, float]:
        return {s["name"]: s["duration_s"] for s in (self.report or {}).get("samples", [])}

    @property
    def skipped(self) -> dict[str, str]:
        return {s["file"]: s["reason"] for s in (self.run or {}).get("skipped", [])}

    @property
    def remarks(self) -> dict[str, str]:
        return {s["file"]: s["reason"] for s in (self.run or {}).get("remarks", [])}

    def brief(self) -> str:
        """One line of what was seen."""
        said = [f"exit {self.code}"]
        if self.report:
            said.append(f"{len(self.samples)} samples")
            said += [f"skipped {name}: {reason}" for name, reason in self.skipped.items()]
            said += [f"{name}: {reason}" for name, reason in self.remarks.items()]
            said += [f"{self.run['status']}: {self.run['error']}"] if self.run and self.run["error"] else []
        else:
            lines = self.err.strip().splitlines()
            said += [lines[-1]] if lines else []
        return "; ".join(said)


Expectation = Callable[[Seen], "str | None"]


@dataclass(frozen=True)
class Case:
    """`make` fills a folder and says how to start; `expect` says what is not as it should be, or nothing."""

    name: str
    make: Callable[[Path], Start]
    expected: str  # in words
    expect: Expectation


def every(seen: Seen) -> str | None:
    """What holds of every case, whatever is wrong with its input."""
    if "Traceback" in seen.out + seen.err:
        return "a traceback"
    if seen.left:
        return f"left running: {seen.left}"
    if seen.code not in (0, 1, 2, 141):
        return f"exit code {seen.code}"
    if seen.archive not in ("", "none"):
        return f"archive: {seen.archive}"
    if seen.sizes_mb > 30:
        return f"wrote {seen.sizes_mb:.0f} MB"
    if seen.report is None and seen.code in (1, 2) and not re.search(r"^capsexp: \S", seen.err, re.MULTILINE):
        return "no line that says what is wrong"
    for name in (*seen.samples, *seen.skipped):
        if not name.isprintable() or name not in seen.out + seen.err + json.dumps(seen.report, ensure_ascii=False):
            return f"{name!r} is not told"
    return None


def play(case: Case) -> tuple[Seen, str | None]:
    """Make it, run it, look at it."""
    place = Path(tempfile.mkdtemp(prefix="corpus-"))
    start = None
    try:
        (place / "clips").mkdir()
        start = case.make(place)
        seen = _run(start, place)
        return seen, every(seen) or case.expect(seen)
    except subprocess.TimeoutExpired:
        return Seen(-1, "", f"not done after {TIMEOUT_S:g} s", TIMEOUT_S, None, None, "none", [], 0), "never ended"
    finally:
        if start is not None and start.beside is not None:
            start.beside.terminate()
            start.beside.wait(10)
        subprocess.run(["chmod", "-R", "u+rwX", str(place)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


def _run(start: Start, place: Path) -> Seen:
    mark = f"corpus-{uuid.uuid4()}"
    cwd = place / start.cwd
    cwd.mkdir(exist_ok=True)
    given = {o.partition("=")[0] for o in start.overrides}
    base = [f"{key}={value}" for key, value in BASE.items() if key not in given]
    if start.clips is not None:
        base.append(f"samples.dir={start.clips if start.clips != 'clips' else place / 'clips'}")
    command = [sys.executable, "-m", "capsexp", *base, *start.overrides]
    env = {**os.environ, "CORPUS_MARK": mark, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **start.env}

    def before() -> None:
        if start.obeys_modes and os.geteuid() == 0:
            for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
                ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        for limit, value in start.limits.items():
            resource.setrlimit(
                limit, (value, resource.getrlimit(limit)[1] if limit == resource.RLIMIT_NOFILE else value)
            )

    began = time.monotonic()
    with (place / ".out").open("w+b") as out, (place / ".err").open("w+b") as err:
        process = subprocess.Popen(
            ["bash", "-c", f"set -o pipefail; {start.shell}", "capsexp", *command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, preexec_fn=before,
            env={name: value for name, value in env.items() if value is not None},
        )  # fmt: skip
        try:
            code = process.wait(TIMEOUT_S)
        finally:
            for left in _marked(mark) if process.poll() is None else []:
                left.kill()
            process.wait()
        took = time.monotonic() - began
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read(1 << 20).decode(errors="backslashreplace"))
    left = [" ".join(p.cmdline()) for p in _marked(mark)]
    for process_left in _marked(mark):
        with contextlib.suppress(psutil.Error):
            process_left.kill()
    report = _first(cwd, "report.json")
    run = _first(cwd, "run.json")
    written = sum(p.stat().st_blocks * 512 for p in (cwd / "outputs").rglob("*") if p.is_file()) / 1e6
    texts = [json.loads(p.read_text("utf-8")) for p in (cwd / "outputs").rglob("transcripts/*.json")]
    known = {text["sample"]: text["transcript"] for text in texts}
    return Seen(code, said[0], said[1], took, report, run, _verified(cwd), left, written, known)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("CORPUS_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _first(cwd: Path, name: str) -> dict[str, Any] | None:
    for path in sorted((cwd / "outputs").rglob(name)):
        return dict(json.loads(path.read_text("utf-8")))
    return None


def _verified(cwd: Path) -> str:
    for path in (cwd / "outputs").rglob("*.zip"):
        done = subprocess.run(
            [sys.executable, "-m", "capsexp.archive", "verify", str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return (done.stdout + done.stderr).strip()
        with zipfile.ZipFile(path) as zipped:
            longest = max(len(part.encode()) for name in zipped.namelist() for part in name.split("/"))
        return f"a name of {longest} bytes" if longest > 255 else ""
    return "none"


def measured(
    samples: dict[str, float] | int,
    skipped: dict[str, str] | None = None,
    remarks: dict[str, str] | None = None,
    code: int = 0,
    also: Expectation | None = None,
) -> Expectation:
    """A report of exactly these samples (or so many), in whole and right; these left out, these remarked on."""

    def look(seen: Seen) -> str | None:
        if seen.code != code or seen.report is None or seen.run is None:
            return f"exit code {seen.code}, {'no ' if seen.report is None else ''}report"
        found = seen.samples
        if isinstance(samples, int):
            if len(found) != samples:
                return f"{len(found)} samples"
        elif set(found) != set(samples):
            return f"samples {sorted(found)}"
        else:
            for name, seconds in samples.items():
                if abs(found[name] - seconds) > 0.11:
                    return f"{name} has {found[name]:.2f} s"
        for what, wanted, told in (("skipped", skipped, seen.skipped), ("remarks", remarks, seen.remarks)):
            if set(told) != set(wanted or {}):
                return f"{what}: {told}"
            for name, part in (wanted or {}).items():
                if not re.search(part, told[name]):
                    return f"{what} {name}: {told[name]}"
        correct = seen.report["configurations"][0]["metrics"]["correctness"]["value"]
        if len(found) and correct != 1.0:
            return f"correctness {correct}"
        if seen.archive == "none":
            return "no archive"
        return also(seen) if also else None

    return look


def refused(*parts: str, code: int = 2) -> Expectation:
    """Exit code and a line on stderr with these parts (regular expressions); nothing was measured."""

    def look(seen: Seen) -> str | None:
        if seen.code != code:
            return f"exit code {seen.code}"
        if seen.report is not None:
            return "a report"
        return next((f"stderr lacks {part!r}" for part in parts if not re.search(part, seen.err)), None)

    return look


def failed(*parts: str, status: str = "failed") -> Expectation:
    """A report whose one run failed, with these parts (regular expressions) in its error; archived all the same."""

    def look(seen: Seen) -> str | None:
        if seen.code != 1 or seen.run is None or seen.report is None:
            return f"exit code {seen.code}"
        if seen.run["status"] != status:
            return f"status {seen.run['status']}"
        error = str(seen.run["error"])
        if "\n" in error or len(error) > 3000:
            return f"an error of {len(error)} characters"
        if seen.report["verdict"] == "NOT_FEASIBLE":
            return "a verdict on what was not measured"
        return next((f"error lacks {part!r}" for part in parts if not re.search(part, error)), None)

    return look
