"""Runs -> how much each configuration carries, and which load to try next: what runs showed becomes probes, which
`capacity` decides. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from capsexp.analysis import saturation, slo
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.capacity import Band, Probe, Rule, band, bounds, decide, next_load
from capsexp.analysis.latency import Experience
from capsexp.analysis.slo import Limit
from capsexp.results.report import Capacity, CapacityProbe, Configuration, Meaning
from capsexp.results.run import SETTINGS, Run

WITHIN_S = (0.5, 1.0, 2.0, 5.0)
SHARE = 0.05  # that may be later, whatever "real time" is taken to mean
DEAD = "a dead worker"
FRUITLESS = 3  # runs in a row that count for nothing
BUDGET = "search.budget_s"


@dataclass(frozen=True)
class Settings:
    """`over`: the key that is searched, `step`: what one of it is; `most_runs`: of a load, disturbed ones included."""

    over: str
    step: float
    rule: Rule
    slo: Mapping[str, Any]
    most_runs: int

    @classmethod
    def of(cls, search: Mapping[str, Any], promised: Mapping[str, Any], trials_max: int) -> Settings:
        rule = Rule(
            {limit.name: limit.allowed for limit in slo.limits(promised)},
            risk=search["risk"], looks=search["looks"], most=search["most"], precision=search["precision"],
            confirm=search["confirm"],
        )  # fmt: skip
        most_runs = max(trials_max, max(rule.looks, rule.confirm) + FRUITLESS)
        return cls(search["over"], search["step"], rule, promised, most_runs)


def split(key: str, over: str) -> tuple[str, str]:
    """A run's key without its load, and its load as it stands there; two empty texts where it has none."""
    parts = key.split(",")
    said = [part for part in parts if part.startswith(f"{over}=")]
    return (",".join(part for part in parts if part not in said), said[0].partition("=")[2]) if said else ("", "")


def searches(
    observed: Sequence[Observed], configurations: Sequence[Configuration], settings: Settings
) -> tuple[Capacity, ...]:
    """What has been found of each configuration, in the order in which they began."""
    groups: dict[str, list[Observed]] = defaultdict(list)
    for one in observed:
        name, load = split(one.run.key, settings.over)
        if load:
            groups[name].append(one)
    by_key = {c.key: c for c in configurations}
    return tuple(_search(name, runs, by_key, settings) for name, runs in groups.items())


def _search(name: str, runs: Sequence[Observed], by_key: Mapping[str, Configuration], settings: Settings) -> Capacity:
    rule, by_load = settings.rule, defaultdict[int, list[Observed]](list)
    for one in runs:
        by_load[_load(one, settings)].append(one)
    means = [*(Limit("stop_to_text_p95_s", within) for within in WITHIN_S), Limit(slo.SHARE, SHARE)]
    limits = slo.limits(settings.slo)
    probes = [made for load, own in sorted(by_load.items()) if (made := _probe(load, own, limits, means))]
    found, following = band(probes, rule), next_load(probes, replace(rule, start=_start(runs, settings)))
    stopped = None
    if following is not None:
        stopped = _untold(probes, settings) or _stopped(by_load.get(following, ()), settings)
    best = by_key.get(by_load[found.feasible_max][0].run.key) if found.feasible_max else None
    workers = runs[0].run.workers
    return Capacity(
        key=name or alone(runs[0].run.group("server").get("name"), runs[0].run.config["workers"]),
        name=name,
        over=settings.over,
        slo={limit.name: limit.value for limit in limits},
        feasible_max=_sized(found.feasible_max, settings),
        infeasible_min=_sized(found.infeasible_min, settings),
        resolved=found.resolved,
        binding=found.binding,
        workers=workers,
        fault=_fault(runs[0].run),
        per_worker=found.feasible_max * settings.step / workers if workers and found.feasible_max else None,
        peak_memory_mb=best.value("peak_memory_mb") if best else None,
        probes=tuple(_shown(probe, by_load[probe.load], settings) for probe in probes),
        meanings=tuple(_meanings(probes, means, runs, by_load, settings)),
        next=None if following is None or stopped else _sized(following, settings),
        trial=1 + max((one.run.trial for one in by_load.get(following or 0, ())), default=0),
        stopped=stopped,
    )  # fmt: skip


def _fault(run: Run) -> str:
    """What its runs had to withstand."""
    return DEAD if run.keeps_away else run.fault


def _load(one: Observed, settings: Settings) -> int:
    """In steps."""
    return max(1, round(float(split(one.run.key, settings.over)[1]) / settings.step))


def _start(runs: Sequence[Observed], settings: Settings) -> int:
    """Where nothing has passed or failed yet: the load that was begun with."""
    return _load(min(runs, key=lambda one: one.run.num), settings)


def _sized(load: int | None, settings: Settings) -> float | None:
    return None if load is None else load * settings.step


def _probe(load: int, runs: Sequence[Observed], limits: Sequence[Limit], means: Sequence[Limit]) -> Probe | None:
    """Of the runs that count; a text that is wrong is so in any run, and a server that broke down carries nothing."""
    valid = [one.figures.felt.each for one in runs if _tells(one) and one.figures]
    wrong = sum(one.judged.wrong_count for one in runs if one.judged)
    wrong += sum(one.run.status == "failed" and not one.run.failed_by_us for one in runs)
    if not valid and not wrong:
        return None
    named = {limit.name: limit for limit in limits} | {_meaning(limit): limit for limit in means}
    return Probe(load, max(1, len(valid)), {name: _witnesses(valid, limit) for name, limit in named.items()}, wrong)


def _tells(one: Observed) -> bool:
    """It counts, and what was to be done to the server was done."""
    return one.counts and (one.run.fault == "none" or one.effect is None or one.effect.injected != 0)


def _witnesses(runs: Sequence[Sequence[Experience]], limit: Limit) -> Any:
    return tuple(stretch for run in runs for stretch in slo.stretches(run, limit))


def _untold(probes: Sequence[Probe], settings: Settings) -> str | None:
    """Why no load would decide: of a limit no request tells, however many there are."""
    tried = [probe for probe in probes if not probe.wrong]
    untold = [name for name in settings.rule.allowed if not any(probe.stretches[name] for probe in tried)]
    if tried and untold:
        return f"no request counts for {', '.join(untold)}; leave it out, or use other samples or another load"
    return None


def _stopped(runs: Sequence[Observed], settings: Settings) -> str | None:
    """Why what would be tried next is not: it was, and too many of its runs count for nothing."""
    if runs and runs[-1].run.failure == SETTINGS:
        return f"{runs[-1].run.key} cannot be run as it is set: {runs[-1].run.error}"
    useless = [not _tells(one) for one in runs]
    if len(useless) >= FRUITLESS and all(useless[-FRUITLESS:]):
        return f"the last {FRUITLESS} runs of {runs[0].run.key} {_USELESS}"
    if len(runs) >= settings.most_runs:
        return f"{runs[0].run.key} was run {len(runs)} times, and {sum(useless)} of these {_USELESS}"
    return None


_USELESS = "do not count: they were disturbed, failed for reasons outside the server, or ended before the fault"


def alone(server: object, workers: object) -> str:
    """What a configuration is called where nothing is varied. How many workers a server that runs already has, nobody
    said."""
    return "external" if server == "external" else f"workers={workers}"


def _shown(probe: Probe, runs: Sequence[Observed], settings: Settings) -> CapacityProbe:
    own = {name: probe.stretches[name] for name in settings.rule.allowed}
    requests = {name: sum(s.requests for s in each) for name, each in own.items()}
    late = {name: sum(s.late for s in each) for name, each in own.items()}
    return CapacityProbe(
        key=runs[0].run.key, load=probe.load * settings.step, runs=probe.trials, requests=requests, late=late,
        wrong=probe.wrong, verdict=decide(probe, settings.rule),
    )  # fmt: skip


def _meaning(limit: Limit) -> str:
    return "text in as long as it lasts" if limit.tag == slo.SHARE else f"text within {limit.value:g} s"


def _meanings(
    probes: Sequence[Probe],
    means: Sequence[Limit],
    runs: Sequence[Observed],
    by_load: Mapping[int, Sequence[Observed]],
    settings: Settings,
) -> list[Meaning]:
    """The bands of the same probes under what else "real time" is taken to mean; of no more than was tried."""
    found = []
    for limit in means:
        name = _meaning(limit)
        told = [probe for probe in probes if probe.wrong or probe.stretches[name]]
        if told:
            found.append(_said(name, band(told, replace(settings.rule, allowed={name: SHARE}, confirm=1)), settings))
    valid = {load: [o.figures.felt.each for o in own if _tells(o) and o.figures] for load, own in by_load.items()}
    carried = saturation.carried({load: each for load, each in valid.items() if each})
    if carried is not None:
        low, saturated = carried
        most, reached = floor(low), max(load for load, each in valid.items() if each)
        known = Band(min(most, reached), most + 1 if saturated else None, None, saturated)
        found.insert(len(WITHIN_S) if len(found) > len(WITHIN_S) else len(found), _said(GROWS, known, settings))
    return found


GROWS = "lag that does not grow"


def _said(name: str, found: Band, settings: Settings) -> Meaning:
    return Meaning(
        name=name, feasible_max=_sized(found.feasible_max, settings),
        infeasible_min=_sized(found.infeasible_min, settings), resolved=found.resolved,
    )  # fmt: skip


def most_late(requests: int, allowed: float, risk: float) -> int:
    """The number of late requests at which a run may end: twice the smallest number that already breaks the limit,
    because requests in one queue are late together. Uses half the risk, as a first look does."""
    from capsexp.analysis.capacity import Stretch

    breaking = (n for n in range(1, requests) if bounds([Stretch(requests, n)], risk / 2)[0] > allowed)
    count = next(breaking, requests)  # where not even all of them break it in one run
    return min(requests, 2 * count)
