"""From measured runs to a model of the server: how long segments take, what the gateway and memory cost. Pure."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median
from typing import Literal

import numpy as np

from capsexp.analysis.figures import Figures
from capsexp.analysis.scaling import NEEDS_A_CORE, Fit, Law, MemoryModel, Vector
from capsexp.load.pacing import REALTIME
from capsexp.results.rows import RequestRow, SegmentRow, WorkerRow
from capsexp.results.run import Run

FEWEST_LENGTHS = 3  # of segments, from which on what each takes besides its audio is told from what its audio takes
MOST_FACTORS = 2000


@dataclass(frozen=True)
class Measured:
    """A run that went well, with its tables. `waited_s`: that workers' threads waited for a CPU (see monitor.csv)."""

    run: Run
    figures: Figures
    requests: list[RequestRow] = field(repr=False, default_factory=list)
    segments: list[SegmentRow] = field(repr=False, default_factory=list)
    workers: list[WorkerRow] = field(repr=False, default_factory=list)
    waited_s: float = 0.0

    @property
    def recognized(self) -> list[SegmentRow]:
        return [s for s in self.segments if s["status"] == "ok" and (s["compute_s"] or 0) > 0]

    @property
    def pacing(self) -> str:
        return REALTIME if any(r.get("stop_s") is not None for r in self.requests) else "burst"

    @property
    def at_work(self) -> float:
        """Mean number n of workers at work while a segment is recognized: the integral of n squared over that of n."""
        edges = sorted(edge for s in self.recognized for edge in ((s["started_s"], 1), (s["finished_s"], -1)))
        n, once, squared = 0, 0.0, 0.0
        for (at, step), (after, _) in pairwise(edges):
            n += step
            once, squared = once + n * (after - at), squared + n * n * (after - at)
        return squared / once if once else 1.0


def server_of(run: Run) -> str:
    """Equal for runs whose servers differ in the number of workers, and in how segments are given to them, only."""
    groups = [run.group(name) for name in ("engine", "punctuation", "placement")]
    return json.dumps([run.engine, run.pool, run.threads, groups], sort_keys=True)


@dataclass(frozen=True)
class ServiceTimes:
    """Time to recognize a segment, in s: (`fixed_s` + `of_audio` x its audio in s + `of_new` x the audio in s that no
    earlier segment held) x a factor drawn from the measured spread (`factors`)."""

    fixed_s: float
    of_audio: float
    of_new: float
    factors: tuple[float, ...]

    def mean_s(self, audio_s: float, new_s: float) -> float:
        return self.fixed_s + self.of_audio * audio_s + self.of_new * new_s

    def __call__(self, audio_s: float, new_s: float, chance: random.Random) -> float:
        return self.mean_s(audio_s, new_s) * chance.choice(self.factors)


@dataclass(frozen=True)
class Model:
    """`keys`: the configurations that it was made of. `service`: times of a worker alone. `law`: speed of all workers
    against the number at work; `at_work`: the mean numbers of the runs that it was fitted to; `sigma`: given by the
    user in place of its coefficients. `needs_cores`: a worker at work uses a core for each of its threads. `gateway_s`:
    CPU seconds per second of audio, by pacing. `memory`: the peak, from a single number of workers with `one_count`.
    `load_s`: seconds until a worker is ready; `node_s`: until a server is."""

    keys: tuple[str, ...]
    engine: str
    pool: str
    threads: int
    cores: int
    service: ServiceTimes
    law: Law
    needs_cores: bool
    gateway_s: Mapping[str, float]
    ingest_s: float
    delivery_s: float
    memory: MemoryModel | None
    load_s: float
    node_s: float
    segments: int
    at_work: tuple[int, ...]
    one_count: bool = False
    sigma: float | None = None

    def workers_on(self, cores: int) -> int | None:
        """How many have cores of their own; None where they need none."""
        return max(1, cores // self.threads) if self.needs_cores else None

    def slowdown(self, workers: int, cores: int, servers: int = 1) -> tuple[float, ...]:
        """How many times as long a segment takes while n workers of a server work, n from 0, as many in each of
        `servers` on a machine. Beyond its cores they share them, as they did beyond those of the measured one."""
        most = self.workers_on(cores)
        return tuple(self._slow(max(1, n) * servers, most) for n in range(workers + 1))

    def _slow(self, n: int, most: int | None) -> float:
        own = n if most is None else min(n, most)
        shared = self.law.beyond if own < n else 1.0
        return n / (self._speed(own) * shared)

    def _speed(self, n: int) -> float:
        """Of `n` workers at work on cores of their own, in workers' worth."""
        if self.sigma is None:
            return self.law.uncapped(n)
        return self.law.uncapped(1) * n / (1 + self.sigma * (n - 1))

    def gateway_cost(self, pacing: str) -> float:
        """CPU seconds for a second of audio; of the other pacing where this one was not measured; 0: unknown."""
        return self.gateway_s.get(pacing, max(self.gateway_s.values(), default=0.0))

    def gateway_elsewhere(self, pacing: str) -> str | None:
        """The pacing that the gateway's cost is of, where this one was not measured."""
        return None if pacing in self.gateway_s else next(iter(self.gateway_s), None)

    def memory_mb(self, workers: int) -> float | None:
        return self.memory.at(workers) if self.memory else None


def fit(runs: Sequence[Measured]) -> Model:
    """Of runs of one server (see `server_of`), at least one with segments."""
    first = runs[0].run
    at_work = {id(one): max(1, round(one.at_work)) for one in runs}
    rows = [(one, s) for one in runs for s in one.recognized]
    slow = dict.fromkeys(at_work, 1.0)
    for _ in range(2):  # shape and speed of each run by turns
        x = np.array([[1.0, s["audio_s"], s["new_s"]] for _, s in rows])
        y = np.array([s["compute_s"] / slow[id(one)] for one, s in rows])
        found = _shape(x, y)
        for one in runs:
            own = one.recognized
            expected = sum(found.mean_s(s["audio_s"], s["new_s"]) for s in own)
            if expected:
                slow[id(one)] = sum(s["compute_s"] for s in own) / expected
    needs_cores = _needs_cores(runs)
    cap = max(1, int(first.cpu_count // first.threads)) if needs_cores else None
    points: dict[int, list[float]] = defaultdict(list)
    for one in runs:
        if one.recognized:
            points[at_work[id(one)]].append(at_work[id(one)] / slow[id(one)])
    peaks: dict[int, float] = {}
    for one in runs:
        if one.run.workers and one.figures.memory.peak_mb:
            peaks[one.run.workers] = max(one.figures.memory.peak_mb, peaks.get(one.run.workers, 0.0))
    return Model(
        keys=tuple(dict.fromkeys(one.run.key for one in runs)),
        engine=first.engine,
        pool=first.pool,
        threads=first.threads,
        cores=max(1, int(first.cpu_count)),
        service=found,
        law=Law({n: fmean(speeds) for n, speeds in points.items()}, cap),
        needs_cores=needs_cores,
        gateway_s=_gateway(runs),
        ingest_s=_typical(runs, _ingest),
        delivery_s=_typical(runs, _delivery),
        memory=MemoryModel(peaks) if len(peaks) > 1 else _of_one(peaks),
        load_s=_load(runs),
        node_s=median(one.run.phases_s.get("load_models", 0.0) for one in runs),
        segments=len(rows),
        at_work=tuple(sorted(points)),
        one_count=len(peaks) == 1,
    )


def _shape(x: Vector, y: Vector) -> ServiceTimes:
    """Least squares in relative errors, nothing negative. What cannot be told apart is put down to the audio."""
    columns = [1]
    if len({round(float(v), 1) for v in x[:, 1]}) >= FEWEST_LENGTHS:
        columns.insert(0, 0)
    if float(np.abs(x[:, 1] - x[:, 2]).max()) > 1e-6:
        columns.append(2)
    found = np.zeros(3)
    found[columns] = Fit(x[:, columns], y).coefficients
    factors = y / np.maximum(x @ found, 1e-9)
    # So that together they take what was measured.
    found *= float(y.sum() / (x @ found).sum() / factors.mean())
    every = max(1, len(factors) // MOST_FACTORS)
    fixed, of_audio, of_new = (float(v) for v in found)
    return ServiceTimes(fixed, of_audio, of_new, tuple(map(float, factors[::every])))


def _needs_cores(runs: Sequence[Measured]) -> bool:
    """By the CPU time that they had or waited for: beside other programs a worker gets less than it could use. Taken
    for granted where the monitor could not tell."""
    shares = [
        (one.figures.cpu.workers_s + one.waited_s) / (work * one.run.threads)
        for one in runs
        if one.figures.cpu.workers_s is not None and (work := sum(s["compute_s"] for s in one.recognized))
    ]
    return not shares or max(shares) >= NEEDS_A_CORE


def _gateway(runs: Sequence[Measured]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in runs:
        if one.figures.cpu.gateway_s is not None and one.figures.audio_s:
            found[one.pacing].append(one.figures.cpu.gateway_s / one.figures.audio_s)
    return {pacing: median(costs) for pacing, costs in found.items()}


def _typical(runs: Sequence[Measured], pick: Callable[[Measured], Iterable[float]]) -> float:
    values = [value for one in runs for value in pick(one)]
    return max(0.0, median(values)) if values else 0.0


def _ingest(one: Measured) -> Iterable[float]:
    """From when its user stopped speaking until the last segment of each request waited for a worker. Of files nobody
    knows what of it was the client's own doing."""
    last = _last(one.segments, "queued_s")
    for r in one.requests:
        if r["status"] == "ok" and r.get("stop_s") is not None and r["task_id"] in last:
            yield last[r["task_id"]] - r["stop_s"]


def _delivery(one: Measured) -> Iterable[float]:
    """From the end of its last segment until the client had the text."""
    last = _last(one.segments, "finished_s")
    for r in one.requests:
        if r["status"] == "ok" and r["task_id"] in last:
            yield r["final_s"] - last[r["task_id"]]


def _last(segments: Sequence[SegmentRow], column: Literal["finished_s", "queued_s"]) -> dict[str, float]:
    found: dict[str, float] = {}
    for s in segments:
        if s["status"] == "ok" and s[column] is not None:
            found[s["task_id"]] = max(s[column], found.get(s["task_id"], 0.0))
    return found


def _of_one(peaks: Mapping[int, float]) -> MemoryModel | None:
    """From one number of workers nobody knows what there is once: each is taken to need its share of all."""
    found = {n: mb * n / workers for workers, mb in peaks.items() for n in (workers, 2 * workers)}
    return MemoryModel(found) if found else None


def _load(runs: Sequence[Measured]) -> float:
    """What a worker takes until it is ready: the median over all starts."""
    taken = []
    for one in runs:
        started: dict[object, float] = {}
        for row in one.workers:
            if row["event"] == "started":
                started[row["pid"]] = row["time_s"]
            elif row["event"] == "ready" and row["pid"] in started:
                taken.append(row["time_s"] - started[row["pid"]])
    return median(taken) if taken else 0.0
