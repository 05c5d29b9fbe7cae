"""One dataclass schema for the whole configuration tree.

Hydra composes YAML; `resolve` merges the result again into this schema, because Hydra alone lets `+unknown=1` pass.
Sizes are MB (2**20 bytes), times seconds, unless a name says otherwise.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from capsexp import engines
from capsexp.bounds import faults, number
from capsexp.commandline import mentioned, words
from capsexp.engines import EngineConfig
from capsexp.errors import ConfigError
from capsexp.limits import ReportConfig, ThresholdsConfig, ValidityConfig
from capsexp.monitor import probes
from capsexp.plugins import nearest
from capsexp.protocol import no_address
from capsexp.report.exporters import EXPORTERS
from capsexp.targets import TARGETS, TargetConfig
from capsexp.targets.base import TOLD, TRANSPORTS


@dataclass
class PoolConfig:
    name: str = "process"


@dataclass
class PunctuationConfig:
    """`ct_transformer`: FunASR's CT-Transformer on the final text."""

    name: str = "none"
    model_dir: str | None = None
    quantize: bool = False


@dataclass
class SamplesConfig:
    name: str = "speech"
    set: str = "speech"  # a named list in samples/manifest.json, or `dir`
    dir: str | None = None
    language: str | None = None  # what is spoken, e.g. zh; None: as the set says, else by its transcripts' script
    minutes: float | None = number(None, above=True)  # join clips into one file of this length
    concurrency: int = 0  # what load.concurrency is, unless it is given


@dataclass
class LoadConfig:
    concurrency: int = 0  # requests at once; 0 = all, with repeats=auto or hours= all samples
    repeats: Any = "auto"  # of every sample: int >= 1, or as many as last for `min_s`
    min_s: float = number(10.0)  # that the fastest configuration is to take, with repeats=auto
    seg_duration: float = number(15.0, low=0.1)
    seg_overlap: float = 2.0
    # seconds of audio per message
    message_s: float = number(60.0, low=0.01, high=60, hint="CapsWriter sends at most 60 s of audio in a message")
    seed: int = number(0, high=2**64)  # order of the requests; 0 = as listed
    timeout: float = number(600.0, low=0.1)  # for the whole measured phase
    progress: bool = True

    @property
    def longest_segment_s(self) -> float:
        """The last one has what is left when no further one can be cut."""
        return self.seg_duration + 2 * self.seg_overlap


@dataclass
class ServerConfig:
    name: str = "local"
    host: str = "127.0.0.1"
    port: int = number(6016, high=65535, hint="give 1 to 65535, or 0 for any that is free")
    dispatch: str = "segment"
    max_queue: int = 0  # segments waiting in the server; 0 = 4 x workers
    max_retries: int = 2
    stuck_s: float = number(
        10.0, low=0.1
    )  # a worker that takes longer than stuck_s + stuck_rtf x audio counts as stuck and is replaced
    stuck_rtf: float = 5.0
    max_message: int = number(64 * 2**20, low=1, high=2**31)
    ready_timeout: float = number(300.0, low=0.1)
    grace: float = 5.0
    on_low_memory: str = "reduce"
    cmd: str | None = None
    url: str | None = None
    token: str | None = None  # what a client must say; needed for addresses other than loopback
    allow_anonymous: bool = False  # ... unless anybody may come
    certfile: str | None = None  # TLS: certificate and key, PEM
    keyfile: str | None = None
    max_connections: int = number(4096, low=1)
    max_audio_s: float = number(43_200.0, low=1)  # of audio in one task
    max_tasks: int = number(1000, low=1)  # of one connection, without their final message
    send_timeout: float = number(120.0, low=0.1)  # s that a client may leave a result untaken, before it is let go
    max_held_mb: float = number(1024.0, low=1)  # what the whole server may hold of its clients' messages and audio
    max_segment_s: float = number(120.0, low=0.1, high=600)  # seg_duration + 2 x seg_overlap that a client may ask for
    origins: list[str] = field(default_factory=list)  # of web pages that may connect, e.g. https://example.org


@dataclass
class MonitorConfig:
    interval: float = number(0.5, low=0.01)
    port: int | None = number(None, high=65535, hint="give 1 to 65535, or 0 for any that is free")
    pid: int | None = number(None, low=1)
    log: str | None = None
    live: bool = True
    probes: list[str] | None = None  # what a run asks: see monitor/probes/; null: all that can be asked here


@dataclass
class ControlConfig:
    """`processes`: `sweep` (every worker count of the sweep) or a list of counts; 1 always runs, for the texts."""

    name: str = "on"
    processes: Any = field(default_factory=lambda: [1])


@dataclass
class FaultConfig:
    """What is done to the server while it is measured: first `at_s` seconds into the load, then `rate` times a second;
    see conf/fault/none.yaml."""

    name: str = "none"
    at_s: float = 1.0
    rate: float = 0.0
    most: int = 0
    seed: int = number(1, high=2**64)
    for_s: float = 5.0
    slowdown: float = number(10.0, low=1)
    room_mb: float = 0.0


@dataclass
class ArchiveConfig:
    enabled: bool = True
    samples: bool | None = None  # None: pack shipped sets, leave the user's own audio out
    transcripts: bool = True  # False: hashes in place of texts and of the names of samples


@dataclass
class Config:
    workers: Any = 1  # int >= 1 or "auto"
    threads: int = number(1, low=1, high=1024)
    trials: Any = 3  # int >= 1 or "auto"
    trials_max: int = number(10, low=1)  # runs of a configuration, with those that are repeated or added
    trial: int = number(1, low=1)
    cooldown: float = 0.0  # between runs
    hours: float | None = number(None, high=10_000, above=True)  # cycle the requests for so long
    name: str = "sweep"
    resume: str | None = None
    redo: str | None = None  # with resume=: `changed` makes finished runs of another configuration again
    engine: EngineConfig = field(default_factory=lambda: engines.settings("sphinx")())
    pool: PoolConfig = field(default_factory=PoolConfig)
    punctuation: PunctuationConfig = field(default_factory=PunctuationConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    load: LoadConfig = field(default_factory=LoadConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    target: TargetConfig = field(default_factory=lambda: TARGETS.settings("capswriter")())
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    fault: FaultConfig = field(default_factory=FaultConfig)
    thresholds: ThresholdsConfig = field(default_factory=ThresholdsConfig)
    validity: ValidityConfig = field(default_factory=ValidityConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    archive: ArchiveConfig = field(default_factory=ArchiveConfig)


POOLS = ("process", "prefork", "thread")
DISPATCH = ("segment", "task", "hash", "naive")
AUTO_TRIALS = 5  # fewer leave the spread itself unknown
WORKER_FAULTS = ("kill_worker", "freeze_worker", "slow_worker", "kill_all_workers", "crash_engine", "memory_limit")
CLIENT_FAULTS = ("client_vanishes", "slow_client", "garbage_client")
SERVERS = ("local", "command", "external")
# Paths, in which `~` is the home folder.
_PATHS = (
    ("samples", "dir"), ("engine", "model_dir"), ("punctuation", "model_dir"), ("monitor", "log"),
    ("server", "certfile"), ("server", "keyfile"),
)  # fmt: skip
# Keys that tell runs of one configuration apart, or that do not change what is measured.
SWEEP_KEYS = frozenset({"trial", "trials", "trials_max", "cooldown", "name", "resume", "redo"})


def conf_dir() -> Path:
    """The shipped Hydra tree: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside, beside = package / "conf", package.parent / "conf"
    return inside if inside.is_dir() else beside


def schema(engine: str, target: str = "capswriter") -> DictConfig:
    """The schema with the own keys of engine and target; raises ConfigError for unknown ones."""
    engines.ENGINES.check("engine", engine)
    TARGETS.check("target", target)
    tree: DictConfig = OmegaConf.structured(
        Config(engine=engines.settings(engine)(), target=TARGETS.settings(target)())
    )
    return tree


def resolve(raw: DictConfig | dict[str, Any]) -> Config:
    """Merge a composed tree into the schema and check it; raises ConfigError with one line."""
    tree = raw if isinstance(raw, DictConfig) else OmegaConf.create(raw)
    try:
        plain = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise _unusable(error) from None
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    engine = plain.get("engine")
    if not isinstance(engine, dict) or not isinstance(engine.get("name"), str):
        raise ConfigError(f"engine: choose one of {', '.join(engines.ENGINES.names())} (engine=sphinx)")
    target = plain.get("target")
    spoken = target["name"] if isinstance(target, dict) and isinstance(target.get("name"), str) else "capswriter"
    base = schema(engine["name"], spoken)
    unknown = next(_unknown_keys(plain, base), None)
    if unknown:
        raise ConfigError(unknown)
    try:
        config = OmegaConf.to_object(OmegaConf.merge(base, literal(plain)))
    except OmegaConfBaseException as error:
        raise _unusable(error) from None
    assert isinstance(config, Config)
    for group, name in _PATHS:
        if getattr(part := getattr(config, group), name, None):
            setattr(part, name, os.path.expanduser(getattr(part, name)))
    check(config)
    return config


def _unusable(error: OmegaConfBaseException) -> ConfigError:
    said = f"{getattr(error, 'full_key', None) or 'configuration'}: {str(error).splitlines()[0]}"
    if "nterpolation" in said:
        said += "; ${...} stands for another setting: where it is text, write \\${"
    return ConfigError(said)


def literal(value: Any) -> Any:
    """A tree of values, or one, so that OmegaConf reads its texts as they are: `${` may be part of a folder's name."""
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def to_dict(config: Config) -> dict[str, Any]:
    """The whole configuration as plain values, as written to run.json: without its secret."""
    plain = asdict(config)
    plain["server"]["token"] = None
    return plain


def without_labels(config: Config) -> dict[str, Any]:
    """As `to_dict`, without the languages that only say what is to be expected: no text depends on them."""
    plain = to_dict(config)
    plain["samples"].pop("language")
    if not config.engine.hears_language:
        plain["engine"].pop("language", None)
    return plain


def to_yaml(config: Config, **changed: Any) -> str:
    """The whole configuration but for its secret in one file that can be composed again."""
    return OmegaConf.to_yaml(OmegaConf.create({**literal(to_dict(config)), **changed}))


def worker_count(value: object) -> int | None:
    """`workers` as a number, None for `auto`; raises ConfigError for anything else."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"workers: {value!r} is not a number of workers; give a whole number from 1 or `auto`")
    return value


def trial_count(value: object) -> int:
    """How many trials a sweep begins with; raises ConfigError for what is no number of trials and not `auto`."""
    if value == "auto":
        return AUTO_TRIALS
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"trials: {value!r} is not a number of trials; give a whole number from 1 or `auto`")
    return value


def repeat_count(value: object) -> int | None:
    """`load.repeats` as a number, None for `auto`; raises ConfigError for anything else."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f"load.repeats: {value!r} is not how often to send the samples; give a whole number from 1 or `auto`"
        )
    return value


def check(config: Config) -> None:
    """What types cannot say; raises ConfigError naming the key."""
    worker_count(config.workers)
    trial_count(config.trials)
    for fault in faults(config):
        raise ConfigError(fault)
    if config.archive.samples and not config.archive.transcripts:
        raise ConfigError("archive.transcripts=false: keeps texts and names out, and archive.samples=true the audio in")
    if config.redo not in (None, "changed"):
        raise ConfigError(f"redo: {config.redo!r} is neither `changed` nor null")
    _one_of("pool", config.pool.name, POOLS)
    _pool_serves(config)
    for fault in config.engine.faults():
        raise ConfigError(fault)
    _one_of("server", config.server.name, SERVERS)
    _spoken(config)
    _one_of("server.dispatch", config.server.dispatch, DISPATCH)
    _one_of("server.on_low_memory", config.server.on_low_memory, ("reduce", "refuse"))
    _one_of("control", config.control.name, ("on", "off"))
    for name in config.report.formats:
        EXPORTERS.check("report.formats", name)
    if config.monitor.probes is not None:
        probes.check("monitor.probes", config.monitor.probes)
    _one_of("punctuation", config.punctuation.name, ("none", "ct_transformer"))
    if config.punctuation.name != "none" and config.punctuation.model_dir is None:
        raise ConfigError(
            "punctuation=ct_transformer: no model named; give the folder with model.onnx, config.yaml and tokens.json "
            "as punctuation.model_dir=FOLDER"
        )
    repeat_count(config.load.repeats)
    if config.server.name == "command":
        words(config.server.cmd or "")
    if config.server.name == "external" and not config.server.url:
        raise ConfigError(
            "server.url: server=external needs an address: a full one is server.url=ws://HOST:PORT, as ws://127.0.0.1:6016"
        )
    if config.server.name == "command" and config.server.port == 0 and "port" not in mentioned(config.server.cmd or ""):
        raise ConfigError(
            "server.port: server.cmd has no {port}, so give the port that the server takes by itself, e.g. "
            "server.port=6016, or let server.cmd take {port}"
        )
    _address(config.server)
    most, longest = config.server.max_segment_s, config.load.longest_segment_s
    if config.server.name == "local" and longest > most:
        raise ConfigError(
            f"load.seg_duration: up to {longest:g} s with the overlap on both sides is more than "
            f"server.max_segment_s={most:g}"
        )
    _fault(config)
    processes = config.control.processes
    if processes != "sweep" and not (isinstance(processes, list) and all(type(p) is int and p >= 1 for p in processes)):
        raise ConfigError(f"control.processes: {processes!r} is neither `sweep` nor a list such as [1,2]")


def _pool_serves(config: Config) -> None:
    """Whether this pool can run this engine, here."""
    pool, engine = config.pool.name, config.engine
    if pool == "prefork":
        if sys.platform != "linux":
            raise ConfigError("pool=prefork: forks after loading, which only Linux does safely; use pool=process")
        if config.threads > 1:
            raise ConfigError(
                "pool=prefork: needs threads=1, a fork keeps no thread but one; more workers instead, or pool=process"
            )
        if reason := engine.unforkable():
            raise ConfigError(f"pool=prefork: {reason}")
    if pool == "thread" and not engine.shareable:
        raise ConfigError(
            f"pool=thread: engine={engine.name} cannot be shared by threads; use pool=process"
            f"{' or pool=prefork' if engine.fork_safe else ''}"
        )


def _spoken(config: Config) -> None:
    target = config.target
    for fault in target.faults():
        raise ConfigError(fault)
    if target.transport not in TRANSPORTS:
        raise ConfigError(f"target={target.name}: speaks over {target.transport}; there is {', '.join(TRANSPORTS)}")
    if strange := sorted(target.tells - TOLD.keys()):
        raise ConfigError(f"target={target.name}: tells {', '.join(strange)}; there is {', '.join(TOLD)}")
    if config.server.name == "local" and not target.local:
        raise ConfigError(f"target={target.name}: our own server does not speak it; use server=command or external")


def _fault(config: Config) -> None:
    fault = config.fault
    _one_of("fault", fault.name, ("none", *WORKER_FAULTS, *CLIENT_FAULTS))
    if fault.name in WORKER_FAULTS and config.server.name == "external":
        raise ConfigError(f"fault={fault.name}: a server that runs already is not to be harmed; use server=command")
    if fault.name == "memory_limit" and sys.platform != "linux":
        raise ConfigError("fault=memory_limit: needs Linux")
    if fault.name in WORKER_FAULTS and sys.platform == "win32":
        raise ConfigError(f"fault={fault.name}: needs the signals of Linux or macOS")


def _address(server: ServerConfig) -> None:
    if server.url is not None:
        _url(server.url)
    if server.keyfile is not None and server.certfile is None:
        raise ConfigError("server.keyfile: needs server.certfile")
    if server.token is not None and not server.token:
        raise ConfigError("server.token: is empty")
    if server.name == "local" and not _is_loopback(server.host) and not server.token and not server.allow_anonymous:
        raise ConfigError(
            f"server.host={server.host}: others can reach it; set server.token=SECRET, "
            "or server.allow_anonymous=true if anybody may use it"
        )


def _url(url: str) -> None:
    """Whether it is an address of a WebSocket server."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of brackets
        whole = False
    if not whole:
        raise ConfigError(f"server.url: {no_address(url)}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _one_of(key: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        raise ConfigError(f"{key}: unknown value {value!r}{nearest(value, names)}")


def _unknown_keys(tree: dict[Any, Any], base: DictConfig, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if str(key) not in base:
            yield f"{prefix}{key}: unknown key{nearest(str(key), list(base.keys()))}"
        elif (
            isinstance(value, dict)
            and isinstance(base.get(key), DictConfig)
            and OmegaConf.get_type(base, key) is not dict
        ):
            yield from _unknown_keys(value, base[key], f"{prefix}{key}.")


LONGEST = 80  # characters of a directory's name


def slug(text: str) -> str:
    """A directory name from overrides: short, without separators; with a hash where it would lose what tells."""
    name = re.sub(r"[^A-Za-z0-9=.,_-]+", "-", text).strip("-")
    if len(name) <= LONGEST and text.isascii():
        return name or "run"
    return f"{name[: LONGEST - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("-")


def languages(engine: Mapping[str, Any]) -> tuple[str, ...]:
    """What an engine recognizes, from its settings as plain values; empty where nobody knows."""
    return engines.known(engine.get("name")).languages(engine)


def engine_languages() -> dict[str, tuple[str, ...]]:
    """Of every engine what it recognizes with its default settings."""
    return {engine.name: engine.languages(asdict(engine)) for engine in engines.every_settings()}


OmegaConf.register_new_resolver("capsexp.slug", slug, replace=True)
