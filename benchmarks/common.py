"""Runs a sweep of interleaved trials and reads its report."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from capsexp.analysis.figures import Figures
from capsexp.report.build import figures_of
from capsexp.results.read import read_report, read_sweep
from capsexp.results.report import Report, Requests
from capsexp.results.run import Reference, Run


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


def report(*overrides: str) -> Report:
    """The report of a sweep."""
    with sweep(*overrides) as out:
        return read_report(out)


@dataclass(frozen=True)
class Made:
    """A run, its figures, the requests of its configuration, and its reference."""

    run: Run
    figures: Figures
    requests: Requests
    reference: Reference | None

    @property
    def makespan_s(self) -> float:
        assert self.figures.makespan_s is not None
        return self.figures.makespan_s

    @property
    def rtfx(self) -> float:
        assert self.figures.throughput_rtfx is not None
        return self.figures.throughput_rtfx


def runs(trials: int, *overrides: str) -> list[Made]:
    """Every run of a sweep, in the order made."""
    with sweep(*overrides, f"trials={trials}", f"trials_max={trials}") as out:
        files, report = read_sweep(out), read_report(out)
        requests = {c.key: c.requests for c in report.configurations}
        found = []
        for one in files.runs:
            figures = figures_of(one)
            assert figures is not None, one.run.error
            found.append(Made(one.run, figures, requests[one.run.key], files.references.get(one.run.reference or "")))
    return sorted(found, key=lambda made: made.run.num)


def by_key(found: list[Made]) -> dict[str, list[Made]]:
    keys = dict.fromkeys(made.run.key for made in found)
    return {key: [made for made in found if made.run.key == key] for key in keys}


def ratios(name: str, slower: list[Made], faster: list[Made]) -> float:
    """Makespan ratios trial by trial: both of a trial ran next to each other."""
    each = [a.makespan_s / b.makespan_s for a, b in zip(slower, faster, strict=True)]
    print(f"{name}: median {median(each):.3f} of {', '.join(f'{r:.3f}' for r in each)}")
    return median(each)
