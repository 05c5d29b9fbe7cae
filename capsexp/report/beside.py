"""What a report says beside its tables, in lines: where the time went, GPUs, memory in the end, the reference."""

from __future__ import annotations

from capsexp.counts import counted
from capsexp.report.tables import interval, number, percent
from capsexp.results.report import ReferenceRun, Report, Slope, Timeline


def timeline_lines(report: Report) -> list[str]:
    """Where the time of a typical run went, as far as it is known."""
    found = []
    for c in report.configurations:
        t = c.timeline or Timeline()
        shares = {"workers busy": ", ".join(percent(busy, 0) for busy in t.workers_busy)}
        for name in ("queue empty", "gateway busy", "client busy", "client waiting"):
            share = getattr(t, name.replace(" ", "_"))
            shares[name] = "" if share is None else percent(share, 0)
        known = [f"{name} {said} %" for name, said in shares.items() if said]
        if t.threads_at_work is not None:
            known.append(f"threads of the server at work {t.threads_at_work:g}")
        if known:
            found.append(f"{c.key}: {'; '.join(known)}")
    return found


def gpu_lines(report: Report) -> list[str]:
    """A line for each configuration whose runs saw a GPU."""
    return [
        f"{c.key}: the server held {number(g.memory_mb, 0)} MB at most (all: {number(g.device_memory_mb, 0)} MB), "
        f"{number(g.utilization_percent, 0)} % busy, {number(g.power_w, 0)} W"
        for c in report.configurations
        if (g := c.gpu)
    ]


def leak_lines(report: Report) -> list[str]:
    """Slopes of memory, of runs that were long enough."""
    found = []
    for c in report.configurations:
        leak = c.leak
        if leak.mb_per_h is None:
            continue
        whole = Slope(mb_per_h=leak.mb_per_h, ci95=leak.ci95)
        for role, slope in {"server": whole, **leak.roles}.items():
            if slope.mb_per_h is not None:
                found.append(f"{c.key}, {role}: {slope.mb_per_h:+.2f} MB/h ({interval(slope.ci95)})")
    return found


def reference_lines(report: Report) -> list[str]:
    """What the same work takes without a server, or the server that is asked one request at a time; and what that
    itself took."""
    found = [_alone(r) if r.kind == "server" else _without_server(r) for r in report.reference]
    if (cost := report.reference_cost) is not None:
        all_s, took_s = cost.texts_s + cost.runs_s, cost.texts_s + cost.timed_s
        found.append(
            f"the reference took {took_s:.0f} s of {all_s:.0f} s: {cost.texts_s:.0f} s for the texts, "
            f"{cost.timed_s:.0f} s to be timed beside runs"
        )
    return found


def _without_server(r: ReferenceRun) -> str:
    reached = f"{r.engine}, {counted(r.threads, 'thread')}, {counted(r.processes or 1, 'process')}: "
    reached += f"{number(r.throughput_rtfx, 1)} x real time"
    if r.trials:
        sure = f", {interval(r.ci95)}" if r.ci95 else ""
        return f"{reached}{sure} ({counted(r.trials, 'trial')} of {r.makespan_s:.2f} s, load {number(r.load_s)} s)"
    return f"{reached} ({r.makespan_s:.2f} s, load {number(r.load_s)} s)"


def _alone(r: ReferenceRun) -> str:
    steady = "the same texts twice" if r.deterministic else "not always the same text twice"
    return (
        f"the server alone (target={r.target} workers={r.workers} threads={r.threads}), one request at a time: "
        f"{number(r.throughput_rtfx, 1)} x real time ({r.makespan_s:.2f} s), {steady}"
    )
