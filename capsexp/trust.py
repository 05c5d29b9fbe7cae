"""What replaying an archive would do beyond measuring on this machine.

An archive brings its own YAML and its own command line, and may be anybody's. YAML is read without tags, but Hydra
starts whatever its own settings name, a server may be any command, and interpolations can read the environment. All of
that is named here, and happens only when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from capsexp import compose
from capsexp.config import Config
from capsexp.errors import ArchiveError
from capsexp.experiment.sweep import plan, split

# References to other keys, the time, and what names our folders.
_HARMLESS = re.compile(
    r"\$\{(?:now:[^${}]*|capsexp\.(?:slug|run_dir):[^${}]*|oc\.select:[\w.]+(?:,[\w.]*)?|[A-Za-z_][\w.]*)\}"
)
# Of Hydra's own settings, those that differ from command to command.
_VARIES = ("mode", "sweeper.params", "sweep.dir", "overrides", "runtime", "job.config_name", "job.override_dirname")


def surprises(folder: Path, overrides: Sequence[str], config_name: str, given: Sequence[str]) -> list[str]:
    """What the archived command `overrides`, composed from the archive's own conf/, would do that its user has not
    `given` (keys). Raises ArchiveError for YAML that cannot be read, ConfigError for what cannot be composed."""
    if not re.fullmatch(r"[\w-]+", config_name):
        raise ArchiveError(f"{folder.name}: its configuration has the name {config_name!r}")
    found = [f"evaluate {text!r}" for text in _texts(folder, overrides) if not _harmless(text)]
    if found:
        return list(dict.fromkeys(found))  # composing would evaluate it
    found += _of_hydra(folder, overrides, config_name)
    if found:
        return found
    for planned in plan(overrides, folder / "conf", config_name).planned:
        found += _of_run(planned.config, given)
    return list(dict.fromkeys(found))


def _texts(folder: Path, overrides: Sequence[str]) -> Iterator[str]:
    yield from overrides
    for path in sorted((folder / "conf").rglob("*.yaml")):
        try:
            tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        except (OmegaConfBaseException, YAMLError, ValueError, OSError, RecursionError) as error:
            line = " ".join(str(error).split())[:120]
            raise ArchiveError(f"{path.relative_to(folder).as_posix()}: cannot be read: {line}") from None
        yield from _strings(tree)


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
    before = ""
    while before != text:  # from the innermost outwards: the name of a resolver can be composed too
        before, text = text, _HARMLESS.sub("", text)
    return "${" not in text


def _of_hydra(folder: Path, overrides: Sequence[str], config_name: str) -> list[str]:
    _, fixed = split(overrides)  # Hydra refuses to sweep over its own settings
    own = compose.raw(compose.search_path(), None, "config", with_hydra=True).hydra
    theirs = compose.raw(fixed, folder / "conf", config_name, with_hydra=True).hydra
    one, other = (_flat(OmegaConf.to_container(tree, resolve=False)) for tree in (own, theirs))
    changed = sorted(key for key in {*one, *other} if one.get(key, ...) != other.get(key, ...))
    return [f"set hydra.{key}" for key in changed if not any(key == v or key.startswith(f"{v}.") for v in _VARIES)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= _flat(inner, f"{prefix}{key}.")
    return found


def _of_run(config: Config, given: Sequence[str]) -> Iterator[str]:
    server, engine = config.server, config.engine
    if server.name == "command" and "server.cmd" not in given:
        yield f"run the command {server.cmd!r} (server.cmd)"
    if server.name == "external" and "server.url" not in given:
        yield f"send the audio to {server.url} (server.url)"
    if server.name == "local" and server.allow_anonymous and "server.host" not in given:
        yield f"listen on {server.host} for anybody (server.host)"
    if getattr(engine, "model_id", None) and "engine.model_id" not in given:
        yield f"download {engine.model_id!r} (engine.model_id)"  # type: ignore[attr-defined]
