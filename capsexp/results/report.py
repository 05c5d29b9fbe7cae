"""The report: what report.json holds (schema 2), typed. Its JSON schema is shipped beside this file.

Values are immutable; analyses make new ones with `msgspec.structs.replace`. Units are in the names; MB are 2**20 bytes,
shares go from 0 to 1, and what is not known is None. It is one long file, as it is one contract: the JSON schema that
others rely on is made of it, and it is read beside that.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from capsexp.results.run import SampleFacts, Tree
from capsexp.results.verdicts import Reading, Status, Verdict

SCHEMA = 2
Interval: TypeAlias = tuple[float, float]
Unit = Literal["trials", "pairs", "requests", "samples"]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's value, with its 95 % interval, from `n` of what `of` says (pairs: trials that both of the compared
    have). `values`: those of the trials or pairs, where it is made of them; `decides`: with trials=auto the wider
    interval that verdicts go by, as it is looked at after each trial."""

    value: float | None = None
    ci95: Interval | None = None
    decides: Interval | None = None
    n: int = 0
    of: Unit = "trials"
    values: tuple[float, ...] = ()


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on a metric, applied. `trials`: how many would decide what is INCONCLUSIVE (with trials=auto: runs, those
    that do not count included, as trials_max is), `more`: of these, how many are still to be made; `tier`: a word for
    how good the value is."""

    metric: str
    value: float | None
    limit: float
    verdict: Reading
    reason: str | None = None
    ci95: Interval | None = None
    tier: str | None = None
    trials: int | None = None
    more: int | None = None


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Over all trials. `identical`: right, and equal to the reference's texts; `unsure`: not known, as the server alone
    answers their sample in two ways; `unlike`: how (nearly) all texts differ
    from it although nothing is missing in them, `spelling` or `engine`."""

    total: int = 0
    completed: int = 0
    identical: int | None = None
    unsure: int = 0
    unlike: str | None = None


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is not right."""

    request: int
    sample: str
    reason: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run's figures are not the server's own: a code, the figure with the limit that it broke, and where one is
    known the setting that helps."""

    code: str
    reason: str
    remedy: str | None = None


class RunValidity(msgspec.Struct, frozen=True, kw_only=True):
    num: int | None
    trial: int
    valid: bool
    reasons: tuple[Reason, ...] = ()


class Validity(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a configuration's runs count, and each of them."""

    valid: int = 0
    invalid: int = 0
    runs: tuple[RunValidity, ...] = ()

    @property
    def nums(self) -> frozenset[int]:
        """Of the valid runs."""
        return frozenset(run.num for run in self.runs if run.valid and run.num is not None)


class IsoResource(msgspec.Struct, frozen=True, kw_only=True):
    """Against one worker that may use as many cores; `reason`: why there is none."""

    baseline: str | None = None
    speedup: Estimate = Estimate(of="pairs")
    reason: str | None = None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of a typical run's measured phase: each worker busy, no segment waiting, gateway and client busy (of one
    CPU), the client waiting with nothing left to send. `threads_at_work`: of the server's processes, the median over
    the ticks of the monitor: what a server whose workers are threads does not tell otherwise."""

    workers_busy: tuple[float, ...] = ()
    queue_empty: float | None = None
    gateway_busy: float | None = None
    client_busy: float | None = None
    client_waiting: float | None = None
    threads_at_work: float | None = None


class GpuUse(msgspec.Struct, frozen=True, kw_only=True):
    """Of the GPUs on which a process of the server was seen. `memory_mb`: the most that the server's processes held at
    one look, None where it is not known of all of them; `device_memory_mb`: the most that anybody held; utilization and
    power: means over the measured phase of the mean (of the sum) of these GPUs."""

    memory_mb: float | None = None
    device_memory_mb: float | None = None
    utilization_percent: float | None = None
    power_w: float | None = None


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    mb_per_h: float | None = None
    ci95: Interval | None = None


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """Slope of the server's steady memory, and of each role's; `steady_s`: how long the steady state was."""

    mb_per_h: float | None = None
    ci95: Interval | None = None
    roles: dict[str, Slope] = {}
    steady_s: float | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    median: float | None = None
    max: float | None = None


class FaultSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What injected faults did, summed over trials. `without`: the configuration that differs only in having none, and
    `slowdown` against it."""

    kind: str = "none"
    injected: int | None = 0
    lost: int | None = 0
    told: int | None = 0
    duplicated: int | None = 0
    wrong: int | None = 0
    again: int | None = 0
    recovery_s: Recovery = Recovery()
    unrecovered: int = 0
    throughput_rtfx: float | None = None
    without: str | None = None
    slowdown: float | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that measured something else than the others."""

    trial: int
    num: int | None
    why: str


class LoadPart(msgspec.Struct, frozen=True, kw_only=True):
    """A class of a mixed load (`kind`), a step of a ramp, or one of the other. Times are from when things were due;
    `late_rtfx`: of audio whose text came later than it lasts after its end, or not at all."""

    kind: str | None = None
    step: int | None = None
    requests: int = 0
    completed: int = 0
    offered_rtfx: float | None = None
    achieved_rtfx: float | None = None
    late_rtfx: float | None = None
    stop_to_text_p50_s: float | None = None
    stop_to_text_p95_s: float | None = None
    turnaround_p50_s: float | None = None
    turnaround_p95_s: float | None = None


class SloResult(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the SLO, applied: on `metric`, of a class of requests (`kind`) or of all. `allowed`: the share of
    requests that may be beyond it; `late` of `requests` were, and the share lies within `late_ci`."""

    name: str
    metric: str
    kind: str | None = None
    limit: float
    allowed: float
    value: float | None = None
    requests: int = 0
    late: int = 0
    late_ci: Interval | None = None
    verdict: Reading
    reason: str | None = None


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """Out of the race for what is recommended (search=race), after so many `trials`: `by` which other one, and why."""

    trials: int
    by: str | None = None
    why: str


class Unpinned(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration with pinned workers against the one that differs only in placement=none."""

    key: str
    speedup: Estimate


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one key, compared with its baseline and judged."""

    key: str
    baseline: str | None = None
    role: str | None = None
    workers: int | None = None
    workers_requested: int | str | None = None
    threads: int | None = None
    pool: str | None = None
    placement: str = "none"
    pinned: tuple[str, ...] = ()  # the CPUs of each worker, as the kernel lists them
    engine: str | None = None
    target: str | None = None
    ignored: tuple[str, ...] = ()  # in what texts may differ from the reference's (target.ignore)
    load: str | None = None
    dispatch: str | None = None
    schedule: str | None = None
    status: Status = Status.OK
    errors: tuple[str, ...] = ()
    failure: str | None = None
    trials: int = 0
    metrics: dict[str, Estimate] = {}
    memory_metric: str | None = None
    requests: Requests = Requests()
    wrong: tuple[Wrong, ...] = ()
    wrong_count: int = 0
    validity: Validity = Validity()
    iso_resource: IsoResource | None = None
    unpinned: Unpinned | None = None
    dropped: Dropped | None = None
    timeline: Timeline | None = None
    leak: Leak = Leak()
    gpu: GpuUse | None = None
    fault: FaultSummary = FaultSummary()
    left_out: tuple[LeftOut, ...] = ()
    unlike_baseline: tuple[str, ...] = ()
    node: str | None = None  # the kind of node that it was made on
    no_baseline: str | None = None  # why it is compared with none
    adds_workers: bool = True
    timed: bool = False
    parts: tuple[LoadPart, ...] = ()
    incomplete: str | None = None
    gates: tuple[GateResult, ...] = ()
    slo: tuple[SloResult, ...] = ()
    caveats: tuple[str, ...] = ()
    verdict: Verdict = Verdict.INCONCLUSIVE

    def metric(self, tag: str) -> Estimate:
        """Empty where it is not known."""
        return self.metrics.get(tag) or Estimate()

    def value(self, tag: str) -> float | None:
        return self.metric(tag).value


class ReferenceRun(msgspec.Struct, frozen=True, kw_only=True):
    """The same work by the same engine without a server, with so many processes at once; or (`kind` server) by the
    server itself (`target`, `workers`), which was asked one request at a time. `trials`: in how many it was timed;
    nothing where it was once in the sweep."""

    engine: str | None
    threads: int
    processes: int | None
    kind: str = "engine"
    target: str | None = None
    workers: int | str | None = None
    deterministic: bool = True
    throughput_rtfx: float | None
    ci95: tuple[float, float] | None = None
    trials: int | None = None
    makespan_s: float
    load_s: float | None = None
    hash: str = ""


class ReferenceCost(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that making the texts took, and timing plain processes before runs; and that all runs took, with that."""

    texts_s: float
    timed_s: float
    runs_s: float


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """Of the Universal Scalability Law; `rate`: RTFx of one worker (lambda)."""

    rate: float
    sigma: float
    kappa: float


class MemoryLine(msgspec.Struct, frozen=True, kw_only=True):
    base_mb: float
    per_worker_mb: float
    limit_mb: float | None = None
    largest_within_limit: int | None = None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """Of what was not measured."""

    workers: int
    throughput_rtfx: float
    throughput_ci95: Interval | None = None
    peak_memory_mb: float | None = None
    peak_ci95: Interval | None = None
    predicted: bool = True


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Workers recommended for a machine of another size, by prediction; 0: none fits."""

    memory_gb: int
    cpus: int
    workers: int
    predicted: bool = True


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """Fits of a group that differs in workers only, and what follows from them. `enough`: counts of workers to predict
    anything; `guess`: the law is fitted to few of them (`fitted`)."""

    threads: int
    pool: str
    engine: str
    keys: tuple[str, ...]
    counts: tuple[int, ...]
    fitted: int
    guess: bool
    enough: bool
    uses_cpu: bool | None
    cap_workers: int | None
    beyond_cap: float | None
    law: Law | None
    memory: MemoryLine | None
    predicted: tuple[Prediction, ...]
    by_machine: tuple[Machine, ...]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool that shares the model saves against pool `process`."""

    against: str
    peak_mb: float
    share: float
    throughput: float


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The next larger number of workers: what it adds, and what speaks against it."""

    workers: int
    gain: float | None
    more_mb: float | None
    predicted: bool
    but: str | None = None


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How to start what was measured: a command for a shell, a YAML file for --config-dir, what to know beside them."""

    command: str | None = None
    yaml: str | None = None
    note: str | None = None


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """`decided`: whether the trials decide it, or it is only likely; `open`: what is not decided."""

    key: str
    workers: int
    threads: int
    pool: str
    decided: bool
    reason: str
    command: str | None = None
    open: tuple[str, ...] = ()
    saved: Saved | None = None
    next: Step | None = None
    next_sentence: str | None = None
    binds: str | None = None
    server: Start = Start()


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """For a group of configurations that differ only in the server's settings; `reason`: why nothing is recommended."""

    group: str
    recommendation: Recommendation | None = None
    reason: str | None = None


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """What would decide what is open: the sweep resumed with these overrides, or (None) another one."""

    note: str
    command: str | None = None
    overrides: tuple[str, ...] | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that was changed after the runs were made."""

    name: str
    before: Any = None
    now: Any = None


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """What another trial of a configuration, `beside` one of those it is compared with, can still change."""

    key: str
    beside: tuple[str, ...]
    why: str
    race: bool = False  # a round of search=race, before trials=auto asks
    recommended: bool = False  # what is recommended may change, not only a verdict


class TrialsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: why trials=auto made no more; `open`: what more of them could change; `unpursued`: whose verdict is
    open and changes nothing that is recommended."""

    asked: int | str = 1
    max: int = 1
    stopped: str | None = None
    open: tuple[Open, ...] = ()
    unpursued: tuple[str, ...] = ()


class CapacityProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was tried, in so many runs that count. By limit: the `requests` that tell of it, and how many of them
    were late; `wrong`: requests whose text was not right, or never came. `key`: of its configuration."""

    key: str
    load: float
    runs: int
    requests: dict[str, int]
    late: dict[str, int]
    wrong: int = 0
    verdict: Reading


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """The band by the same runs, where "real time" is taken to mean something else than the SLO."""

    name: str
    feasible_max: float | None
    infeasible_min: float | None
    resolved: bool


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The band in which the most users (or requests per second) lie whose SLO holds and whose texts are right: of
    `over`, the setting that was searched. `key`: what it is called; `name`: what the keys of its runs say beside the
    load, nothing where only that is varied; `fault`: what the server had to withstand. `per_worker`: of feasible_max;
    `peak_memory_mb`: of the runs of that. `next`, `trial`: the load, and which of its runs, that would narrow it;
    `stopped`: why it is not tried."""

    key: str
    name: str = ""
    over: str = "load.users"
    slo: Tree
    workers: int | None = None
    fault: str = "none"
    per_worker: float | None = None
    peak_memory_mb: float | None = None
    probes: tuple[CapacityProbe, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    next: float | None = None
    trial: int = 1
    stopped: str | None = None
    feasible_max: float | None
    infeasible_min: float | None
    resolved: bool
    binding: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a sweep came to."""

    schema: int = SCHEMA
    name: str
    verdict: Verdict
    valid: bool
    interrupted: bool
    unfinished: bool
    trials: TrialsAsked
    warnings: tuple[str, ...]
    environment: Tree
    samples: tuple[SampleFacts, ...]
    thresholds: Tree
    slo: Tree = {}
    thresholds_changed: tuple[Change, ...]
    validity_limits: Tree
    reference: tuple[ReferenceRun, ...]
    reference_cost: ReferenceCost | None = None
    configurations: tuple[Configuration, ...]
    diagnosis: dict[str, tuple[str, ...]]
    scaling: tuple[Scaling, ...]
    recommendation: Recommendation | None
    advice: tuple[Advice, ...]
    decide: Decide | None
    capacity: tuple[Capacity, ...] = ()
