"""python -m capsexp.selftest [-k NAME ...] [--json] [--keep FOLDER]: does capsexp measure here what is there?

Known truth is planted (delays, speedups, memory, a leak, lost and doubled results, a neighbour), sweeps are made as any
others, and every figure of their reports is held against it. Exit code: 0 all of it was recovered, 1 something was not,
or nothing was there to be looked at, 2 the command is wrong, 130 interrupted."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from capsexp import interrupts
from capsexp.counts import counted
from capsexp.errors import ConfigError
from capsexp.files import from_here, note, tell
from capsexp.plugins import nearest
from capsexp.selftest import runner, spelled
from capsexp.selftest.judge import Judged, proven
from capsexp.selftest.plant import Plant
from capsexp.selftest.plants import PLANTS


def main(argv: Sequence[str], product: Sequence[str] = runner.PRODUCT) -> int:
    """`product`: the command whose figures are held against the truth."""
    names = "\n".join(f"  {plant.name:10} {plant.about}" for plant in PLANTS)
    parser = argparse.ArgumentParser(
        prog="python -m capsexp.selftest", description=__doc__, epilog=f"plants:\n{names}", allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="plants; all of them, if none is named")
    parser.add_argument("-k", action="append", default=[], metavar="NAME", help="the same: a plant, or part of a name")
    parser.add_argument("--json", action="store_true", help="print JSON, and how it goes on stderr")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the sweeps in this new folder")
    asked = parser.parse_intermixed_args(argv)
    plants = chosen([*asked.names, *asked.k])
    began, judged = time.monotonic(), list[Judged]()
    untried = [(plant, why) for plant in plants if (why := plant.lacks()) is not None]
    tried = [plant for plant in plants if plant not in [one for one, _ in untried]]
    with interrupts.in_order(), _folder(asked.keep) as folder:
        try:
            for number, plant in enumerate(tried, start=1):
                interrupts.check()
                note(f"[{number}/{len(tried)}] {plant.name}: {plant.about} ({counted(plant.runs, 'run')}) ...")
                judged.append(runner.recover(plant, folder / plant.name, product))
                if not asked.json:
                    tell(f"{spelled.lines(judged[-1])}\n")
        except KeyboardInterrupt:
            note(f"capsexp.selftest: interrupted; {len(judged)} of {counted(len(tried), 'plant')} were looked at")
            return 130
    seconds = time.monotonic() - began
    if asked.json:
        tell(json.dumps(spelled.as_json(judged, untried, seconds), indent=1, ensure_ascii=False))
    else:
        tell(spelled.summary(judged, untried, seconds))
    if asked.keep is not None:
        note(f"the sweeps are in {from_here(asked.keep)}")
    return 0 if proven(judged) else 1


def chosen(names: Sequence[str]) -> list[Plant]:
    """The plants whose names hold one of these, all of them where there is none. Raises ConfigError for one that no
    plant has."""
    known = [plant.name for plant in PLANTS]
    for name in names:
        if not any(name in one for one in known):
            raise ConfigError(f"-k {name}: no such plant{nearest(name, known)}")
    return [plant for plant in PLANTS if not names or any(name in plant.name for name in names)]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where the sweeps go: a new folder that stays, or one that goes when they have been looked at."""
    if keep is not None:
        if keep.exists() or keep.is_symlink():
            raise ConfigError(f"--keep: {keep} exists; give a new folder")
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="capsexp-selftest-"))
    try:
        yield folder
    finally:
        with interrupts.ignored():
            shutil.rmtree(folder, ignore_errors=True)
