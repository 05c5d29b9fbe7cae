"""The YAML that a sweep was composed from, kept beside its runs so that an archive can be run again: the shipped tree,
and of the user's own folder, which may be any, the files that were used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from capsexp import compose
from capsexp.config import conf_dir
from capsexp.errors import ConfigError
from capsexp.experiment.sweep import PlannedSweep
from capsexp.files import portable, storing

LOCAL = PurePosixPath("local.yaml")  # what its user sets for every command


def used(sweep: PlannedSweep, config_dir: Path | None, config_name: str) -> list[PurePosixPath]:
    """The files of the user's own tree that the runs of a sweep were composed from. Raises ConfigError for what must
    not, or cannot, go into an archive."""
    local = conf_dir() / LOCAL  # beside the shipped files, of which it is none
    if local.is_file() and (config_dir is None or not (config_dir / LOCAL).is_file()):
        _check(local, LOCAL, sweep)
    if config_dir is None:
        return []
    first = sweep.planned[0]
    choices = compose.raw(first.overrides, config_dir, config_name, with_hydra=True).hydra.runtime.choices
    waiting = [PurePosixPath(f"{config_name}.yaml")]
    waiting += [_file(str(group), option) for group, option in choices.items() for option in _names(option)]
    for run in sweep.planned:
        for override in run.overrides:
            key, _, value = override.lstrip("+").partition("=")
            waiting += [_file(key.partition("@")[0], option) for option in _names(value)]
    found: dict[PurePosixPath, None] = {}
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen or ".." in name.parts or name.is_absolute():
            continue
        seen.add(name)
        own = config_dir / name
        if own.is_file():
            found[name] = None
        path = own if own.is_file() else conf_dir() / name
        if path.is_file():
            waiting += _wanted(path, name)
    for name in found:
        _check(config_dir / name, name, sweep)
    return sorted(found)


def keep(folder: Path, config_dir: Path | None, names: list[PurePosixPath]) -> None:
    """Copy the shipped tree and the user's files over it, and an empty `local.yaml` where there was none: that of the
    machine on which the archive is run again is not meant. Raises StorageError."""
    if config_dir == folder / "conf":
        return
    shipped = [(path, path.relative_to(conf_dir())) for path in sorted(conf_dir().rglob("*.yaml"))]
    own = [(config_dir / name, Path(name)) for name in names] if config_dir is not None else []
    for path, name in [(None, Path(LOCAL)), *shipped, *own]:
        kept = folder / "conf" / name
        with storing(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(path.read_bytes() if path is not None else b"")


def _check(path: Path, name: PurePosixPath, sweep: PlannedSweep) -> None:
    content = path.read_bytes()
    for run in sweep.planned:
        token = run.config.server.token
        if token and token.encode() in content:
            raise ConfigError(
                f"server.token: stands in {name}, which would go into the archive; write "
                "token: ${oc.env:MY_TOKEN} there and give it in the environment"
            )
    if not portable(str(name)):
        raise ConfigError(f"--config-dir: {str(name)!r} is a file name that some systems cannot unpack; rename it")


def _wanted(path: Path, name: PurePosixPath) -> Iterator[PurePosixPath]:
    """What its defaults list names."""
    try:
        tree: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError):
        return
    defaults = tree.get("defaults") if isinstance(tree, dict) else None
    for entry in defaults if isinstance(defaults, list) else []:
        group, options = next(iter(entry.items())) if isinstance(entry, dict) and entry else ("", entry)
        group = re.sub(r"^((override|optional) )*", "", str(group)).partition("@")[0]
        base = "" if group.startswith("/") else str(name.parent)
        for option in _names(options):
            here = option.startswith("/")
            yield _file("" if here else str(PurePosixPath(base) / group.lstrip("/")), option.lstrip("/"))


def _names(option: Any) -> list[str]:
    """Options as they stand in a list of choices, in quotes or alone."""
    said = option if isinstance(option, list) else re.split(r"[\[\],]+", str(option))
    return [name for one in said if (name := str(one).strip(" '\""))]


def _file(group: str, option: str) -> PurePosixPath:
    return PurePosixPath(group) / (option if option.endswith(".yaml") else f"{option}.yaml")
