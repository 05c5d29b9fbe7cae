"""What replaying an archive would do beyond measuring on this machine.

An archive brings its own YAML and its own command line, and may be anybody's. What they may set is listed here: values
that only say how to measure. Everything else (models, paths, commands, addresses, the environment, Hydra's own
settings, also those that a later version will have) is named, and happens only when it is asked for.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from capsexp import compose, sensible
from capsexp.config import Config, conf_dir
from capsexp.engines import ENGINES
from capsexp.errors import ArchiveError
from capsexp.experiment.keep import LOCAL
from capsexp.experiment.sweep import plan, split
from capsexp.overrides import key_of, spell
from capsexp.targets import TARGETS

# Keys of the schema that say how to measure, and of which no value makes us load, run, reach or write anything; an
# engine and a target say their own (`measures`).
MEASURES = (
    "workers", "threads", "trial", "trials", "trials_max", "cooldown", "hours", "name",
    "engine.name", "target.name", "pool.name", "punctuation.name", "punctuation.quantize",
    *(f"samples.{key}" for key in ("name", "set", "minutes", "concurrency", "language")),
    "load.*", "control.*", "fault.*", "thresholds.*", "validity.*", "report.*", "archive.*",
    "monitor.interval", "monitor.live", "monitor.probes",
    *(f"server.{key}" for key in (
        "name", "port", "dispatch", "max_queue", "max_retries", "stuck_s", "stuck_rtf", "max_message", "ready_timeout",
        "grace", "on_low_memory", "max_connections", "max_audio_s", "max_tasks", "max_held_mb", "max_segment_s",
        "send_timeout",
    )),
)  # fmt: skip
# How it is said what another key would do.
_DOES = {
    "server.cmd": "run the command {!r}",
    "server.url": "send the audio to {}",
    "server.host": "listen on {} for anybody",
    "server.allow_anonymous": "let anybody use the server",
    "server.token": "let in whoever has a token of its own",
    "engine.model_id": "download {!r}",
    "engine.model_dir": "load the model in {!r}",
    "punctuation.model_dir": "load the model in {!r}",
    "samples.dir": "read the audio in {!r}",
    "monitor.log": "write {!r}",
}
# References to other keys, whose values are looked at; the time; and what names our folders.
_HARMLESS = re.compile(
    r"\$\{(?:now:[^${}]*|capsexp\.(?:slug|run_dir):[^${}]*|oc\.select:[\w.]+(?:,[\w.]*)?|[A-Za-z_][\w.]*)\}"
)
# Of Hydra's own settings, what an archive's YAML may say: as ours does, or where it is replaced anyway.
_SAID_BY_US = ("mode", "job.chdir", "sweep.subdir")
# What Hydra itself sets when it composes.
_SET_BY_HYDRA = ("mode", "sweeper.params", "sweep.dir", "overrides", "runtime", "job.config_name",
                 "job.override_dirname", "help")  # fmt: skip
_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_GROUP = re.compile(r"(?:(?:override|optional) )*/?(?P<group>[A-Za-z_][\w-]*(/[\w-]+)*)")
_OPTION = re.compile(r"/?[\w.-]+(/[\w.-]+)*")
_LOCAL = ("optional .@_global_", LOCAL.stem)
_QUIET = ("hydra/job_logging", "hydra/hydra_logging")


def surprises(folder: Path, overrides: Sequence[str], config_name: str, given: Sequence[str]) -> list[str]:
    """What the archived command `overrides`, composed from the archive's own conf/, would do beyond measuring; of the
    overrides those that are `given` are the user's own. Raises ArchiveError for YAML that cannot be read, ConfigError
    for what cannot be composed."""
    if not re.fullmatch(r"[\w-]+", config_name):
        raise ArchiveError(f"{folder.name}: its configuration has the name {config_name!r}")
    sensible.line(overrides)
    trees = _trees(folder)
    theirs = [override for override in overrides if override not in given]
    texts = [*theirs, *(text for tree in trees.values() for text in _strings(tree))]
    # Composing would evaluate, place or follow these already.
    found = [f"evaluate {text!r}" for text in texts if not _harmless(text)]
    found += [line for override in theirs for line in _of_override(override)]
    found += [line for path, tree in trees.items() for line in _of_yaml(folder / "conf", path, tree)]
    if not found:
        found = _of_hydra(folder, overrides, config_name, given)
    if not found:
        _, fixed = split(overrides)
        base = compose.raw(fixed, folder / "conf", config_name, with_hydra=True)
        preset = _mapping(base.hydra.sweeper.params or {})
        sensible.runs(overrides, preset, base.get("trials"))
        for planned in plan(overrides, folder / "conf", config_name).planned:
            found += _of_run(planned.config, {key_of(override) for override in given})
    return list(dict.fromkeys(found))


def _trees(folder: Path) -> dict[Path, Any]:
    """The YAML of conf/ as plain data."""
    found = {}
    for path in sorted((folder / "conf").rglob("*")):
        # Where case does not count, Hydra finds x.YAML as well.
        if path.suffix.lower() not in (".yaml", ".yml") or path.is_dir():
            continue
        try:
            sensible.tree(path)
            found[path] = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        except (OmegaConfBaseException, YAMLError, ValueError, OSError, RecursionError, AttributeError) as error:
            line = " ".join(str(error).split())[:120]
            raise ArchiveError(f"{path.relative_to(folder).as_posix()}: cannot be read: {line}") from None
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str):
        yield value


def _harmless(text: str) -> bool:
    """Whether nothing is evaluated, also once Hydra has read its escapes: `$\\{` is `${` to it."""
    return all(_plainly(form) for form in (text, text.replace("\\", "")))


def _plainly(text: str) -> bool:
    before = ""
    while before != text:  # from the innermost outwards: the name of a resolver can be composed too
        before, text = text, _HARMLESS.sub("", text)
    return "${" not in text


def _of_override(override: str) -> Iterator[str]:
    """Of a word of its command line."""
    try:
        [parsed] = OverridesParser.create().parse_overrides([spell(override)])
    except HydraException:
        return  # composing will say so
    except (ValueError, RecursionError) as error:  # a number that nobody reads
        raise ArchiveError(f"its command line cannot be read: {error}") from None
    key = parsed.key_or_group
    if key == "hydra.sweep.dir":
        return  # replaced
    if key.partition(".")[0].partition("/")[0] == "hydra":
        yield f"set {override.lstrip('+~')}"
    elif parsed.package is not None or not (_KEY.fullmatch(key) or _GROUP.fullmatch(key)):
        yield f"place something elsewhere ({override})"
    elif isinstance(parsed.value(), dict) and not measures(key):
        yield f"set several keys at once ({override})"


def _of_yaml(conf: Path, path: Path, tree: Any) -> Iterator[str]:
    """Of a file of its conf/, that composing would act upon and the composed tree does not show."""
    name = path.relative_to(conf)
    ours = conf_dir() / name
    if ours.is_file() and ours.read_bytes() == path.read_bytes():
        return
    said = f"conf/{name.as_posix()}"
    if name.parts[0] == "hydra" or path.is_symlink():
        yield f"set Hydra's own settings ({said})"
    header = re.findall(r"^\s*#.*@package\s*(.*?)\s*$", path.read_text("utf-8", "replace"), re.MULTILINE)
    if set(header) - {"_global_"}:
        yield f"place something elsewhere ({said}: @package {header[0]})"
    if not isinstance(tree, dict):
        return
    hydra = tree.get("hydra")
    flat = _flat(hydra) if isinstance(hydra, dict) else {"": hydra} if hydra is not None else {}
    yield from (f"set hydra.{key} ({said})" for key, value in flat.items() if not _as_ours(key, value))
    defaults = tree.get("defaults", [])
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if not _plain_default(entry):
            yield f"compose with {entry!r} ({said})"


def _as_ours(key: str, value: Any) -> bool:
    if key in _SAID_BY_US:
        own = OmegaConf.to_container(OmegaConf.load(conf_dir() / "config.yaml"), resolve=False)
        assert isinstance(own, dict)
        return bool(_flat(own["hydra"]).get(key) == value)
    swept = key.removeprefix("sweeper.params.")
    if swept != key:
        return bool(_KEY.fullmatch(swept)) and swept.partition(".")[0] != "hydra"
    return key == "sweep.dir" or key.startswith("help.")  # replaced; not shown


def _plain_default(entry: Any) -> bool:
    """Whether an entry of a defaults list names options of groups, and nothing of Hydra's but its silence."""
    if isinstance(entry, str):
        return bool(_OPTION.fullmatch(entry)) and ".." not in entry and not entry.lstrip("/").startswith("hydra")
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    [(key, option)] = entry.items()
    if (key, option) == _LOCAL:
        return True
    named = _GROUP.fullmatch(str(key))
    options = option if isinstance(option, list) else [option]
    if named is None or not all(o is None or (_OPTION.fullmatch(str(o)) and ".." not in str(o)) for o in options):
        return False
    group = named["group"]
    return group.partition("/")[0] != "hydra" or (group in _QUIET and options in (["none"], ["disabled"]))


def _of_hydra(folder: Path, overrides: Sequence[str], config_name: str, given: Sequence[str]) -> list[str]:
    """What of Hydra's settings would not be as with our own tree."""
    _, fixed = split(overrides)  # Hydra refuses to sweep over its own settings
    mine = [override for override in given if key_of(override).startswith("hydra") and override in fixed]
    own = compose.raw(mine, None, "config", with_hydra=True).hydra
    theirs = compose.raw(fixed, folder / "conf", config_name, with_hydra=True).hydra
    one, other = (_flat(OmegaConf.to_container(tree, resolve=False)) for tree in (own, theirs))
    changed = sorted(key for key in {*one, *other} if one.get(key, ...) != other.get(key, ...))
    return [f"set hydra.{k}" for k in changed if not any(k == v or k.startswith(f"{v}.") for v in _SET_BY_HYDRA)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}{key}.")
    return found


def _of_run(config: Config, given: Collection[str]) -> Iterator[str]:
    """What a run's values would do. Ours are harmless, wherever they stand."""
    own = _flat(
        _plain(Config(engine=ENGINES.settings(config.engine.name)(), target=TARGETS.settings(config.target.name)()))
    )
    for key, value in _flat(_plain(config)).items():
        if key in given or value == own.get(key, ...) or measures(key, config):
            continue
        if key == "server.host" and _loopback(value):
            continue
        yield f"{_DOES.get(key, 'use {!r}').format(value)} ({key})"


def measures(key: str, config: Config | None = None) -> bool:
    """Whether a key only says how to measure; of an engine or a target that is configured, also its own."""
    group, _, name = key.partition(".")
    own = config is not None and group in ("engine", "target") and name in getattr(config, group).measures
    return own or any(fnmatch.fnmatchcase(key, known) for known in MEASURES)


def _plain(config: Config) -> Mapping[str, Any]:
    return _mapping(OmegaConf.structured(config))


def _mapping(tree: Any) -> Mapping[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.create(tree))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
