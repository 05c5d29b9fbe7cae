"""What a composed configuration would do beyond measuring."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from capsexp import compose
from capsexp.address import is_loopback
from capsexp.config import Config, resolve, to_dict
from capsexp.engines import ENGINES
from capsexp.experiment.combinations import split
from capsexp.load import LOADS
from capsexp.overrides import key_of
from capsexp.targets import TARGETS
from capsexp.trust.allowed import measures
from capsexp.trust.tree import OF_LAUNCHING, Tree, flat, mapping

# How it is said what another key would do.
_DOES = {
    "server.cmd": "run the command {!r}",
    "server.url": "send the audio to {}",
    "pool.address": "run workers on the Ray cluster {}",
    "server.host": "listen on {} for other machines",
    "server.allow_anonymous": "let clients use the server without a token",
    "server.token": "accept the token that it sets",
    "engine.model_id": "download {!r}",
    "engine.model_dir": "load the model in {!r}",
    "punctuation.model_dir": "load the model in {!r}",
    "samples.dir": "read the audio in {!r}",
    "monitor.log": "write {!r}",
    "monitor.html": "write {!r}",
    "executor.name": "execute its runs with {!r}",
    "executor.address": "execute its runs on the Ray cluster at {!r}",
}
# What Hydra itself sets when it composes.
_SET_BY_HYDRA = ("mode", "sweeper.params", "sweep.dir", "overrides", "runtime", "job.config_name",
                 "job.override_dirname", "help")  # fmt: skip


def of_hydra(tree: Tree, overrides: Sequence[str], given: Sequence[str]) -> list[str]:
    """What of Hydra's settings would not be as with our own tree, or the user's."""
    _, fixed = split(overrides)  # Hydra refuses to sweep over its own settings
    mine = [override for override in given if key_of(override).startswith("hydra") and override in fixed]
    base = (None, "config") if tree.foreign else (tree.conf, tree.name)
    own = compose.raw(mine, *base, with_hydra=True).hydra
    theirs = compose.raw(fixed, tree.conf, tree.name, with_hydra=True).hydra
    one, other = (flat(OmegaConf.to_container(tree, resolve=False)) for tree in (own, theirs))
    changed = sorted(key for key in {*one, *other} if one.get(key, ...) != other.get(key, ...))
    changed = [key for key in changed if key not in OF_LAUNCHING or other.get(key) != OF_LAUNCHING[key]]
    return [f"set hydra.{k}" for k in changed if not any(k == v or k.startswith(f"{v}.") for v in _SET_BY_HYDRA)]


def of_runs(tree: Tree, configs: Iterable[Config], given: Sequence[str]) -> list[str]:
    """What the values of these runs would do. Ours are harmless, wherever they stand, and so are those of the user's
    own tree where they stand there."""
    keys = {key_of(override) for override in given}
    users = {} if tree.foreign else flat(to_dict(resolve(compose.raw([], tree.conf, tree.name))))
    return list(dict.fromkeys(line for config in configs for line in _of_run(config, keys, users)))


def _of_run(config: Config, given: Collection[str], users: Mapping[str, Any]) -> Iterator[str]:
    own = flat(
        _plain(
            Config(
                engine=ENGINES.settings(config.engine.name)(),
                target=TARGETS.settings(config.target.name)(),
                load=LOADS.settings(config.load.name)(),
            )
        )
    )
    for key, value in flat(_plain(config)).items():
        if key in given or value in (own.get(key, ...), users.get(key, ...)) or measures(key, config):
            continue
        if key == "server.host" and is_loopback(value):
            continue
        yield f"{_DOES.get(key, 'use {!r}').format(value)} ({key})"


def _plain(config: Config) -> Mapping[str, Any]:
    return mapping(OmegaConf.structured(config))
