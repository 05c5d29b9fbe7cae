"""Predicting a measured run by a model that was not made of it, and what the error was. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

import msgspec
import numpy as np

from capsexp import load as loads
from capsexp.errors import ConfigError
from capsexp.load import Clip, Given, LoadConfig
from capsexp.load.pacing import REALTIME
from capsexp.load.seeds import Seeds
from capsexp.plan.fit import Measured, Model, fit
from capsexp.results.run import Run
from capsexp.simulation import Outcome, Server, simulate

SEEDS = 5  # simulations of each run: what a segment takes is drawn anew


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Of a figure: what was predicted and what was measured, of so many requests (`n`)."""

    metric: str
    predicted: float
    measured: float
    n: int

    @property
    def share(self) -> float:
        """Predicted / measured - 1."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, predicted by a model that was made of `by`; `trial`: one of its own trials."""

    key: str
    by: tuple[str, ...]
    errors: tuple[Error, ...]
    trial: int | None = None


@dataclass(frozen=True)
class Settings:
    """How a server gives out segments, as `conf/server/local.yaml` has it."""

    dispatch: str = "segment"
    schedule: str = "fifo"
    passed_over_s: float = 10.0
    max_queue: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        return cls(**{each.name: config[each.name] for each in fields(cls) if each.name in config})


def server(
    model: Model, settings: Settings, workers: int, pacing: str, cores: int | None = None, servers: int = 1
) -> Server:
    """To be simulated: one of `servers` alike on a machine with so many cores, by default those of the measured one."""
    return Server(
        workers,
        model.service,
        slowdown=model.slowdown(workers, cores or model.cores, servers),
        gateway_s=model.gateway_cost(pacing),
        ingest_s=model.ingest_s if pacing == REALTIME else 0.0,
        delivery_s=model.delivery_s,
        **vars(settings),
    )


def load_of(run: Run) -> LoadConfig:
    """The load of a run with what its sweep settled; raises ConfigError for one that no simulation knows."""
    said = dict(run.group("load"))
    kind = loads.LOADS.settings(str(said.get("name", "all")))
    if kind.reads:
        raise ConfigError(f"load={said['name']} reads a file, which is not simulated")
    known = {each.name for each in fields(kind)}
    settled = {"repeats": run.repeats or said.get("repeats", 1), "concurrency": run.concurrency or 0}
    return kind(**{key: value for key, value in {**said, **settled}.items() if key in known})


def clips_of(run: Run) -> tuple[Clip, ...]:
    """The samples of a run, in the order in which its load counts them."""
    return tuple(Clip(sample.name, sample.duration_s) for sample in run.samples)


def outcomes(model: Model, one: Run, seeds: int = SEEDS) -> list[Outcome]:
    """A measured run, simulated: the same requests at the same times. Raises ConfigError."""
    load, clips = load_of(one), clips_of(one)
    turns = loads.plan(load, Given(clips, Seeds.of(load, one.trial)))
    pacing = REALTIME if any(turn.pacing == REALTIME for turn in turns) else "burst"
    made = server(model, Settings.of(one.group("server")), one.workers or 1, pacing)
    return [simulate(made, clips, turns, load, seed) for seed in range(seeds)]


def errors(model: Model, runs: Sequence[Measured]) -> Iterator[Error]:
    """Of all trials of a configuration together: throughput, and what its users feel at the 95th percentile."""
    predicted = [outcomes(model, one.run) for one in runs]
    speeds = [value for each in predicted for one in each if (value := one.throughput_rtfx)]
    known = [one.figures.throughput_rtfx for one in runs if one.figures.throughput_rtfx]
    requests = sum(len(one.requests) for one in runs)
    if speeds and known:
        yield Error(metric="throughput_rtfx", predicted=fmean(speeds), measured=fmean(known), n=requests)
    spoken = [value for one in runs for value in one.figures.felt.stop_to_text_s]
    whole = [value for one in runs for value in one.figures.durations.turnaround_s]
    name, measured = ("stop_to_text", spoken) if spoken else ("turnaround", whole)
    times = [value for each in predicted for one in each for value in one.times(name)]
    if times and measured:
        for percent in (50, 95):
            found = (float(np.percentile(values, percent)) for values in (times, measured))
            yield Error(metric=f"{name}_p{percent}_s", predicted=next(found), measured=next(found), n=len(measured))


def check(runs: Sequence[Measured]) -> list[Checked]:
    """Leave-one-out validation: each configuration is predicted by a model of the others; with a single configuration,
    each of its first three trials by a model of the other trials. Empty where nothing else was measured, or a load
    cannot be simulated."""
    keys = dict.fromkeys(one.run.key for one in runs)
    found = []
    if len(keys) > 1:
        for key in keys:
            own = [one for one in runs if one.run.key == key]
            found += _checked(key, own, [one for one in runs if one.run.key != key], None)
    else:
        for one in runs[:3]:
            found += _checked(one.run.key, [one], [other for other in runs if other is not one], one.run.trial)
    return found


def _checked(key: str, own: Sequence[Measured], others: Sequence[Measured], trial: int | None) -> list[Checked]:
    if not any(other.recognized for other in others):
        return []
    model = fit(others)
    try:
        return [Checked(key=key, by=model.keys, errors=tuple(errors(model, own)), trial=trial)]
    except ConfigError:
        return []
