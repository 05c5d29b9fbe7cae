"""What a pool whose workers share one model saves, and checks on threads. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from capsexp.analysis.figures import Figures
from capsexp.results.report import Configuration, Saved


def saved(chosen: Configuration, found: Iterable[Configuration]) -> Saved | None:
    """The chosen configuration against the one that differs from it only in its pool, `process`: memory saved (MB, of
    the highest peak) and throughput kept. None where that one is not in the sweep, or is the chosen one."""
    if chosen.pool == "process":
        return None
    same = ("workers", "threads", "engine", "dispatch", "baseline")
    mine, reached = chosen.value("peak_memory_mb"), chosen.value("throughput_rtfx")
    for other in found:
        theirs, throughput = other.value("peak_memory_mb"), other.value("throughput_rtfx")
        alike = other.pool == "process" and all(getattr(other, name) == getattr(chosen, name) for name in same)
        if alike and theirs and mine and throughput and reached:
            share = 1 - mine / theirs
            return Saved(against=other.key, peak_mb=theirs - mine, share=share, throughput=reached / throughput)
    return None


def sentence(chosen: Configuration, found: Iterable[Configuration]) -> str | None:
    """The same in words."""
    saving = saved(chosen, found)
    if saving is None:
        return None
    size = f"{abs(saving.peak_mb):.0f} MB ({100 * abs(saving.share):.0f} %)"
    return (
        f"pool={chosen.pool} {'saves' if saving.peak_mb >= 0 else 'costs'} {size} compared with {saving.against}, "
        f"at {saving.throughput:.2f}x of its throughput."
    )


def threads_used(figures: Figures) -> float | None:
    """CPUs that a worker kept busy while it recognized: CPU seconds of the workers / seconds of recognizing."""
    used, busy = figures.cpu.workers_s, sum(figures.worker_busy) * (figures.makespan_s or 0.0)
    return used / busy if used is not None and busy > 0 else None


def wrong_threads(key: str, workers: int, threads: int, cpus: float, figures: Figures) -> str | None:
    """A warning where the CPU says other than `workers x threads` is what ran. Short runs are not judged, nor is too
    little CPU where there was no more to have."""
    real, used = threads_used(figures), figures.cpu.workers_s
    if real is None or used is None or used < 2.0:
        return None
    if real > 1.25 * threads:
        return (
            f"{key}: each worker used {real:.1f} CPUs with threads={threads}: its library starts more threads than it "
            "should; compare by CPUs used, not by threads"
        )
    if threads > 1 and workers * threads <= cpus and real < 0.6 * threads:
        return f"{key}: each worker used only {real:.1f} CPUs with threads={threads}; try threads=1"
    return None
