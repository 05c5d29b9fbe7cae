"""python -m capsexp.check SWEEP --by SETTING, or BASELINE NOW: did the server get worse? For a pipeline: the limits
follow from the noise between trials, and the exit code tells the result."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from capsexp.analysis import differences, regression
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.sides import sides
from capsexp.errors import ConfigError
from capsexp.files import tell, write_text
from capsexp.report import checked, tables
from capsexp.sweeps import Swept, opened

CODES = {regression.BETTER: 0, regression.SAME: 0, regression.WORSE: 3, regression.UNDECIDED: 4}
_SWEEPS = (
    "folders or zips: one sweep with both sides (--by); or the baseline and then the new sweep; with three or more "
    "baselines, the noise is measured from one to the next"
)
_BY = "the setting that the two sides of one sweep differ in, as server.cmd; its first value is the baseline"
_APART = (
    "Two sweeps: what the machine did between them counts as the server's. One sweep that has both, checked with --by, "
    "leaves that out."
)
_LEAST = "the change of a figure that matters (%(default)s)"
_EXITS = "exit code: 0 better or the same, 2 the sweeps cannot be compared, 3 worse, 4 undecided"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="capsexp.check", description=__doc__, epilog=_EXITS, allow_abbrev=False)
    parser.add_argument("sweeps", nargs="+", metavar="SWEEP", help=_SWEEPS)
    parser.add_argument("--by", metavar="SETTING", help=_BY)
    parser.add_argument("--least", type=float, default=regression.LEAST, metavar="SHARE", help=_LEAST)
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the result as JUnit XML")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the result as Markdown")
    asked = parser.parse_args(argv)
    if asked.by and len(asked.sweeps) != 1:
        raise ConfigError(f"--by {asked.by}: compares two sides of one sweep; give one sweep, or leave it out")
    if not asked.by and len(asked.sweeps) not in (2, *range(4, 100)):
        raise ConfigError(
            "give one sweep that has both sides, with --by SETTING; or one baseline, or three and more, and then the "
            "sweep to be checked"
        )
    if not 0 < asked.least < 1:
        raise ConfigError(f"--least {asked.least}: is not a share; give a number above 0 and below 1")
    with opened(asked.sweeps) as swept:
        name, found, about = _in_one(swept[0], asked) if asked.by else _in_several(swept, asked)
    if asked.junit:
        write_text(asked.junit, checked.junit(name, found))
    if asked.markdown:
        write_text(asked.markdown, checked.markdown(found, about, asked.least))
    tell(checked.text(found, about, asked.least))
    return CODES[regression.overall(found)]


_Checked = tuple[str, list[regression.Finding], list[str]]  # the check's name, what came of it, what is told beside


def _in_one(swept: Swept, asked: argparse.Namespace) -> _Checked:
    """Both sides are in one sweep."""
    both = sides(swept.observed, asked.by)
    found = regression.judge([both.before], both.after, asked.least, in_turn=True)
    told = [f"{what}: {asked.by}={name}" for what, name in zip(("Baseline", "Now"), both.names, strict=True)]
    apart = differences.unequal(differences.texts(*map(differences.counting, (both.before, both.after))))
    return f"{swept.name}, by {asked.by}", found, [*told, *apart, *_alone(both.before, both.after)]


def _in_several(swept: Sequence[Swept], asked: argparse.Namespace) -> _Checked:
    *before, after = swept
    for each in before:
        _alike(each, after)
    found = regression.judge([each.observed for each in before], after.observed, asked.least)
    return f"{after.name} against {before[0].name}", found, _about(before, after)


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
    found = _alone([o for each in before for o in each.observed], after.observed)
    both = (before[-1].observed, after.observed)
    found += differences.unequal(differences.texts(*map(differences.counting, both)))
    changed = differences.configurations(before[-1].observed, after.observed)
    if changed:
        found.append(f"Settings: {'; '.join(f'{key} {old} -> {new}' for key, old, new in changed)}.")
    speeds = [_reference(each) for each in (before[-1], after)]
    if all(speeds):
        found.append(f"The same work without a server: {speeds[0]} in the baseline, {speeds[1]} now.")
    return found if len(before) > 1 else [*found, _APART]


def _alone(before: Sequence[Observed], after: Sequence[Observed]) -> list[str]:
    alone = sorted({o.run.key for o in after} - {o.run.key for o in before})
    return [f"Not in the baseline, so not judged: {', '.join(alone)}."] if alone else []


def _reference(swept: Swept) -> str | None:
    """How fast machine and engine were: where that differs, so does what the server is made of."""
    runs = [run for one in swept.files.references.values() for run in one.runs if run.processes == 1]
    return f"{tables.number(runs[0].throughput_rtfx)} RTFx" if runs else None


if __name__ == "__main__":
    from capsexp.tool import entry

    sys.exit(entry(main, "capsexp.check"))
