"""What keeps more workers from bringing more, from what was used. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capsexp.analysis import diagnosis
from capsexp.analysis.choice import speed
from capsexp.analysis.next_step import line
from capsexp.counts import counted
from capsexp.results.report import Configuration, Step


def binds(
    chosen: Configuration,
    found: Sequence[Configuration],
    following: Step | None,
    cpus: float | None,
    loads: Mapping[str, int],
    tolerance: float,
) -> str:
    """What keeps more workers from bringing more, from what was used: by the chosen configuration, or else by those
    that have more workers."""
    limit = next((g.limit for g in chosen.gates if g.metric == "peak_memory_mb"), None)
    peak = chosen.value("peak_memory_mb")
    more = following.more_mb if following else None
    if limit and peak and following and more and peak + more > limit:
        return f"Memory binds: {peak + more:.0f} MB with {counted(following.workers, 'worker')}, of {limit:.0f}."
    measured = [c for c in line(chosen, found) if speed(c)]
    for one in [chosen, *measured]:
        used = diagnosis.use(one, cpus or 1, loads.get(one.key, 0))
        if said := _binds(used, bool(cpus), "" if one is chosen else f" from {counted(one.workers or 0, 'worker')} on"):
            return said
    largest = measured[-1] if measured else chosen
    used = diagnosis.use(largest, cpus or 1)
    level = measured and speed(largest) < (1 + tolerance) * speed(chosen)
    if level or (following and following.predicted and (following.gain or 0.0) < tolerance):
        share = "" if used.cpu is None or not cpus else f", {100 * used.cpu:.0f} % of {counted(cpus, 'CPU')} used"
        busy = "" if used.busy is None else f", workers busy {100 * used.busy:.0f} % of the time"
        return f"What binds does not show in the data{share}{busy}."
    workers, tried = largest.workers or 1, [c for c in line(chosen, found) if c not in measured]
    seen = f"Nothing was seen to bind {'up to' if workers > 1 else 'with'} {counted(workers, 'worker')}"
    if tried:
        return f"{seen}; with {tried[0].workers} there is no figure."
    return f"{seen}; workers={2 * workers} would show what does."


def _binds(used: diagnosis.Use, known: bool, where: str) -> str | None:
    if known and (full := diagnosis.cores(used)):
        return f"Cores bind{where}: {full}."
    if (used.gateway or 0.0) > diagnosis.FULL:
        return f"The server's gateway binds{where}: it was busy {100 * (used.gateway or 0.0):.0f} % of the time."
    if (used.client or 0.0) > diagnosis.FULL:
        return f"The client binds{where}: it used {100 * (used.client or 0.0):.0f} % of a CPU."
    if said := diagnosis.requests(used):
        return f"Requests bind{where}: {said}."
    return None
