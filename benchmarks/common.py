"""Runs a sweep of interleaved trials and reads its report."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any


def repeats(default: int = 5) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=default)
    return int(parser.parse_args().repeats)


@contextmanager
def sweep(*overrides: str) -> Iterator[Path]:
    """The folder of a sweep that has been made."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "sweep"
        command = [sys.executable, "-m", "capsexp", *overrides, f"hydra.sweep.dir={out}", "archive.enabled=false", "-m"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(done.stdout)
        yield out


def report(*overrides: str) -> dict[str, Any]:
    """report.json of a sweep."""
    with sweep(*overrides) as out:
        return dict(json.loads((out / "report.json").read_text()))


def runs(trials: int, *overrides: str) -> list[dict[str, Any]]:
    """run.json of every run, plus what its sweep's controls reached."""
    with sweep(*overrides, f"trials={trials}", f"trials_max={trials}") as out:
        found = [json.loads(path.read_text()) for path in out.glob("*/run.json")]
        controls = {path.parent.name: json.loads(path.read_text()) for path in out.glob("control/*/control.json")}
        configurations = json.loads((out / "report.json").read_text())["configurations"]
    for run in found:
        run["control_runs"] = controls[run["control"]]["runs"] if run["control"] else []
        run["correctness"] = next(c["correctness"] for c in configurations if c["key"] == run["key"])
    return sorted(found, key=lambda run: run["num"])


def by_key(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    keys = dict.fromkeys(run["key"] for run in found)
    return {key: [run for run in found if run["key"] == key] for key in keys}


def ratios(name: str, slower: list[dict[str, Any]], faster: list[dict[str, Any]]) -> float:
    """Makespan ratios trial by trial: both of a trial ran next to each other."""
    each = [a["metrics"]["makespan_s"] / b["metrics"]["makespan_s"] for a, b in zip(slower, faster, strict=True)]
    print(f"{name}: median {median(each):.3f} of {', '.join(f'{r:.3f}' for r in each)}")
    return median(each)
