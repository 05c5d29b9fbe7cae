"""What a run's texts are compared with, made before it where its sweep does not have it yet; and what that tells of how
long a load will take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from capsexp import interrupts
from capsexp.config import Config
from capsexp.experiment import alone, reference
from capsexp.experiment.heartbeat import exclusive
from capsexp.experiment.repeats import Pace
from capsexp.results.read import read_reference
from capsexp.runfiles import PASSING


def ensure(config: Config, sweep_dir: Path, say: Callable[[str], None]) -> tuple[str | None, Pace | None]:
    """Make the reference where the sweep lacks it. Returns the name of its folder below reference/, and the pace
    that it reached (None where it does not tell); (None, None) with reference=off. Where runs are made on other
    machines, one of them at a time makes it. Raises what making it raises."""
    if config.reference.name == "off":
        return None, None
    alone_here = nullcontext() if config.executor.local else exclusive(sweep_dir / PASSING / "lock", interrupts.check)
    with alone_here:
        return _made(config, sweep_dir, say)


def _made(config: Config, sweep_dir: Path, say: Callable[[str], None]) -> tuple[str, Pace | None]:
    if config.reference.name == "server":
        name = alone.ensure(config, sweep_dir, say)
    else:
        name = reference.ensure(config, sweep_dir)
    return name, Pace.of(read_reference(sweep_dir / "reference" / name / "reference.json"))


def earlier(outputs: Path, config: Config) -> tuple[Pace, Path] | None:
    """What the newest sweep below `outputs` that has the same reference says of the pace, and that sweep's folder."""
    if config.reference.name == "off":
        return None
    name = alone.digest(config) if config.reference.name == "server" else reference.digest(config)
    found = outputs.glob(f"*/*/reference/{name}/reference.json")
    for path in sorted(found, key=lambda path: path.parts, reverse=True):
        try:
            pace = Pace.of(read_reference(path))
        except (OSError, ValueError):
            continue
        if pace is not None:
            return pace, path.parents[2]
    return None
