"""SIGKILL of a sweep's runner at random moments: what is left running, and what resume= makes of it.

Each kill: a new sweep, SIGKILL after a random share of the time that an undisturbed one takes, a look at what is still
alive, `resume=`, and a comparison of what came of it with the undisturbed sweep. Compared are, of report.json, every
key that is there, and the values of all but those that are measured in seconds, bytes or shares of them (MEASURED);
of the runs, the names of all files, requests.csv and segments.csv without times, pids and ids, and the texts; and
`archive verify` must find nothing in the folder and its zip.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from capsexp import archive

MARK = "CAPSEXP_KILL_MARK"
MEASURED = {
    "metrics", "iso_resource", "cpu_s", "load_s", "makespan_s", "throughput_rtfx", "timeline", "leak", "diagnosis",
    "scaling", "value", "ci95", "reason", "next", "next_sentence", "tier",
}  # fmt: skip
ROWS = {
    "requests": (
        "request", "sample", "duration_s", "results", "finals", "foreign", "result_duration_s", "status", "error",
    ),
    "segments": ("segment", "offset_s", "audio_s", "new_s", "retries", "status"),
}  # fmt: skip


def normalised(value: Any, name: str = "") -> Any:
    """The value without what is measured; of that, whether it is there."""
    if name in MEASURED:
        return None if value is None else "measured"
    if isinstance(value, dict):
        return {key: normalised(inner, key) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        return [normalised(inner, name) for inner in value]
    return value


def rows(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    with path.open(newline="") as file:
        return sorted(tuple(row[c] for c in columns) for row in csv.DictReader(file))


def texts(path: Path) -> Any:
    read = json.loads(path.read_text())
    kept = ("request", "text", "text_accu", "tokens", "timestamps", "duration")
    return [read["sample"], read["transcript"], [{key: r[key] for key in kept} for r in read["results"]]]


def essence(folder: Path) -> dict[str, Any]:
    """What a sweep comes to, without times."""
    found: dict[str, Any] = {"report": normalised(json.loads((folder / "report.json").read_text()))}
    found["files"] = sorted(
        re.sub(r"reference/\w+", "reference/X", str(p.relative_to(folder))) for p in folder.rglob("*")
    )
    for run in sorted(folder.glob("*/run.json")):
        found[run.parent.name] = {name: rows(run.with_name(f"{name}.csv"), columns) for name, columns in ROWS.items()}
        found[run.parent.name]["texts"] = [texts(p) for p in sorted((run.parent / "transcripts").glob("*.json"))]
    found["archive"] = archive.verify(folder) + archive.verify(folder.with_name(folder.name + ".zip"))
    return found


def difference(a: Any, b: Any, where: str = "") -> str:
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next((said for key in a if (said := difference(a[key], b[key], f"{where}.{key}"))), "")
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next((said for n in range(len(a)) if (said := difference(a[n], b[n], f"{where}[{n}]"))), "")
    return "" if a == b else f"{where}: {str(a)[:300]} != {str(b)[:300]}"


class Sweep:
    def __init__(self, out: Path, audio: Path, *more: str) -> None:
        self.out, self.mark = out, str(uuid.uuid4())
        self.asked = [
            "engine=null", "engine.rtf=0.05", "workers=1,2", "-m", "trials=1", "validity=off", "load.repeats=1",
            "samples=dir", f"samples.dir={audio}", "load.seg_duration=1", "load.seg_overlap=0.2",
            "monitor.interval=0.1", f"hydra.sweep.dir={out}", *more,
        ]  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.out.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "capsexp", *(arguments or self.asked)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, MARK: self.mark},
            )  # fmt: skip

    def alive(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def tidy(sweep: Sweep) -> None:
    for path in (sweep.out, *sweep.out.parent.glob("*sweep*.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="of the kills, to go on with a campaign in pieces")
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="capsexp-kill-"))
    audio = scratch / "audio"
    audio.mkdir()
    for number, seconds in enumerate((1, 2, 5)):
        noise = np.random.default_rng(number).normal(0, 0.1, seconds * 16_000).astype(np.float32)
        soundfile.write(audio / f"n{number}.wav", noise, 16_000, subtype="FLOAT")
    began = time.monotonic()
    whole = Sweep(scratch / "sweep", audio, *given.overrides)
    if whole.start().wait(120):
        raise SystemExit(whole.out.with_suffix(".log").read_text())
    length = time.monotonic() - began
    expected = essence(whole.out)
    shutil.rmtree(whole.out)
    counts = {"had not begun": 0, "resumed": 0, "equal": 0, "left alive": 0}
    died: list[float] = []
    troubles: list[str] = []
    for number in range(given.first, given.first + given.kills):
        rng = random.Random(f"{given.seed} {number}")
        while True:
            at, sweep = rng.uniform(0, length), Sweep(scratch / "sweep", audio, *given.overrides)
            began, process = time.monotonic(), sweep.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(at)  # it may be quicker than the undisturbed one was
                length = time.monotonic() - began
                tidy(sweep)
                continue
            break
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
        while (left := sweep.alive()) and time.monotonic() < killed + 10:
            time.sleep(0.02)
        died.append(time.monotonic() - killed)
        if left:
            counts["left alive"] += 1
            troubles.append(
                f"kill {number} after {at:.2f} s: alive after 10 s: {[' '.join(p.cmdline()) for p in left]}"
            )
            for one in left:
                one.kill()
        if not (sweep.out / "sweep.json").exists():
            counts["had not begun"] += 1  # nothing to go on with: the same command once more
            shutil.rmtree(sweep.out, ignore_errors=True)
            code = sweep.start().wait(120)
        else:
            counts["resumed"] += 1
            code = sweep.start(f"resume={sweep.out}").wait(120)
        said = sweep.out.with_suffix(".log").read_text()
        wrong = f"exit code {code}: {said[-400:]}" if code else difference(expected, essence(sweep.out))
        if wrong:
            troubles.append(f"kill {number} after {at:.2f} s: {wrong}")
        counts["equal"] += not wrong
        tidy(sweep)
    shutil.rmtree(scratch)
    print(
        f"{given.kills} kills within the {length:.1f} s of an undisturbed sweep, seed {given.seed}, first {given.first}"
    )
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    print(f"nothing left running after {max(died):.2f} s (longest), {sorted(died)[len(died) // 2]:.2f} s (median)")
    print("\n".join(troubles))
    return int(bool(troubles))


if __name__ == "__main__":
    sys.exit(main())
