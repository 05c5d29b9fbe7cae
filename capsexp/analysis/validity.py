"""Judges whether a run was undisturbed: VALID, or INVALID with reasons. Pure.

A disturbed run says nothing about the server. Each reason has a code, the figure and the limit it exceeded; the limits
are those of conf/validity. What a platform does not report is not checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Any

from capsexp.analysis import interference
from capsexp.analysis.figures import FEWEST_TICKS, Figures, difference
from capsexp.analysis.latency import late_p99
from capsexp.load import LOADS
from capsexp.placement import listed
from capsexp.results.report import Configuration, Reason
from capsexp.results.rows import Row, SegmentRow
from capsexp.results.run import Run
from capsexp.results.verdicts import Status

Window = tuple[float, float]
Limits = Mapping[str, float | None]

LOST_CPU = "LOST_CPU"  # to others, while it could have run
TOO_SHORT = "TOO_SHORT"  # a run that ends as soon when it is repeated
HARNESS = "HARNESS"  # a run that failed for a reason of ours
SETTINGS = "SETTINGS"  # one that failed as it was asked for what cannot be done, and would again
ENOUGH = 1.25  # times the limit, so that a run that is somewhat faster is long enough, too
CUT_SHORT = frozenset({Status.INTERRUPTED, Status.RUNNING})
LITTLE = 0.02  # by which Little's law may be missed
SPELLS = 3  # that are named, of those in which others took the most
FEWEST_RATES = 8  # of the clock, before their halves are compared
FEWEST_SEGMENTS = 5  # of a worker, before its first is compared with the others


def reasons(
    run: Run, figures: Figures | None, segments: list[SegmentRow], monitor: list[Row], limits: Limits
) -> tuple[Reason, ...]:
    """Why a run is not VALID; none: it is. What was cut short has not been a run yet, and its status says so."""
    span = run.window_s.span
    if figures is None or run.status in CUT_SHORT or span is None or span[1] <= span[0]:
        return ()
    seconds = span[1] - span[0]
    return (
        # What was given up has said what it was asked, however soon.
        *(() if figures.gave_up else _length(run, seconds, limits.get("min_s"))),
        *_client(figures, seconds, limits),
        *_paging(figures, seconds, limits),
        *_cpus(run, monitor, span, limits),
        *_lost(run, monitor, span, limits.get("interference")),
        *_frequency(monitor, span, limits.get("frequency")),
        *_gap(monitor, span, run.group("monitor")["interval"], limits.get("monitor_gap_s")),
        *_warmup(segments, limits.get("warmup")),
    )


def kinds(codes: Iterable[str]) -> str:
    """What runs with these codes were: `disturbed`, `too short`, `failed`, or several of these."""
    known = {TOO_SHORT: "too short", HARNESS: "failed", SETTINGS: "failed"}
    found = {known.get(code, "disturbed") for code in codes}
    return " or ".join(sorted(found))


def codes(configurations: Iterable[Configuration]) -> set[str]:
    """Why runs of these configurations do not count."""
    return {reason.code for c in configurations for run in c.validity.runs for reason in run.reasons}


def _length(run: Run, seconds: float, least: float | None) -> Iterator[Reason]:
    if least is not None and seconds < least:
        times = ENOUGH * least / seconds
        remedy = _longer(run, times)
        said = f"long enough is about {remedy}" if remedy else f"long enough is {times:.1f} times that"
        yield Reason(
            code=TOO_SHORT,
            reason=f"the load took {seconds:.2f} s (limit {least:g} s); {said}",
            remedy=remedy,
        )


def _longer(run: Run, times: float) -> str | None:
    """The setting with which a run takes so many times as long; None of a load that has none."""
    load, hours = run.group("load"), run.config.get("hours")
    if hours:
        return f"hours={times * hours:.3g}"
    if load.get("repeats") == "auto" and (run.repeats or 1) > 1 and load.get("min_s"):
        return f"load.min_s={ceil(times * load['min_s'])}"
    own = {**load, "repeats": run.repeats or load.get("repeats", 1)}
    found = LOADS.known(load.get("name", "all")).longer(own, times)
    return f"load.{found[0]}={found[1]}" if found else None


def _client(figures: Figures, seconds: float, limits: Limits) -> Iterator[Reason]:
    used, lag = figures.cpu.client_s, figures.client_max_loop_lag_s
    most, longest = limits.get("client_cpu"), limits.get("client_lag_s")
    if most is not None and used is not None and used / seconds > most:
        yield Reason(
            code="CLIENT_CPU", reason=f"the client used {_percent(used / seconds)} of a CPU (limit {_percent(most)})"
        )
    if longest is not None and lag is not None and lag > longest:
        yield Reason(code="CLIENT_LAG", reason=f"the client stood still for {lag:.2f} s (limit {longest:g} s)")
    late, latest = late_p99(figures.felt), limits.get("client_late_s")
    if latest is not None and late is not None and late > latest:
        yield Reason(
            code="CLIENT_LATE",
            reason=f"the client was {1000 * late:.0f} ms late with 1 in 100 of what was due (limit "
            f"{1000 * latest:g} ms)",
        )
    unlike = figures.felt.unlike_little
    if unlike is not None and unlike > LITTLE:
        yield Reason(
            code="LITTLE",
            reason=f"requests in flight, as counted and by their times, differ by {_percent(unlike)} (limit "
            f"{_percent(LITTLE)}): some of their times are wrong",
        )


def _paging(figures: Figures, seconds: float, limits: Limits) -> Iterator[Reason]:
    faults, swapped = figures.major_faults, figures.swap_in_mb
    most, mb = limits.get("major_faults_per_s"), limits.get("swap_in_mb")
    if most is not None and faults is not None and faults / seconds > most:
        yield Reason(code="PAGING", reason=f"{faults / seconds:.0f} major faults per second (limit {most:g})")
    if mb is not None and swapped is not None and swapped > mb:
        yield Reason(code="PAGING", reason=f"{swapped:.0f} MB read back from swap (limit {mb:g})")


def _cpus(run: Run, monitor: list[Row], window: Window, limits: Limits) -> Iterator[Reason]:
    """Other processes': what the system used, less what the processes we watch used between the same two ticks."""
    system = sorted((r for r in monitor if r["role"] == "system"), key=lambda r: r["time_s"])
    inside = [at for at, r in enumerate(system) if at and window[0] < r["time_s"] <= window[1]]
    if len(inside) < FEWEST_TICKS:
        return
    first, last = system[inside[0] - 1], system[inside[-1]]
    spent = {name: _grown(first, last, name) for name in ("busy_s", "idle_s", "steal_s")}
    if spent["busy_s"] is None:  # a table of before there were sums
        spent = _from_percents(system[inside[0] - 1 : inside[-1] + 1], run.machine_cpus or run.cpu_count)
    busy, idle, steal = spent["busy_s"], spent["idle_s"], spent["steal_s"]
    most, share = limits.get("steal_percent"), limits.get("other_cpu")
    if busy is None or idle is None or busy + idle + (steal or 0.0) <= 0:
        return
    total = busy + idle + (steal or 0.0)
    if most is not None and steal is not None and 100 * steal / total > most:
        yield Reason(
            code="STEAL", reason=f"the host took {100 * steal / total:.0f} % of the CPU time (limit {most:g} %)"
        )
    if share is None:
        return
    ours = difference([r for r in monitor if r["role"] != "system"], "cpu_s", (first["time_s"], last["time_s"]))
    other = max(0.0, busy - ours) / total
    if other > share:
        yield Reason(
            code="OTHER_CPU", reason=f"other processes used {_percent(other)} of all CPUs (limit {_percent(share)})"
        )


def _lost(run: Run, monitor: list[Row], window: Window, most: float | None) -> Iterator[Reason]:
    """What others took while it was waited for; `most`: by how much it may have made the run's time longer."""
    threads = run.workers * run.threads if run.workers else None
    pinned = len(frozenset[int]().union(*map(listed, run.pinned))) if run.pinned else None
    found = None if most is None else interference.measure(monitor, window, run.cpu_count, threads, pinned)
    if found is None or most is None or found.slower <= most:
        return
    named = sorted(found.spells[:SPELLS], key=lambda spell: spell.start_s)
    when = ", ".join(f"{spell.start_s - window[0]:.1f} to {spell.end_s - window[0]:.1f} s" for spell in named)
    more = ", and more" if len(found.spells) > SPELLS else ""
    said = f"other processes held a CPU for {found.lost_s:.1f} s while the run waited for one, which made it"
    figure = f"{_percent(found.slower)} slower (limit {_percent(most)})"
    where = f"{when} after its start{more}" if named else "spread over the whole run"
    yield Reason(code=LOST_CPU, reason=f"{said} {figure}; {where}")


def _grown(first: Row, last: Row, column: str) -> float | None:
    """How much a sum grew from one tick to another, whatever was left out between them."""
    before, after = first.get(column), last.get(column)
    return None if before is None or after is None else after - before


def _from_percents(ticks: Sequence[Row], cpus: float) -> dict[str, float | None]:
    """The same from the shares of CPU time since the tick before; the first one's is not of the window."""
    found: dict[str, float | None] = {"busy_s": 0.0, "idle_s": 0.0, "steal_s": None}
    for before, tick in pairwise(ticks):
        if tick["cpu_percent"] is not None:
            seconds = cpus * (tick["time_s"] - before["time_s"])
            steal = tick.get("steal_percent")
            busy, taken = tick["cpu_percent"] / 100 * seconds, (steal or 0.0) / 100 * seconds
            found["busy_s"] = (found["busy_s"] or 0.0) + busy
            found["idle_s"] = (found["idle_s"] or 0.0) + seconds - busy - taken
            if steal is not None:
                found["steal_s"] = (found["steal_s"] or 0.0) + taken
    return found


def _frequency(monitor: list[Row], window: Window, least: float | None) -> Iterator[Reason]:
    known = [
        r["cpu_mhz"] for r in monitor
        if r["role"] == "system" and window[0] <= r["time_s"] <= window[1] and r.get("cpu_mhz") is not None
    ]  # fmt: skip
    if least is None or len(known) < FEWEST_RATES:
        return
    early, late = median(known[: len(known) // 2]), median(known[len(known) // 2 :])
    if late < least * early:
        yield Reason(
            code="FREQUENCY",
            reason=f"the CPU's clock fell from {early:.0f} to {late:.0f} MHz (limit {_percent(least)})",
        )


def _gap(monitor: list[Row], window: Window, interval: float, limit: float | None) -> Iterator[Reason]:
    if limit is None:
        return
    inside = sorted({r["time_s"] for r in monitor if window[0] < r["time_s"] < window[1]})
    times = [window[0], *inside, window[1]]
    spacing = median([b - a for a, b in pairwise(inside)] or [interval])
    if spacing > 1.5 * interval:  # a table that was thinned out: of so many ticks one is left
        interval = 2 * spacing
    gap = max(b - a for a, b in pairwise(times))
    if gap > interval + limit:
        yield Reason(
            code="MONITOR_GAP", reason=f"nothing was sampled for {gap:.1f} s (limit {limit:g} s beyond the interval)"
        )


def _warmup(segments: Sequence[SegmentRow], limit: float | None) -> Iterator[Reason]:
    """A worker's first segment against its others, per second of audio; segments much shorter than most are left out,
    as what every segment costs weighs more in them."""
    done = [s for s in segments if s["status"] == "ok" and s["audio_s"]]
    if limit is None or not done:
        return
    usual = median(s["audio_s"] for s in done)
    by_worker: dict[Any, list[float]] = defaultdict(list)
    for s in sorted(done, key=lambda s: s["started_s"]):
        if s["audio_s"] >= 0.9 * usual:
            by_worker[s["worker"]].append(s["compute_s"] / s["audio_s"])
    slower = [own[0] / m for own in by_worker.values() if len(own) >= FEWEST_SEGMENTS and (m := median(own[1:])) > 0]
    if slower and median(slower) > limit:
        yield Reason(
            code="WARMUP",
            reason=f"first segments took {median(slower):.1f} times as long as later ones (limit {limit:g})",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
