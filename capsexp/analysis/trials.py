"""How many runs are enough: which to repeat because they were disturbed, and when trials=auto may stop."""

from __future__ import annotations

from collections.abc import Sequence

from capsexp.analysis import statistics
from capsexp.analysis.validity import TOO_SHORT
from capsexp.results.report import Configuration, GateResult, RunValidity

FRUITLESS = 3  # repetitions in a row that were disturbed again: the machine is not going to be quiet
RATIOS = ("speedup", "memory_growth", "efficiency")


def repeats(configurations: Sequence[Configuration], most: int) -> list[tuple[str, int]]:
    """(key, trial) of each trial without a valid run, while its configuration has had fewer than `most` runs. One
    that failed for a reason of the harness has none; one that was too short would be so again."""
    found = []
    for c in configurations:
        runs = c.validity.runs
        good = {run.trial for run in runs if run.valid or _too_short([run])}
        if (c.status == "ok" or c.failure == "harness") and len(runs) < most:
            found += [(c.key, trial) for trial in sorted({run.trial for run in runs} - good)]
    return found


def _too_short(runs: Sequence[RunValidity]) -> bool:
    return any(reason.code == TOO_SHORT for run in runs for reason in run.reasons)


def _hopeless(configuration: Configuration) -> bool:
    """Whether more trials would only be too short again."""
    runs = configuration.validity.runs
    return not any(run.valid for run in runs) and _too_short(runs)


def undecided(configurations: Sequence[Configuration], ci_width: float) -> dict[str, float | None]:
    """Per configuration with a gated ratio that is known worse than +- `ci_width`: how well, None where unknown."""
    found: dict[str, float | None] = {}
    for c in configurations:
        gated = {g.metric for g in c.gates if g.metric in RATIOS and _is_open(g)}
        widths = [statistics.width(c.metric(name).ci95) for name in sorted(gated)]
        known = [w for w in widths if w is not None]
        if len(known) < len(widths):
            found[c.key] = None
        elif known and max(known) > ci_width:
            found[c.key] = max(known)
    return found


def _is_open(gate: GateResult) -> bool:
    """Whether more trials would say more: it has a value, or lacks pairs of trials to have one."""
    return gate.value is not None or gate.verdict == "INCONCLUSIVE"


def further(configurations: Sequence[Configuration], ci_width: float, most: int) -> list[tuple[str, int]]:
    """(key, trial) of one more trial for all that is undecided, and its baselines: none when it is time to stop."""
    by_key = {c.key: c for c in configurations}
    pairs = [(key, by_key[key].baseline or key) for key in undecided(configurations, ci_width)]
    pairs = [pair for pair in pairs if all(_runs(by_key[key]) < most and not _hopeless(by_key[key]) for key in pair)]
    needed = {key for pair in pairs for key in pair}
    trial = 1 + max((run.trial for c in configurations for run in c.validity.runs), default=0)
    return [(c.key, trial) for c in configurations if c.key in needed and c.status == "ok"]


def _runs(configuration: Configuration) -> int:
    return len(configuration.validity.runs)


def outcome(configurations: Sequence[Configuration], asked: int | str, ci_width: float, most: int) -> str | None:
    """One sentence on why trials=auto stopped."""
    if asked != "auto":
        return None
    open_ones = undecided(configurations, ci_width)
    count = max((c.trials for c in configurations), default=0)
    if not open_ones:
        return f"trials=auto stopped at {count}: every gated ratio is known to +-{100 * ci_width:.0f} % or better"
    if any(_hopeless(c) for c in configurations):
        return f"trials=auto stopped at {count}: runs are too short, and more of them would be as short"
    shown = ", ".join(
        f"{key} to +-{100 * w:.1f} %" if w is not None else f"{key} not at all" for key, w in open_ones.items()
    )
    return f"trials=auto stopped at trials_max={most} with {shown} where +-{100 * ci_width:.0f} % was wanted"
