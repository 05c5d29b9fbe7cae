"""What replaying an archive, or going on with somebody else's sweep, would do beyond measuring on this machine.

Either brings its own YAML and its own command line, and may be anybody's. What they may set is listed here: values
that only say how to measure. Everything else (models, paths, commands, addresses, the environment, Hydra's own
settings, also those that a later version will have) is named, and happens only when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from capsexp import compose, escape, untrusted
from capsexp.errors import ArchiveError
from capsexp.experiment.combinations import split
from capsexp.experiment.sweep import plan
from capsexp.files import tell
from capsexp.trust.allowed import measures
from capsexp.trust.composed import of_hydra, of_runs
from capsexp.trust.composing import written
from capsexp.trust.tree import Tree, mapping

__all__ = ["SAID", "TRUST", "Tree", "ask", "measures", "of_hydra", "of_runs", "surprises", "written"]

TRUST = "--trust"
SAID = 5  # of what a folder would do, at most


def surprises(tree: Tree, overrides: Sequence[str], given: Sequence[str]) -> list[str]:
    """What the archived command `overrides`, composed from `tree`, would do beyond measuring; of the overrides those
    that are `given` are the user's own. Raises ArchiveError for YAML that cannot be read, ConfigError for what cannot
    be composed."""
    found = written(tree, [overrides], given) or of_hydra(tree, overrides, given)
    if not found:
        _, fixed = split(overrides)
        base = compose.raw(fixed, tree.conf, tree.name, with_hydra=True)
        preset = mapping(base.hydra.sweeper.params or {})
        untrusted.runs(overrides, preset, base.get("trials"))
        found = of_runs(tree, (run.config for run in plan(overrides, tree.conf, tree.name).planned), given)
    return found


def ask(name: str, found: Sequence[str], trusted: bool) -> None:
    """Say what a folder of this name would do beyond measuring; raises ArchiveError where that was not asked for."""
    if found and not trusted:
        said = "; ".join(found[:SAID]) + (f"; and {len(found) - SAID} more" if len(found) > SAID else "")
        raise ArchiveError(f"{name} would {said}: if you trust it, add {TRUST}")
    for one in found:
        tell(f"trusted: it will {escape.one_line(one)}", sys.stderr)
