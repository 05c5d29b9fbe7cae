"""What is known of a sweep under way, and what is shown of it. Pure: files are read in `read`, drawn in `draw`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from capsexp.live import eta
from capsexp.live.standing import Standing
from capsexp.runfiles import CLIENT, JOB, PIDS, PROGRESS

NAMELESS = 0.2  # of a CPU, of those that come and go before they are seen
NOTICED = 0.05  # of a CPU that others use, or share that the host takes, before it is told
LOST_S = 10.0  # without a tick of the monitor under load, before that is told


@dataclass(frozen=True)
class RunSeen:
    """A planned run. Times are epoch seconds; `load_s`: how long its load took. `status` is None until it has ended."""

    num: int
    key: str
    trial: int
    status: str | None = None
    began: float | None = None
    ended: float | None = None
    load_s: float | None = None


@dataclass(frozen=True)
class Progress:
    """What the client says, at `at_s` of the run's clock, of a load that began at `start_s`. `of` and `of_s` (audio)
    are None of a load that lasts `lasts_s` instead."""

    start_s: float
    at_s: float
    done: int
    heard_s: float
    of: int | None = None
    of_s: float | None = None
    lasts_s: float | None = None
    failed: int = 0

    @property
    def load_s(self) -> float:
        return max(0.0, self.at_s - self.start_s)

    @property
    def share(self) -> float | None:
        """Of the load that is done: of its time where that is given, else of its audio."""
        done, of = (self.load_s, self.lasts_s) if self.lasts_s else (self.heard_s, self.of_s)
        return min(1.0, done / of) if of else None


@dataclass(frozen=True)
class Tick:
    """One look of the monitor, at `time_s` of the run's clock: memory of the server's processes, the CPUs that they and
    that others used since the look before, the share of all CPUs that the host took, MB read back from swap so far."""

    time_s: float
    memory_mb: float
    cpus: float | None = None
    stolen: float | None = None
    swapped_in_mb: float = 0.0
    others: float | None = None


@dataclass(frozen=True)
class Look:
    """CPU seconds that others used, by name, up to `time_s`."""

    time_s: float
    cpu_s: Mapping[str, float]


@dataclass(frozen=True)
class Known:
    """All that the files tell, at `now` (epoch s). `at_work`: which of `runs`; `files`: what is in its folder."""

    now: float
    name: str = ""
    trials: int | str = 1
    runs: tuple[RunSeen, ...] = ()
    at_work: int | None = None
    files: frozenset[str] = frozenset()
    progress: Progress | None = None
    ticks: tuple[Tick, ...] = ()
    ticked: float | None = None  # when the monitor last wrote, epoch s
    others: tuple[Look, ...] = ()
    cpus: float | None = None
    expected: Mapping[str, float] = field(default_factory=dict)  # s that loads take, by key
    standings: tuple[Standing, ...] = ()
    further_s: float | None = None  # that trials=auto or a search may add; infinite where nothing bounds it
    over: bool = False


@dataclass(frozen=True)
class Shown:
    """`share`: of the load that is done. Seconds that are left are None where nothing tells; `at_least`: runs may be
    repeated, as they were disturbed."""

    name: str
    where: str
    phase: str
    share: float | None = None
    requests: str = ""
    run_left_s: float | None = None
    sweep_left_s: float | None = None
    at_least: bool = False
    further_s: float | None = None  # that runs may take which the answer turns out to need
    memory: tuple[float, ...] = ()
    memory_said: str = ""
    cpu: tuple[float, ...] = ()
    cpu_said: str = ""
    disturbed: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()


def shown(known: Known) -> Shown:
    """What a screen shows, of what is known now."""
    phase_now, left, progress = phase(known), time_left(known), known.progress
    memory = tuple(tick.memory_mb for tick in known.ticks)
    cpu = tuple(tick.cpus for tick in known.ticks if tick.cpus is not None)
    return Shown(
        name=known.name,
        where=_where(known),
        phase=phase_now,
        share=progress.share if progress is not None and phase_now == "load" else None,
        requests=_requests(progress) if progress is not None else "",
        run_left_s=left.now_s,
        sweep_left_s=left.sweep_s,
        at_least=any(one.disturbed for one in known.standings),
        further_s=known.further_s,
        memory=memory,
        memory_said=f"{memory[-1]:.0f} MB, at most {max(memory):.0f}" if memory else "",
        cpu=cpu,
        cpu_said=f"{cpu[-1]:.2f} CPUs{f' of {known.cpus:g}' if known.cpus else ''}" if cpu else "",
        disturbed=tuple(_disturbed(known)),
        standings=known.standings,
    )


def phase(known: Known) -> str:
    """Of the run at work, by the files that are there."""
    if known.over:
        return "over"
    if known.at_work is None:
        ended = [run.status is not None for run in known.runs]
        return "making the report" if all(ended) else "between two runs" if any(ended) else "getting ready"
    if JOB not in known.files:
        return "making the reference"
    lasts = known.progress is not None and known.progress.lasts_s  # then client.json is a checkpoint
    if CLIENT in known.files and not lasts:
        return "collecting"  # what only the run itself needed is removed meanwhile
    if PIDS not in known.files:
        return "starting"
    return "load" if PROGRESS in known.files else "loading models"


def time_left(known: Known) -> eta.Left:
    """Until the sweep ends, going by what runs took so far."""
    runs = known.runs
    now = next((run for run in runs if run.num == known.at_work), None)
    to_come = [run for run in runs if run.status is None and run is not now]
    ended = [
        eta.Ended(run.key, run.ended - run.began, run.load_s)
        for run in runs
        if run.status is not None and run.began is not None and run.ended is not None
    ]
    at_work = None
    if now is not None and now.began is not None:
        progress, phase_now = known.progress, phase(known)
        since = max(0.0, known.now - now.began)
        load_s = progress.load_s if progress is not None else None
        share = progress.share if progress is not None else None
        at_work = eta.AtWork(_ahead(now, known), since, load_s, share, phase_now == "collecting")
    elif now is not None:
        to_come = [now, *to_come]
    if known.over:
        return eta.Left(None, 0.0)
    firsts, others = _gaps(runs)
    ahead, met = [], {run.key for run in runs if run not in to_come}
    for run in to_come:
        seen = (firsts if run.key not in met else None) or others
        ahead.append(replace(_ahead(run, known), gap_s=median(seen) if seen else None))
        met.add(run.key)
    last = max((run.ended for run in runs if run.ended is not None), default=None)
    if ahead and at_work is None and last is not None and (gap_s := ahead[0].gap_s) is not None:
        ahead[0] = replace(ahead[0], gap_s=max(0.0, gap_s - (known.now - last)))  # some of it has passed
    return eta.left(ended, at_work, ahead)


def _ahead(run: RunSeen, known: Known) -> eta.Ahead:
    return eta.Ahead(run.key, known.expected.get(run.key))


def _gaps(runs: Sequence[RunSeen]) -> tuple[list[float], list[float]]:
    """From the end of each run to the beginning of the next, in s: before the first run of a configuration, for which
    a reference may have to be made, and before others."""
    made = sorted((run for run in runs if run.began is not None), key=lambda run: run.began or 0.0)
    firsts, others = list[float](), list[float]()
    met = {run.key for run in made[:1]}
    for before, run in pairwise(made):
        if before.ended is not None and run.began is not None:
            (others if run.key in met else firsts).append(max(0.0, run.began - before.ended))
        met.add(run.key)
    return firsts, others


def _where(known: Known) -> str:
    total = len(known.runs)
    ended = sum(run.status is not None for run in known.runs)
    now = next((run for run in known.runs if run.num == known.at_work), None)
    if now is None:
        return f"{ended} of {total} runs have ended"
    trial = f", trial {now.trial}" if known.trials == "auto" or known.trials != 1 else ""
    return f"run {min(ended + 1, total)} of {total}: {now.key}{trial}"


def _requests(progress: Progress) -> str:
    failed = f", {progress.failed} failed" if progress.failed else ""
    if progress.of is None:
        return f"{progress.done} requests, {progress.heard_s:.0f} s of audio{failed}"
    audio = f", {progress.heard_s:.0f} of {progress.of_s:.0f} s of audio" if progress.of_s else ""
    return f"{progress.done} of {progress.of} requests{audio}{failed}"


def _disturbed(known: Known) -> list[str]:
    """What may spoil the run at work: who else uses the CPUs, what the host takes, paging, a monitor that is silent."""
    found = []
    rates = [_rates(a, b, known.cpus) for a, b in pairwise(known.others)]
    most = {name: max(rate.get(name, 0.0) for rate in rates) for name in sorted({n for rate in rates for n in rate})}
    for name, rate in sorted(most.items(), key=lambda pair: -pair[1]):
        if rate >= NOTICED:
            found.append(f"{name} used {rate:.2f} CPUs (now {rates[-1].get(name, 0.0):.2f})")
    others = [tick.others for tick in known.ticks if tick.others is not None]
    if not found and others and median(others) >= NAMELESS:
        found.append(f"others used {median(others):.2f} CPUs (now {others[-1]:.2f})")
    stolen = [tick.stolen for tick in known.ticks if tick.stolen is not None]
    if stolen and max(stolen) >= NOTICED:
        found.append(f"the host took {100 * max(stolen):.0f} % (now {100 * stolen[-1]:.0f} %)")
    if known.ticks and known.ticks[-1].swapped_in_mb >= 1:
        found.append(f"{known.ticks[-1].swapped_in_mb:.0f} MB were read back from swap")
    if known.ticked is not None and phase(known) == "load" and known.now - known.ticked > LOST_S:
        found.append(f"no sign of life for {known.now - known.ticked:.0f} s")
    return found


def _rates(before: Look, after: Look, cpus: float | None) -> dict[str, float]:
    """CPUs used between two looks, of names that both have. What a process used is counted when it has ended, if nobody
    saw it before, so that it may seem to have used more than there are."""
    took, most = after.time_s - before.time_s, cpus or float("inf")
    if took <= 0:
        return {}
    both = after.cpu_s.keys() & before.cpu_s.keys()
    return {name: min(most, (after.cpu_s[name] - before.cpu_s[name]) / took) for name in both}
