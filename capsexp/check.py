"""python -m capsexp.check BASELINE NOW: did the server get worse? For a pipeline: the limits come of the noise that the
trials showed, and the exit code says what came of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from capsexp.analysis import differences, regression
from capsexp.errors import ConfigError
from capsexp.files import tell, write_text
from capsexp.report import checked, tables
from capsexp.sweeps import Swept, opened

CODES = {regression.BETTER: 0, regression.SAME: 0, regression.WORSE: 3, regression.UNDECIDED: 4}
_SWEEPS = (
    "folders or zips: the baseline, and last the new one; with three baselines or more the noise is that from one of "
    "them to the next"
)
_LEAST = "the change of a figure that matters (%(default)s)"
_EXITS = "exit code: 0 better or the same, 2 the sweeps cannot be compared, 3 worse, 4 undecided"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="capsexp.check", description=__doc__, epilog=_EXITS, allow_abbrev=False)
    parser.add_argument("sweeps", nargs="+", metavar="SWEEP", help=_SWEEPS)
    parser.add_argument("--least", type=float, default=regression.LEAST, metavar="SHARE", help=_LEAST)
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write what came of it in JUnit's form")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write it for a page, as of a pull request")
    asked = parser.parse_args(argv)
    if len(asked.sweeps) not in (2, *range(4, 100)):
        raise ConfigError("give one baseline, or three and more, and then the sweep to be checked")
    if not 0 < asked.least < 1:
        raise ConfigError(f"--least {asked.least}: is a share, above 0 and below 1")
    with opened(asked.sweeps) as swept:
        *before, after = swept
        for each in before:
            _alike(each, after)
        found = regression.judge([each.observed for each in before], after.observed, asked.least)
        about = _about(before, after)
    if asked.junit:
        write_text(asked.junit, checked.junit(f"{after.name} against {before[0].name}", found))
    if asked.markdown:
        write_text(asked.markdown, checked.markdown(found, about, asked.least))
    tell(checked.text(found, about, asked.least))
    return CODES[regression.overall(found)]


def _alike(before: Swept, after: Swept) -> None:
    """Raises ConfigError: of unlike things no figure says that one got worse."""
    why = differences.unlike(before.observed, after.observed)
    if not why and (machines := differences.machines(before.files.environment, after.files.environment)):
        why = [f"another machine ({'; '.join(machines)})"]
    if why:
        names = f"{before.name} and {after.name}"
        raise ConfigError(f"{names} are not alike: {', '.join(why)}; python -m capsexp.compare shows both")


def _about(before: Sequence[Swept], after: Swept) -> list[str]:
    """What else differs, and what was not judged."""
    known = {o.run.key for each in before for o in each.observed}
    alone = sorted({o.run.key for o in after.observed} - known)
    changed = differences.configurations(before[-1].observed, after.observed)
    found = [f"Not in the baseline, so not judged: {', '.join(alone)}."] if alone else []
    if changed:
        found.append(f"Settings: {'; '.join(f'{key} {old} -> {new}' for key, old, new in changed)}.")
    speeds = [_reference(each) for each in (before[-1], after)]
    if all(speeds):
        found.append(f"The same work without a server: {speeds[0]} in the baseline, {speeds[1]} now.")
    return found


def _reference(swept: Swept) -> str | None:
    """How fast machine and engine were: where that differs, so does what the server is made of."""
    runs = [run for one in swept.files.references.values() for run in one.runs if run.processes == 1]
    return f"{tables.number(runs[0].throughput_rtfx)} RTFx" if runs else None


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.check"))
