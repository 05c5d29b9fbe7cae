"""Figures of one run, from its tables. Pure. Units as in the names; MB are 2**20 bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capsexp.analysis.latency import NOTHING, Felt, felt, turnaround
from capsexp.results.rows import PacketRow, RequestRow, Row, SegmentRow
from capsexp.results.run import ClientFacts, Run, SegmentCounts
from capsexp.results.tables import SERVER_ROLES

LEAST_SPIKE_MB = 8.0  # the kernel's counters of a process are off by about so much on many cores
FEWEST_TICKS = 3  # of the monitor in a window, before shares of its CPU time are known


@dataclass(frozen=True)
class Memory:
    """Of the server's tree, in MB: highest of all, before the load, during it; and by RSS. `metric`: pss or uss."""

    metric: str | None = None
    peak_mb: float | None = None
    load_peak_mb: float | None = None
    steady_peak_mb: float | None = None
    rss_peak_mb: float | None = None


@dataclass(frozen=True)
class Cpu:
    """CPU seconds by role in the measured phase; `utilisation`: the server's share of all CPUs, `system_percent`: the
    mean of everybody's."""

    gateway_s: float | None = None
    workers_s: float | None = None
    helpers_s: float | None = None
    client_s: float | None = None
    monitor_s: float | None = None
    utilisation: float | None = None
    system_percent: float | None = None

    @property
    def receiving_s(self) -> float | None:
        """Of the gateway alone; None where no worker has a process of its own: its time is then theirs, too."""
        return self.gateway_s if self.workers_s else None

    @property
    def server_s(self) -> float | None:
        if self.gateway_s is None and self.workers_s is None:
            return None
        return (self.gateway_s or 0.0) + (self.workers_s or 0.0) + (self.helpers_s or 0.0)


@dataclass(frozen=True)
class Durations:
    """What percentiles are made of, in seconds: of each request and segment that was completed. `from_sending_s`: the
    turnaround by when requests were sent, where that is not what it is counted from."""

    turnaround_s: tuple[float, ...] = ()
    from_sending_s: tuple[float, ...] = ()
    latency_s: tuple[float, ...] = ()
    queue_wait_s: tuple[float, ...] = ()
    compute_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figures:
    """Of one run. Makespan and what is made of it are None unless all requests completed. `segments_every`: segments
    that a row stands for; `thinned`: not all rows were kept; `worker_busy`: of each worker the share of the makespan
    that it spent on recognizing; `timed`: its load lasts as long as it says, however fast the server is; `gave_up`: the
    client ended it early, as so many requests were late that the rest could not change what it was asked."""

    makespan_s: float | None = None
    audio_s: float = 0.0
    throughput_rtfx: float | None = None
    requests: int = 0
    completed: int = 0
    segments: int = 0
    retries: int = 0
    segments_every: int = 1
    thinned: bool = False
    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    durations: Durations = Durations()
    worker_busy: tuple[float, ...] = ()
    major_faults: float | None = None
    swap_in_mb: float | None = None
    min_available_mb: float | None = None
    read_mb: float | None = None
    client_max_loop_lag_s: float | None = None
    timed: bool = False
    gave_up: bool = False
    felt: Felt = NOTHING


def figures(
    run: Run,
    requests: list[RequestRow],
    segments: list[SegmentRow],
    monitor: list[Row],
    client: ClientFacts | None = None,
    counts: SegmentCounts | None = None,
    packets: Sequence[PacketRow] = (),
) -> Figures:
    """From a run's tables. `counts`: of a run whose segments are not all in `segments`."""
    if _elsewhere(run):  # what was seen of the server is its gateway alone: no figure of all of it
        monitor = [r for r in monitor if r["role"] not in SERVER_ROLES]
    done = [r for r in requests if r["status"] == "ok"]
    whole = bool(requests) and len(done) == len(requests)
    starts = [r["start_s"] for r in requests if r["start_s"] is not None]
    finals = [r["final_s"] for r in done]
    if client and client.thinned:  # the first and the last one may be among those that were left out
        starts, finals = [client.start_s], [client.end_s]
    makespan = max(finals) - min(starts) if whole else None
    audio = sum(r["duration_s"] * stands_for(r) for r in done)
    window = (min(starts), max(finals)) if starts and finals else None
    recognized = [s for s in segments if s["status"] == "ok"]
    return Figures(
        makespan_s=makespan,
        audio_s=audio,
        throughput_rtfx=audio / makespan if makespan else None,
        requests=sum(map(stands_for, requests)),
        completed=sum(map(stands_for, done)),
        segments=counts.ok if counts else len(recognized),
        retries=counts.retries if counts else sum(s["retries"] or 0 for s in recognized),
        segments_every=counts.every if counts else 1,
        thinned=bool(counts or (client and client.thinned)),
        memory=memory(monitor, window),
        cpu=_cpu(monitor, window, makespan, run.cpu_count, client),
        durations=durations(requests, segments, bool(client and client.timed)),
        worker_busy=_busy(recognized, run.workers, makespan, counts.every if counts else 1),
        **_system(monitor, window),
        client_max_loop_lag_s=client.max_loop_lag_s if client else None,
        timed=bool(client and client.timed),
        gave_up=bool(client and client.gave_up),
        felt=felt(requests, packets, client),
    )


def _elsewhere(run: Run) -> bool:
    """Whether its workers are on machines where no monitor looks."""
    pool = run.group("pool")
    return pool.get("name") == "ray" and pool.get("address") != "local"


def durations(requests: list[RequestRow], segments: list[SegmentRow], timed: bool) -> Durations:
    """What requests and segments took, in seconds, in their order; `timed`: the load had times of its own."""
    done = [r for r in requests if r["status"] == "ok"]
    recognized = [s for s in segments if s["status"] == "ok"]
    return Durations(
        turnaround_s=tuple(turnaround(r, timed) for r in done),
        from_sending_s=tuple(turnaround(r, False) for r in done if timed and r.get("due_s") is not None),
        latency_s=tuple(r["final_s"] - r["sent_s"] for r in done if r["sent_s"] is not None),
        queue_wait_s=tuple(s["queue_wait_s"] for s in recognized),
        compute_s=tuple(s["compute_s"] for s in recognized),
    )


def stands_for(request: RequestRow) -> int:
    """How many requests a row is for: with hours= those that came to the same are not all kept."""
    return int(request.get("count") or 1)


def memory(monitor: list[Row], window: tuple[float, float] | None) -> Memory:
    """Of the server's tree: PSS where the system has it, USS elsewhere, summed over processes at each tick, with what
    one of them had beyond that since the tick before."""
    rows = [r for r in monitor if r["role"] in SERVER_ROLES]
    metric = next((m for m in ("pss", "uss") if any(r[f"{m}_mb"] is not None for r in rows)), None)
    if metric is None:
        return Memory()
    spikes = _spikes(rows)
    total = _sum_by_tick(rows, f"{metric}_mb", spikes)
    start, end = window or (float("inf"), float("inf"))
    steady = [mb for at, mb in total.items() if start <= at <= end]
    if window is not None and not steady:
        # Shorter than the interval: the next tick is the nearest there is.
        after = [at for at in total if at >= start]
        steady = [total[min(after)]] if after else []
    return Memory(
        metric,
        peak_mb=max(total.values()),
        load_peak_mb=max((mb for at, mb in total.items() if at < start), default=None),
        steady_peak_mb=max(steady, default=None),
        rss_peak_mb=max(_sum_by_tick(rows, "rss_mb", spikes).values()),
    )


def _spikes(rows: list[Row]) -> dict[float, float]:
    """What came and went between two ticks, by the later one: how far the kernel's own peak of a process's RSS rose
    above what both ticks saw. Of several processes the largest alone, as nobody knows that they were at one time."""
    found: dict[float, float] = {}
    before: dict[Any, Row] = {}
    for row in sorted(rows, key=lambda r: r["time_s"]):
        peak, then = row.get("peak_rss_mb"), before.get(row["pid"], {})
        if peak is not None and row["rss_mb"] and peak > (then.get("peak_rss_mb") or 0.0):
            beyond = peak - max(row["rss_mb"], then.get("rss_mb") or 0.0)
            if beyond >= LEAST_SPIKE_MB:
                found[row["time_s"]] = max(beyond, found.get(row["time_s"], 0.0))
        before[row["pid"]] = row
    return found


def _sum_by_tick(rows: list[Row], column: str, more: Mapping[float, float]) -> dict[float, float]:
    total: dict[float, float] = defaultdict(float, more)
    for row in rows:
        total[row["time_s"]] += row[column] or 0.0
    return dict(total)


def difference(rows: list[Row], column: str, window: tuple[float, float]) -> float:
    """How much a counter grew in the window, summed over processes: from the last tick at or before its start to the
    first at or after its end. A process born later began at zero."""
    grown = 0.0
    by_pid: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        if row.get(column) is not None:
            by_pid[row["pid"]].append(row)
    for own in by_pid.values():
        before = [r[column] for r in own if r["time_s"] <= window[0]]
        after = [r[column] for r in own if r["time_s"] >= window[1]]
        grown += (after[0] if after else own[-1][column]) - (before[-1] if before else 0.0)
    return max(0.0, grown)


def cpu_seconds(rows: list[Row], ticks: Sequence[float], window: tuple[float, float]) -> float:
    """CPU seconds that processes used in the window; between two ticks as if evenly, so that no share of a window can
    exceed what was used of the ticks around it. A process first seen at a later tick began at zero after the one
    before; one that ended keeps what it had. `ticks`: all of the monitor, in order."""
    series: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row.get("cpu_s") is not None:
            series[row["pid"]].append((row["time_s"], row["cpu_s"]))
    used = 0.0
    for own in series.values():
        own.sort()
        born = bisect_left(ticks, own[0][0])
        if born:
            own.insert(0, (ticks[born - 1], 0.0))
        used += _at(own, window[1]) - _at(own, window[0])
    return max(0.0, used)


def _at(series: Sequence[tuple[float, float]], time: float) -> float:
    """A counter's value at a time, on the line between its two neighbours; at its ends the nearest."""
    after = bisect_left(series, (time,))
    if after in (0, len(series)):
        return series[min(after, len(series) - 1)][1]
    (t0, c0), (t1, c1) = series[after - 1], series[after]
    return c0 + (c1 - c0) * (time - t0) / (t1 - t0)


def _cpu(
    monitor: list[Row],
    window: tuple[float, float] | None,
    makespan: float | None,
    cpus: float,
    client: ClientFacts | None,
) -> Cpu:
    """Nothing, but for what the client counts itself, where the monitor looked too seldom in the window to tell."""
    ticks = sorted({r["time_s"] for r in monitor})
    inside = [t for t in ticks if window and window[0] <= t <= window[1]]
    enough = len(inside) >= FEWEST_TICKS

    def used(*roles: str) -> float | None:
        rows = [r for r in monitor if r["role"] in roles]
        return cpu_seconds(rows, ticks, window) if window and rows and enough else None

    at = {t for t in inside if enough}
    rows = [r for r in monitor if r["role"] == "system" and r["time_s"] in at]
    system = [r["cpu_percent"] for r in rows if r["cpu_percent"] is not None]
    found = Cpu(
        gateway_s=used("gateway"),
        workers_s=used("worker", "loader"),
        helpers_s=used("helper"),
        client_s=client.cpu_s if client else used("client"),
        monitor_s=used("monitor"),
        system_percent=sum(system) / len(system) if system else None,
    )
    server = found.server_s
    return found if server is None or not makespan else replace(found, utilisation=server / (makespan * cpus))


def _busy(segments: list[SegmentRow], workers: int | None, makespan: float | None, every: int) -> tuple[float, ...]:
    """Per worker: the share of the makespan it spent on recognizing."""
    if not makespan or not segments:
        return ()
    busy: dict[int, float] = dict.fromkeys(range(workers or 0), 0.0)
    for segment in segments:
        busy[segment["worker"]] = busy.get(segment["worker"], 0.0) + segment["compute_s"] * every
    return tuple(min(1.0, seconds / makespan) for _, seconds in sorted(busy.items()))


def _system(monitor: list[Row], window: tuple[float, float] | None) -> dict[str, float | None]:
    rows = [r for r in monitor if r["role"] in SERVER_ROLES]
    system = [r for r in monitor if r["role"] == "system"]
    free = [r["available_mb"] for r in system if r["available_mb"] is not None]
    return {
        "major_faults": difference(rows, "major_faults", window) if window and rows else None,
        "swap_in_mb": difference(system, "swap_in_mb", window) if window and system else None,
        "min_available_mb": min(free, default=None),
        "read_mb": difference(rows, "read_mb", window) if window and rows else None,
    }
