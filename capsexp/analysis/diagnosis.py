"""What a configuration spent its time on, and why one disappoints: from what was used, never from how much there is.

Causes only: what to run instead is the recommendation's to say. What is said to try changes what clients do or how
segments are given out, which no recommendation is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capsexp.analysis.figures import Figures
from capsexp.counts import counted
from capsexp.results.report import Configuration, Timeline
from capsexp.results.verdicts import Reading

FULL = 0.8  # share of all CPUs (of one, for a process that uses one), from which on it is what there is no more of
IDLE = 0.8  # share of the time that workers recognize, below which they wait for something
EMPTY = 0.5  # share of the time without a waiting segment, from which on workers that wait lack segments
SENT = 0.8  # share of the time that the client was sending, from which on that is what segments wait for


@dataclass(frozen=True)
class Use:
    """Of a run, or a configuration's typical run; what is not known is None. `cpu`: share of all CPUs that was used
    by what was measured; `gateway`, `client`: shares of one CPU; `busy`, `queue_empty`, `waiting`: shares of the time;
    `system`: share of all CPUs that anybody used."""

    workers: int
    threads: int
    cpus: float
    cpu: float | None
    gateway: float | None
    client: float | None
    busy: float | None
    queue_empty: float | None
    waiting: float | None
    concurrency: int = 0
    system: float | None = None

    @property
    def short_of_segments(self) -> bool:
        """Workers that had time, and no segment to spend it on."""
        idle = self.busy is None or self.busy < IDLE
        return idle and self.queue_empty is not None and self.queue_empty > EMPTY


def use(c: Configuration, cpus: float, concurrency: int = 0) -> Use:
    """From a configuration's metrics."""
    where, makespan = c.timeline or Timeline(), c.value("makespan_s")
    seconds = {role: c.value(f"cpu_{role}_s") for role in ("client", "monitor", "gateway")}
    shares = {role: s / makespan if s is not None and makespan else None for role, s in seconds.items()}
    server, busy = c.value("cpu_utilisation"), where.workers_busy
    beside = ((shares["client"] or 0.0) + (shares["monitor"] or 0.0)) / cpus
    gateway = shares["gateway"] if c.value("cpu_workers_s") else None  # as Cpu.receiving_s
    return Use(
        c.workers or 1, c.threads or 1, cpus, None if server is None else server + beside,
        where.gateway_busy if c.timeline else gateway, shares["client"],
        sum(busy) / len(busy) if busy else None, where.queue_empty, where.client_waiting, concurrency,
    )  # fmt: skip


def cores(u: Use) -> str | None:
    """Whether the CPUs were used up."""
    if u.cpu is None or u.cpu <= FULL:
        return None
    return f"{counted(u.workers * u.threads, 'thread')} on {counted(u.cpus, 'CPU')}, {100 * min(u.cpu, 1.0):.0f} % used"


def requests(u: Use) -> str | None:
    """Whether workers waited for segments, and why none came."""
    if not u.short_of_segments:
        return None
    said = f"no segment waited during {100 * (u.queue_empty or 0.0):.0f} % of the time"
    if u.waiting is None:
        return said
    if u.waiting < 1 - SENT:
        return f"{said}, and the client was sending for {100 * (1 - u.waiting):.0f} %; try a larger load.message_s"
    said += f", and the client had nothing left to send for {100 * u.waiting:.0f} %"
    if u.concurrency:
        return f"{said}, because load.concurrency={u.concurrency} allows no more; try a larger one"
    return f"{said}; send more requests (load.repeats)"


def causes(
    configuration: Configuration,
    baseline: Configuration,
    figures: Figures,
    cpus: float,
    limits: Mapping[str, float | None],
    as_fast_with_fewer: str | None = None,
    concurrency: int = 0,
) -> list[str]:
    """Sentences, each with its figure, for a configuration that fails its speedup or efficiency gate or is no faster
    than one with fewer workers; none for one that does well. `figures`: of its typical run; `limits`: what a run is
    held to (validity), as what is too much for that explains a loss."""
    missed = any(g.metric in ("speedup", "efficiency") and g.verdict == Reading.FAIL for g in configuration.gates)
    if not missed and as_fast_with_fewer is None:
        return []
    makespan = figures.makespan_s
    if not makespan:
        return [f"only {figures.completed} of {counted(figures.requests, 'request')} completed"]
    used = _of_run(configuration, figures, makespan, cpus, concurrency)
    gain = f"no faster than {as_fast_with_fewer}, although it has more workers" if as_fast_with_fewer else None
    found = [
        gain,
        _saturated(used),
        _bound(configuration, figures, used),
        _idle(figures, used),
        _slower_segments(configuration, baseline),
        _paging(figures, makespan, limits),
        _disk(figures, makespan),
        _client(figures, used, limits),
        _gateway(used),
    ]
    said = [sentence for sentence in found if sentence]
    if len(said) > bool(gain):
        return said
    return [*said, "no known cause shows in the data; look at segments.csv and monitor.csv of the run"]


def _of_run(c: Configuration, figures: Figures, makespan: float, cpus: float, concurrency: int) -> Use:
    """The run's own figures where it has them; where the use of the server is not known, that of all stands for it."""
    cpu, busy, where = figures.cpu, figures.worker_busy, c.timeline or Timeline()
    system = None if cpu.system_percent is None else cpu.system_percent / 100
    beside = ((cpu.client_s or 0.0) + (cpu.monitor_s or 0.0)) / (makespan * cpus)
    return Use(
        c.workers or 1, c.threads or 1, cpus, system if cpu.utilisation is None else cpu.utilisation + beside,
        None if cpu.receiving_s is None else cpu.receiving_s / makespan,
        None if cpu.client_s is None else cpu.client_s / makespan,
        sum(busy) / len(busy) if busy else None, where.queue_empty, where.client_waiting, concurrency,
        system,
    )  # fmt: skip


def _saturated(u: Use) -> str | None:
    if said := cores(u):
        return f"the CPUs are saturated: {said}; more workers cannot help"
    if u.system is None or u.system <= FULL:
        return None
    own = f"{100 * min(u.cpu or 0.0, 1.0):.0f} % by server and client"
    return (
        f"other programs saturated the CPUs: {100 * min(u.system, 1.0):.0f} % used, {own}; measure on a quiet machine"
    )


def _bound(configuration: Configuration, figures: Figures, u: Use) -> str | None:
    """Requests that are bound to one worker leave others without any."""
    if configuration.dispatch not in ("task", "hash") or u.busy is None or u.busy >= IDLE:
        return None
    return (
        f"server.dispatch={configuration.dispatch} binds each of {counted(figures.requests, 'request')} to one of "
        f"{counted(u.workers, 'worker')}, and the workers were busy {_each(figures)} of the time; "
        "server.dispatch=segment lets any worker take any segment"
    )


def _idle(figures: Figures, u: Use) -> str | None:
    if u.busy is None:
        return f"workers lacked segments: {said}" if (said := requests(u)) else None
    if u.busy >= IDLE:
        return None
    why = requests(u)
    if why is None and u.queue_empty is not None:
        why = f"yet segments waited during {100 * (1 - u.queue_empty):.0f} % of it"
    return f"workers idle: they recognized during {_each(figures)} of the time" + (f"; {why}" if why else "")


def _each(figures: Figures) -> str:
    busy = [f"{100 * share:.0f} %" for share in figures.worker_busy]
    return ", ".join(busy) if len(busy) <= 8 else f"{min(figures.worker_busy):.0%} to {max(figures.worker_busy):.0%}"


def _slower_segments(configuration: Configuration, baseline: Configuration) -> str | None:
    mine, theirs = configuration.value("compute_p50_s"), baseline.value("compute_p50_s")
    if not mine or not theirs or mine / theirs <= 1.2:
        return None
    return (
        f"the same segments take {mine / theirs:.2f} times as long as in {baseline.key}: "
        "workers contend for cores, cache or memory"
    )


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit


def _paging(figures: Figures, makespan: float, limits: Mapping[str, float | None]) -> str | None:
    faults, swapped = figures.major_faults or 0.0, figures.swap_in_mb or 0.0
    if not (_above(faults / makespan, limits.get("major_faults_per_s")) or _above(swapped, limits.get("swap_in_mb"))):
        return None
    return f"memory paging: {faults / makespan:.0f} major faults per second, {swapped:.0f} MB read back from swap"


def _disk(figures: Figures, makespan: float) -> str | None:
    rate = (figures.read_mb or 0.0) / makespan
    return f"disk: the server read {rate:.0f} MB/s" if rate > 50 else None


def _client(figures: Figures, u: Use, limits: Mapping[str, float | None]) -> str | None:
    lag = figures.client_max_loop_lag_s or 0.0
    if (u.client or 0.0) <= FULL and not _above(lag, limits.get("client_lag_s")):
        return None
    return (
        f"the client is the bottleneck: it used {100 * (u.client or 0.0):.0f} % of a CPU and kept results waiting for "
        f"up to {lag:.2f} s; try a smaller load.concurrency"
    )


def _gateway(u: Use) -> str | None:
    if (u.gateway or 0.0) <= FULL:
        return None
    return (
        f"the gateway is the bottleneck: it used {100 * (u.gateway or 0.0):.0f} % of a CPU to receive, cut and merge; "
        "try a larger load.message_s"
    )
