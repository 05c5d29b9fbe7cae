"""The bottleneck: the resource that keeps more workers from adding throughput. Pure."""

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
    """One sentence on the bottleneck of the chosen configuration, or else of those with more workers."""
    limit = next((g.limit for g in chosen.gates if g.metric == "peak_memory_mb"), None)
    peak = chosen.value("peak_memory_mb")
    more = following.more_mb if following else None
    if limit and peak and following and more and peak + more > limit:
        what = f"{peak + more:.0f} MB with {counted(following.workers, 'worker')} (limit {limit:.0f} MB)"
        return f"Bottleneck: memory: {what}."
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
        return f"The bottleneck does not show in the data{share}{busy}."
    workers, tried = largest.workers or 1, [c for c in line(chosen, found) if c not in measured]
    seen = f"No bottleneck was found {'up to' if workers > 1 else 'with'} {counted(workers, 'worker')}"
    if tried:
        return f"{seen}; workers={tried[0].workers} gave no figure."
    return f"{seen}; workers={2 * workers} may show one."


def _binds(used: diagnosis.Use, known: bool, where: str) -> str | None:
    if known and (full := diagnosis.cores(used)):
        return f"Bottleneck{where}: the CPUs: {full}."
    if (used.gateway or 0.0) > diagnosis.FULL:
        return f"Bottleneck{where}: the server's gateway, busy {100 * (used.gateway or 0.0):.0f} % of the time."
    if (used.client or 0.0) > diagnosis.FULL:
        return f"Bottleneck{where}: the client, which used {100 * (used.client or 0.0):.0f} % of a CPU."
    if said := diagnosis.requests(used):
        return f"Bottleneck{where}: too few requests: {said}."
    return None
