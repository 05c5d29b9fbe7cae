"""All groups together, and checks that concern several of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from capsexp import engines
from capsexp.address import TRANSPORTS, is_address, no_address, whole
from capsexp.config.archive import ArchiveConfig
from capsexp.config.checks import count
from capsexp.config.executor import ExecutorConfig
from capsexp.config.fault import NODE_FAULTS, WORKER_FAULTS, FaultConfig
from capsexp.config.load import LoadConfig, repeat_count
from capsexp.config.monitor import MonitorConfig
from capsexp.config.placement import PlacementConfig
from capsexp.config.pool import PoolConfig
from capsexp.config.punctuation import PunctuationConfig
from capsexp.config.reference import ReferenceConfig
from capsexp.config.report import ReportConfig
from capsexp.config.samples import SamplesConfig
from capsexp.config.search import SearchConfig
from capsexp.config.server import ServerConfig
from capsexp.config.slo import SloConfig
from capsexp.config.thresholds import ThresholdsConfig
from capsexp.config.validity import ValidityConfig
from capsexp.engines import EngineConfig
from capsexp.errors import ConfigError
from capsexp.load import LOADS
from capsexp.machine import total_mb
from capsexp.setting import problems, setting
from capsexp.targets import TARGETS, TargetConfig
from capsexp.targets.base import TOLD

WORKER_MB = 10  # that a worker takes before it has a model, at the very least
AUTO_TRIALS = 3  # fewer leave the spread itself unknown
COUNT = "whole number from 1, or `auto`"


@dataclass
class Config:
    workers: Any = setting(1, "number of recognizers; auto: as many as cores and memory allow", takes=COUNT)
    threads: int = setting(1, "threads per worker", low=1, high=1024)
    trials: Any = setting(
        "auto",
        f"repetitions of each configuration, interleaved; auto: {AUTO_TRIALS}, then as many as can change an answer",
        takes=COUNT,
    )
    trials_max: int = setting(
        10, "most runs of a configuration, including repeated (INVALID) and added ones (auto)", low=1
    )
    trial: int = setting(1, "number of the repetition; set by the sweep", low=1)
    cooldown: float = setting(0.0, "s of pause between runs")
    hours: float | None = setting(
        None,
        "duration of the load in hours, cycling through the requests, instead of load.repeats",
        high=10_000,
        above=True,
    )
    live: bool = setting(True, "show progress on a terminal; false: plain lines")
    name: str = setting("sweep", "last part of the output folder's name")
    resume: str | None = setting(None, "folder of a sweep to continue, or to add configurations and trials to")
    redo: str | None = setting(
        None,
        "with resume=; changed: repeat finished runs that were made with other code, models, ...",
        choices=("changed",),
    )
    engine: EngineConfig = field(default_factory=lambda: engines.settings("sphinx")())
    pool: PoolConfig = field(default_factory=PoolConfig)
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    punctuation: PunctuationConfig = field(default_factory=PunctuationConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    load: LoadConfig = field(default_factory=lambda: LOADS.settings("all")())
    server: ServerConfig = field(default_factory=ServerConfig)
    target: TargetConfig = field(default_factory=lambda: TARGETS.settings("capswriter")())
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    fault: FaultConfig = field(default_factory=FaultConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    thresholds: ThresholdsConfig = field(default_factory=ThresholdsConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    slo: SloConfig = field(default_factory=SloConfig)
    validity: ValidityConfig = field(default_factory=ValidityConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)

    @property
    def uses_engine(self) -> bool:
        """Whether anything is recognized by an engine of ours: by our server, or for the reference."""
        return self.server.name == "local" or self.reference.of(self.server.name) == "engine"


def worker_count(value: object) -> int | None:
    """`workers` as a number, None for `auto`; raises ConfigError for anything else."""
    return count("workers", value, "a number of workers")


def trial_count(value: object) -> int:
    """How many trials a sweep begins with. Raises ConfigError where `trials` is neither a count nor `auto`."""
    return count("trials", value, "a number of trials") or AUTO_TRIALS


def check(config: Config) -> None:
    """What types cannot say; raises ConfigError naming the key."""
    worker_count(config.workers)
    trial_count(config.trials)
    repeat_count(config.load.repeats)
    for fault in _faults(config):
        raise ConfigError(fault)


def _faults(config: Config) -> Iterator[str]:
    """`key: what is wrong; what to do`, each in one line: of the groups and, where both are known to be right, of two
    that do not go together."""
    yield from problems(config)
    yield from config.archive.problems()
    if config.server.name == "local" and (worker_count(config.workers) or 0) * WORKER_MB > (there := total_mb()):
        yield (
            f"workers: {config.workers} do not fit into this machine's {there:.0f} MB of memory; give at most "
            f"{there // WORKER_MB:.0f}"
        )
    yield from config.pool.unfit(config.engine, config.threads)
    yield from config.pool.room(worker_count(config.workers))
    if config.pool.name == "ray" and config.placement.name != "none":
        yield f"placement={config.placement.name}: is for workers on this machine; leave it out with pool=ray"
    yield from config.placement.problems(config.server.name)
    yield from config.engine.problems()
    yield from config.server.problems()
    yield from config.samples.problems()
    yield from _spoken(config)
    yield from config.reference.problems()
    yield from config.executor.problems()
    yield from config.report.problems()
    yield from config.monitor.problems()
    yield from config.punctuation.problems()
    yield from config.load.problems()
    yield from config.slo.problems()
    if config.hours is not None and not config.load.counted:
        yield f"hours: load={config.load.name} has a duration of its own; use load=all or closed"
    most, longest = config.server.max_segment_s, config.load.longest_segment_s
    if config.server.name == "local" and longest > most:
        yield (
            f"load.seg_duration: up to {longest:g} s with the overlap on both sides is more than "
            f"server.max_segment_s={most:g}"
        )
    yield from config.fault.problems()
    if config.fault.name in NODE_FAULTS and (config.pool.name != "ray" or config.pool.address != "local"):
        yield f"fault={config.fault.name}: needs pool=ray pool.address=local, as other machines cannot be reached"
    if config.fault.name in WORKER_FAULTS and config.server.name == "external":
        yield f"fault={config.fault.name}: would harm a server that capsexp did not start; use server=command"
    if config.fault.keeps_away and config.server.name == "local":
        if worker_count(config.workers) == 1:
            yield "fault.stays_dead: workers=1 leaves no worker; use workers=2 or more"
        if config.pool.name != "process":
            yield (
                f"fault.stays_dead: with pool={config.pool.name} one worker alone cannot be killed and kept dead; use "
                "pool=process, or fault.stays_dead=false"
            )


def _spoken(config: Config) -> Iterator[str]:
    target = config.target
    yield from target.problems()
    if target.transport not in TRANSPORTS:
        yield f"target={target.name}: speaks over {target.transport}; there is {', '.join(TRANSPORTS)}"
        return
    server = config.server
    if server.name == "external" and not server.url:
        yield f"server.url: server=external needs an address: {whole(target.transport)}"
    if server.url is not None and not is_address(server.url, target.transport):
        yield f"server.url: {no_address(server.url, target.transport)}"
    if server.token and not target.tokens:
        yield f"server.token: the protocol of target={target.name} has no token; leave it out"
    if config.load.reuse and not target.reuses:
        yield f"load.reuse: a server of target={target.name} takes one request per connection; leave it out"
    if "numbers" in target.ignore and not all(map(find_spec, ("num2words", "cn2an"))):
        yield "target.ignore: ignoring the spelling of numbers needs more packages: pip install 'capsexp[numbers]'"
    if strange := sorted(target.tells - TOLD.keys()):
        yield f"target={target.name}: tells {', '.join(strange)}; there is {', '.join(TOLD)}"
    if server.name == "local" and not target.local:
        yield f"target={target.name}: our own server does not speak it; use server=command or external"
