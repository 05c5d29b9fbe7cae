"""What a plan is asked for: the question, from a command's words and the sweep's own settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from capsexp.config.server import DISPATCH, SCHEDULES
from capsexp.errors import ConfigError
from capsexp.load import LOADS, LoadConfig
from capsexp.mistyped import told
from capsexp.plan.fit import Measured, server_of
from capsexp.plan.limits import LATE_SHARE, limits_known
from capsexp.plan.predict import Settings
from capsexp.plugins import nearest
from capsexp.results.run import Run
from capsexp.setting import problems

T = TypeVar("T")
GROUPS = ("load", "server", "slo")
USERS_WAIT = {"stop_to_text_p95_s": 1.0}  # as slo=dictation
FILES_WAIT = {LATE_SHARE: 0.05}  # as the files of slo=mixed: texts within as long as their audio lasts, 19 times in 20


def overrides(words: Sequence[str]) -> dict[str, dict[str, str]]:
    """`load.KEY=`, `server.KEY=` and `slo.KEY=` by group. Raises ConfigError."""
    found: dict[str, dict[str, str]] = {group: {} for group in GROUPS}
    for word in words:
        key, equals, value = word.partition("=")
        group, _, name = key.partition(".")
        if not equals or group not in GROUPS or not name or "." in name:
            raise ConfigError(f"{word}: a plan takes load.KEY=, server.KEY= and slo.KEY=, as {GROUPS[0]}.think_s=5")
        found[group][name] = value
    return found


def group_of(runs: Sequence[Measured], like: str | None) -> list[Measured]:
    """The runs of one server: of the configuration `like`, or of the fastest. Raises ConfigError."""
    keys = list(dict.fromkeys(one.run.key for one in runs))
    if not runs:
        raise ConfigError("a plan needs a successful run of server=local with its segments.csv, and the sweep has none")
    if like is not None and like not in keys:
        raise ConfigError(f"--like {like}: no such configuration{nearest(like, keys)}")
    chosen = max(runs, key=lambda one: (one.run.key == like, one.figures.throughput_rtfx or 0.0))
    return [one for one in runs if server_of(one.run) == server_of(chosen.run)]


def load(run: Run, kind: str, given: Mapping[str, str]) -> LoadConfig:
    """Of this kind, with what the run's load says where it has the same settings. Raises ConfigError."""
    settings = LOADS.settings(kind)
    own = {each.name for each in fields(settings)}
    if strange := next((key for key in given if key not in own), None):
        raise ConfigError(f"load.{strange}: load={kind} has no such setting{nearest(strange, own)}")
    said = run.group("load")
    same = own if said.get("name") == kind else {"seg_duration", "seg_overlap", "packet_s", "message_s"}
    kept = {key: value for key, value in said.items() if key in same & own and key != "name"}
    kept |= {"repeats": "auto", "concurrency": 0, "timeout": 1e9}
    made = _typed(settings, {**kept, **given}, "load")
    if problem := next(iter((*problems(made, "load"), *made.problems())), None):
        raise ConfigError(problem)
    return made


def settings(run: Run, given: Mapping[str, str]) -> Settings:
    """How the server gives out segments: as measured, but for what is given. Raises ConfigError."""
    own = [each.name for each in fields(Settings)]
    if strange := next((key for key in given if key not in own), None):
        raise ConfigError(f"server.{strange}: a plan knows {', '.join(own)} of the server")
    merged: Any = {**vars(Settings.of(run.group("server"))), **given}
    found = _typed(Settings, merged, "server")
    for name, known in (("dispatch", DISPATCH), ("schedule", SCHEDULES)):
        if (value := getattr(found, name)) not in known:
            raise ConfigError(f"server.{name}: unknown value {value!r}{nearest(str(value), known)}")
    if found.dispatch == "naive":
        raise ConfigError("server.dispatch=naive is the negative control, for which nothing is planned")
    return found


def limits(run: Run, load: LoadConfig, given: Mapping[str, str]) -> dict[str, float]:
    """Those that are given, or those of the sweep, or what is usual for such a load. Raises ConfigError."""
    known = limits_known(load)
    if strange := next((key for key in given if key not in known), None):
        raise ConfigError(f"slo.{strange}: not simulated for load={load.name}{nearest(strange, known)}")
    own = {key: float(value) for key, value in run.group("slo").items() if key in known and value is not None}
    asked = {key: _limit(key, value) for key, value in given.items()}
    return asked or own or dict(USERS_WAIT if load.name == "dictation" else FILES_WAIT)


def _limit(key: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"slo.{key}: {word!r} is no limit; give a number above 0")
    return value


def _typed(kind: type[T], merged: Any, group: str) -> T:
    """Words become what the settings hold; raises ConfigError for one that cannot."""
    try:
        return cast(T, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), merged)))
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, group)) from None
