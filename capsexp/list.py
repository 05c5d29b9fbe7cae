"""python -m capsexp.list [FOLDER]: the sweeps that were made, the newest first.

python -m capsexp.list                 those below outputs/: when, what was asked, the verdict, runs, size
    python -m capsexp.list open [N]        the report of the N-th (1: the newest) in the browser, or its path
"""

from __future__ import annotations

import os
import shutil
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capsexp.counts import counted
from capsexp.errors import ArchiveError, ConfigError
from capsexp.escape import one_line
from capsexp.files import from_here, tell
from capsexp.machine import MB
from capsexp.report import glance
from capsexp.report.tables import spelled
from capsexp.results.read import read_report
from capsexp.results.sweep import read_plan

OUTPUTS = Path("outputs")
REPORTS = ("report.html", "report.md", "report.txt")  # what is opened, the first that is there
WIDE = 140  # columns; below, the question is left out, as the command says more


@dataclass(frozen=True)
class Made:
    """A sweep that was made. `asked`: its command's own words; `size_mb`: with its archive."""

    when: str
    name: str
    asked: str
    question: str
    verdict: str
    runs: int
    size_mb: float


def main(argv: Sequence[str]) -> int:
    words = list(argv)
    opened = words[:1] == ["open"]
    number = "1"
    if opened:
        del words[0]
        number = words.pop(0) if words and words[0].isdigit() else number
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise ConfigError("python -m capsexp.list [FOLDER], or python -m capsexp.list open [N] [FOLDER]")
    outputs = Path(words[0]) if words else OUTPUTS
    folders = found(outputs)
    if not folders:
        tell(f"no sweep has been made below {outputs}; python -m capsexp begins one")
        return 0
    if opened:
        return _open(folders, int(number))
    _show([about(folder) for folder in folders])
    return 0


def found(outputs: Path) -> list[Path]:
    """The folders of sweeps, `<date>/<time>-<name>` below `outputs`, the newest first."""
    folders = (path.parent for path in outputs.glob("*/*/sweep.json"))
    return sorted(folders, key=lambda folder: folder.parts, reverse=True)


def about(folder: Path) -> Made:
    """What is to be said of a sweep, whatever state it is in."""
    asked, runs, question, verdict = "", 0, "", "no report"
    try:
        plan = read_plan(folder)
        asked, runs = " ".join(plan.argv), len(plan.planned)
        if (folder / "report.json").is_file():
            report = read_report(folder)
            question, verdict = glance.question(report), spelled(report.verdict)
    except ArchiveError:
        verdict = "damaged"
    time, name = folder.name[:8].replace("-", ":"), folder.name[9:]
    return Made(f"{folder.parent.name} {time}", name, asked, question, verdict, runs, _size_mb(folder))


def _size_mb(folder: Path) -> float:
    files = [*folder.rglob("*"), folder.with_name(f"{folder.name}.zip")]
    return sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink()) / MB


def _show(made: Sequence[Made]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size((100, 24)).columns
    wide = width >= WIDE
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("N", justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    for name in ("name", "asked", *(["question"] if wide else []), "verdict"):
        table.add_column(name, overflow="fold")
    for name in ("runs", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, one in enumerate(made, 1):
        cells = [one.when, one.name, one.asked, *([one.question] if wide else []), one.verdict]
        cells += [str(one.runs), f"{one.size_mb:.1f}"]
        table.add_row(str(number), *(Text(one_line(cell)) for cell in cells))
    Console(width=width).print(table)
    whole = sum(one.size_mb for one in made)
    tell(f"{counted(len(made), 'sweep')}, {whole:.0f} MB; python -m capsexp.list open N shows the report of one")


def _open(folders: Sequence[Path], number: int) -> int:
    if not 1 <= number <= len(folders):
        raise ConfigError(
            f"open {number}: there are {counted(len(folders), 'sweep')}; python -m capsexp.list numbers them"
        )
    folder = folders[number - 1]
    report = next((folder / name for name in REPORTS if (folder / name).is_file()), None)
    if report is None:
        raise ArchiveError(f"{from_here(folder)}: has no report; python -m capsexp.report {from_here(folder)} makes it")
    shown = _has_screen() and webbrowser.open(report.absolute().as_uri())
    tell(f"{'opened ' if shown else ''}{from_here(report)}")
    return 0


def _has_screen() -> bool:
    """Whether a browser would open a window, and not take the terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.list", __doc__))
