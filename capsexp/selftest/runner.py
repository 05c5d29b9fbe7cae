"""Makes a plant's sweep as a user would, by `python -m capsexp` in a process of its own, and reads what it reported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from capsexp import interrupts
from capsexp.errors import ArchiveError, HarnessError
from capsexp.experiment.child import Foreign, python
from capsexp.experiment.launch import taken_down
from capsexp.experiment.snapshot import LOCAL
from capsexp.files import read_json, storing
from capsexp.protocol import RATE
from capsexp.results.read import read_report
from capsexp.results.report import Report
from capsexp.selftest.equipment.command import ACCOUNT, FOLDER
from capsexp.selftest.judge import Judged, judge
from capsexp.selftest.plant import Account, Plant
from capsexp.waiting import wait_until

PRODUCT = (sys.executable, "-m", "capsexp")
# What differs from the shipped settings.
BASE = (
    "engine=null", "reference=off", "validity=off", "trials=1", "trials_max=1", "load.repeats=1", "load.concurrency=0",
    "monitor.interval=0.1", "archive.enabled=false", "report.formats=[json]", "live=false",
)  # fmt: skip
OWN_SETTINGS = "settings"  # the folder whose empty local.yaml hides the one that a user has for every command
SWEEP = "sweep"  # the folder of a plant's sweep, in the plant's own
POLL_S = 0.1
LONGEST_S = 300.0  # for a sweep: many times what it takes
STOP_S = 30.0  # for one to end in order when it is asked to


def recover(plant: Plant, folder: Path, product: Sequence[str] = PRODUCT) -> Judged:
    """What of a plant its report recovers; `folder` is its own, and new. Raises KeyboardInterrupt, StorageError."""
    with storing(folder):
        folder.mkdir(parents=True)
    clips(folder / "clips", plant.clips_s)
    shipped_only(folder)
    error = _sweep(plant, folder, product)
    return reread(plant, folder, error)


def reread(plant: Plant, folder: Path, error: str | None = None) -> Judged:
    """The same of a sweep that was made before."""
    try:
        report: Report | None = read_report(folder / SWEEP)
    except ArchiveError as why:
        report, error = None, error or str(why)
    return judge(plant, report, _account(folder), error)


def clips(folder: Path, seconds: Sequence[float]) -> None:
    """Noise, which engine=null tells apart: clip00.wav and so on."""
    with storing(folder):
        folder.mkdir()
        for number, length in enumerate(seconds):
            noise = np.random.default_rng(number).normal(0, 0.1, round(length * RATE)).astype(np.float32)
            soundfile.write(folder / f"clip{number:02}.wav", noise, RATE, subtype="FLOAT")


def shipped_only(folder: Path) -> None:
    """Nothing that a user has set for every command changes what is planted."""
    local = folder / OWN_SETTINGS / LOCAL
    with storing(local):
        local.parent.mkdir()
        local.write_bytes(b"")


def command(plant: Plant, folder: Path, product: Sequence[str] = PRODUCT) -> list[str]:
    """The sweep of a plant; what the plant itself says comes before what all of them have."""
    own = {override.partition("=")[0] for override in plant.overrides}
    base = [override for override in BASE if override.partition("=")[0] not in own]
    places = ["samples=dir", f"samples.dir={folder / 'clips'}", f"hydra.sweep.dir={folder / SWEEP}"]
    return [*product, *base, *plant.overrides, *places, "--config-dir", str(folder / OWN_SETTINGS), "-m"]


def _sweep(plant: Plant, folder: Path, product: Sequence[str]) -> str | None:
    """Make it; why it says nothing, or None. Whatever happens, nothing of it is left running."""
    with taken_down() as stack:

        def start(line: Sequence[str], log: str) -> Foreign:
            try:
                started = Foreign(line, folder / log, {FOLDER: str(folder)})
            except OSError as error:
                raise HarnessError(f"{line[0]} cannot be started: {error.strerror or error}") from None
            stack.callback(started.stop, STOP_S)
            return started

        if plant.beside is not None:
            start(python(plant.beside), "beside.log")
        sweep = start(command(plant, folder, product), "sweep.log")
        if not wait_until(lambda: not sweep.alive(), LONGEST_S, POLL_S, interrupts.check):
            return f"its sweep had not ended after {LONGEST_S:g} s: {sweep.last_lines()}"
        code = sweep.process.returncode
    return None if code == 0 else f"its sweep ended with exit code {code}: {sweep.last_lines()}"


def _account(folder: Path) -> Account:
    try:
        return {str(name): float(value) for name, value in read_json(folder / ACCOUNT).items()}
    except (OSError, ValueError):
        return {}
