"""What a sweep needs is there: looked for before anything starts, as it is a pity to find out at the last run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from urllib.parse import urlsplit

from capsexp import samples, topology
from capsexp.address import port_of
from capsexp.analysis import languages
from capsexp.client.greeting import refusal
from capsexp.client.load import spread_s, turns
from capsexp.client.transports import ConnectionOptions
from capsexp.commandline import startable
from capsexp.config import Config, engine_languages, worker_count
from capsexp.engines import EngineConfig
from capsexp.engines.base import model_files
from capsexp.errors import ConfigError, EngineError, SampleError, ServerError
from capsexp.experiment import schedules
from capsexp.experiment.executors import EXECUTORS
from capsexp.experiment.reachability import unreachable
from capsexp.experiment.sweep import PlannedSweep
from capsexp.files import note
from capsexp.load import Clip, LoadConfig, shortest_s
from capsexp.machine import whole_cpus
from capsexp.monitor import probes
from capsexp.overrides import key_of
from capsexp.placement import assign, impossible, spelled
from capsexp.report.write import doubts

REACH_S = 5.0  # for a server that runs already to take a connection


def check(sweep: PlannedSweep) -> tuple[list[EngineConfig], list[str]]:
    """Its engines, prepared, and what the user should be told before it begins. What is found of how long loads last
    goes into `sweep.expected`. Raises ConfigError, ServerError."""
    configs = [planned.config for planned in sweep.planned]
    engines = list({repr(c.engine): c.engine for c in configs}.values())
    try:
        for engine in engines:
            engine.prepare(note)
            model_files(engine)
        sets = {}
        for config in configs:
            if (which := repr(config.samples)) not in sets:
                sets[which] = samples.check(config.samples)
        found = [f"skipped sample {name}: {why}" for looked in sets.values() for name, why in looked.skipped]
        found = list(dict.fromkeys([*found, *filter(None, map(_language_doubt, configs))]))
        found += [*_unread_engine(sweep), *unjudged(configs), *doubts(sweep.config.report.formats)]
        placeable(configs)
        for executor in {repr(c.executor): c.executor for c in configs}.values():
            if (ready := getattr(EXECUTORS.get(executor.name), "ready", None)) is not None:
                ready(executor.told())
        schedules.check(configs)
        lasts = dict[str, float | None]()
        for planned in sweep.planned:
            config, own = planned.config, repr((planned.config.load, planned.config.samples))
            if own not in lasts:
                lasts[own] = plannable(config.load, sets[repr(config.samples)].durations_s)
            if config.load.timed and config.hours is None and (least_s := lasts[own]):
                sweep.expected.setdefault(planned.key, least_s)
        for names in {tuple(c.monitor.probes) for c in configs if c.monitor.probes is not None}:
            probes.usable("monitor.probes", names)
    except (EngineError, SampleError) as error:
        raise ConfigError(str(error)) from None
    for server in {repr(c.server): c.server for c in configs if c.server.name == "command"}.values():
        startable(server.cmd or "", server.cwd, server.install)
    for url in {c.server.url or "" for c in configs if c.server.name == "external"}:
        if why := unreachable(url, REACH_S):
            untold = "" if urlsplit(url).port else f" (no port given: {port_of(url)} was tried; give ws://HOST:PORT)"
            raise ServerError(f"server.url={url}: no answer ({why}); is the server running?{untold}")
    for config in {repr((c.server, c.target)): c for c in configs if c.server.name == "external"}.values():
        way = ConnectionOptions(config.server.token, config.server.certfile, target=config.target)
        if why := refusal(config.server.url or "", way, config.load.message_s):
            raise ServerError(why)
    return engines, found


def plannable(load: LoadConfig, durations_s: Mapping[str, float] | None) -> float | None:
    """How long a load with times of its own lasts at least, in seconds, by its settings and the samples; by its
    settings alone, where not all samples are known (`durations_s` is None). None for one that ends when it is done.
    Raises ConfigError for one that cannot be made of these samples: the client would find that out in each run, and it
    would be repeated as if something had disturbed it."""
    if not load.timed:  # of any samples, what is counted can be made
        return None
    if durations_s is None:
        return spread_s(load)
    clips = tuple(Clip(name, duration_s) for name, duration_s in durations_s.items())
    return shortest_s(turns(clips, load), clips)


def placeable(configs: Sequence[Config]) -> None:
    """Raises ConfigError for a placement that cannot be had here, or that is another one of the sweep under another
    name. Where runs are executed elsewhere their servers say so."""
    if any(not config.executor.local for config in configs):
        return
    machine, pins = topology.read(), dict[str, set[tuple[int, int, tuple[str, ...]]]]()
    for config in configs:
        kind, threads = config.placement.name, config.threads
        if why := impossible(machine, kind):
            raise ConfigError(why)
        if kind != "none":
            workers = worker_count(config.workers) or max(1, whole_cpus() // threads)
            each = tuple(map(spelled, assign(machine, workers, threads, kind) or ()))
            pins.setdefault(kind, set()).add((workers, threads, each))
    for kind, other in combinations(pins, 2):
        if pins[kind] == pins[other]:
            raise ConfigError(
                f"placement={other}: pins every worker to the same CPUs as placement={kind} on this machine, so both "
                "would measure the same; leave one of them out"
            )


def _unread_engine(sweep: PlannedSweep) -> list[str]:
    """Whoever names an engine for a server of their own may think that its texts count."""
    named = any(key_of(o).partition(".")[0] == "engine" for planned in sweep.planned for o in planned.overrides)
    if not named or any(planned.config.uses_engine for planned in sweep.planned):
        return []
    return [
        f"engine: not used, because the server is not capsexp's and reference={sweep.config.reference.name}; set "
        "reference=engine to compare with the texts of that engine"
    ]


def unjudged(configs: Sequence[Config]) -> list[str]:
    """Limits of a class that no load of the sweep has: all runs would be made, and the answer stay open. No error, as
    `slo=mixed` promises to classes of which a load may leave one out."""
    there = {kind for config in configs for kind in config.load.by_class() if kind}
    limited = {kind: None for config in configs for kind, own in config.slo.classes.items() if {*own.values()} - {None}}
    return [
        f"slo.classes.{kind}: no load of this sweep has such a class, so its limits cannot be judged"
        + (f"; there are {', '.join(sorted(there))}" if there else "; classes are of load=mixed")
        for kind in limited
        if kind not in there
    ]


def _language_doubt(config: Config) -> str | None:
    """Whether our engine may not know what is spoken; raises SampleError."""
    if config.server.name != "local" or not config.engine.speaks:
        return None
    known, listed = config.engine.languages(asdict(config.engine)), samples.listing(config.samples)
    said = (config.engine.name, known, listed.language, [text for _, _, text in listed.found])
    return languages.misfit(*said, engine_languages()) or languages.unknown(*said)
