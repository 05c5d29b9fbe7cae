"""What a command asks for: every combination of its overrides, checked before any process starts, and its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from capsexp import compose
from capsexp.analysis.capacity_search import alone
from capsexp.analysis.capacity_search import split as split_load
from capsexp.config import Config, resolve, slug, to_dict, trial_count, worker_count
from capsexp.config.executor import NODES
from capsexp.errors import ConfigError
from capsexp.experiment import probing
from capsexp.experiment.combinations import Composer, combinations, composes, countable, here, plain, split
from capsexp.keys import AFTERWARDS
from capsexp.overrides import key_of, quote_override, unquoted
from capsexp.results.run import Tree
from capsexp.results.sweep import PlannedRun, Repeats, Sweep

LONGEST_FOLDER = 230  # bytes of its name: <folder>.zip.sha256 stands beside it


@dataclass(frozen=True)
class Planned:
    """A run that a sweep is to make: its number, its directory's name, its key without trial, its overrides."""

    num: int
    dir: str
    key: str
    trial: int
    overrides: tuple[str, ...]
    config: Config = field(repr=False)


@dataclass(frozen=True)
class PlannedSweep:
    """`config`: what holds of the sweep as a whole is in it, as in that of every run; `folder`: where the runs go."""

    config: Config = field(repr=False)
    planned: list[Planned]
    folder: Path
    folder_given: bool
    told: tuple[str, ...] = ()  # the keys that tell its runs apart
    thresholds_before: Tree | None = None  # that its runs were made with, where they were changed afterwards
    repeats: dict[str, Repeats] = field(default_factory=dict)  # what load.repeats=auto came to
    expected: dict[str, float] = field(default_factory=dict)  # s that loads take, by key, going by the reference
    schedules: dict[str, dict[str, str]] = field(default_factory=dict)  # as in sweep.json
    mine: bool = True  # its user made it here, or trusted it (see signature)
    search: Tree | None = None  # for a capacity: its settings, and `over`, the key that is searched

    @property
    def worker_counts(self) -> list[int]:
        return sorted({n for p in self.planned if (n := worker_count(p.config.workers))})


def plan(overrides: Sequence[str], config_dir: Path | None, config_name: str, told: Sequence[str] = ()) -> PlannedSweep:
    """All runs of a command, in order; `told` are keys that tell runs apart even where they have one value now. Raises
    ConfigError for any of them that cannot be composed or used."""
    overrides = [quote_override(o) for o in overrides]
    swept, fixed = split(overrides)
    here(swept, fixed)
    base = compose.raw(fixed, config_dir, config_name, with_hydra=True)
    composes(base.hydra)
    preset = {} if base.hydra.sweeper.params is None else OmegaConf.to_container(base.hydra.sweeper.params)
    assert isinstance(preset, dict)
    given = {key_of(o) for o in overrides}
    swept = [quote_override(f"{k!s}={v}") for k, v in preset.items() if str(k) not in given] + swept
    trials, search = trial_count(base.get("trials", "auto")), None
    if OmegaConf.select(base, "search.name") == "capacity":
        swept, fixed, search = _searched(swept, fixed, config_dir, config_name)
        trials = 1
    countable(swept, 1 if "trial" in given else trials)
    if trials > 1 and "trial" not in given:
        first = 1 if OmegaConf.select(base, "search.name") == "race" else trials  # then round by round: see further
        swept = ["trial=" + ",".join(str(n + 1) for n in range(first)), *swept]  # first: the slowest to change
    if told:
        known = {"trial": -1, **{key: place for place, key in enumerate(told) if key != "trial"}}
        swept = sorted(
            [*swept, *(o for o in fixed if key_of(o) in known)], key=lambda o: known.get(key_of(o), len(known))
        )
        fixed = [o for o in fixed if key_of(o) not in known]
    wanted = combinations([*swept, *fixed])
    if search:  # the load of a class comes after that class
        wanted = [sorted(each, key=lambda o: key_of(o) == search["over"]) for each in wanted]
    keys = {key_of(o) for o in swept}
    planned: list[Planned] = []
    named: dict[str, list[str]] = {}
    composer = Composer(config_dir, config_name, base, fixed)
    for num, combination in enumerate(wanted):
        said = [o for o in combination if key_of(o) in keys and key_of(o) != "trial"]
        try:
            config = composer.of(combination)
        except ConfigError as error:
            last = None if planned else _error(wanted[-1], config_dir, config_name)
            one_of_them = said and last != str(error)  # what is wrong in all of them needs no combination
            raise ConfigError(f"{error} [{','.join(said)}]" if one_of_them else str(error)) from None
        key = slug(",".join(plain(o) for o in said) or alone(config.server.name, config.workers))
        if named.setdefault(key, said) != said:
            raise ConfigError(f"{','.join(said)} and {','.join(named[key])} would both be called {key}; rename one")
        name = f"{num}-{key}" + (f",trial={config.trial}" if "trial" in keys else "")
        planned.append(Planned(num, name, key, config.trial, tuple(combination), config))
    folder = Path(str(base.hydra.sweep.dir)).absolute()
    told_apart = tuple(dict.fromkeys(key_of(o) for o in swept))
    return PlannedSweep(planned[0].config, planned, folder, "hydra.sweep.dir" in given, told_apart, search=search)


def _searched(
    swept: list[str], fixed: list[str], config_dir: Path | None, config_name: str
) -> tuple[list[str], list[str], Tree]:
    """The same with the load that a search for a capacity begins with, and what is kept of the search."""
    named = [*(o.partition(",")[0] for o in swept), *fixed]
    config = resolve(compose.raw(named, config_dir, config_name))
    found = probing.settings(config)
    if any(key_of(o) == found["over"] for o in swept):
        raise ConfigError(f"{found['over']}: search=capacity varies it; give one value, at which the search begins")
    size, *more = probing.overrides(config, probing.first(config))
    harmed = config.fault.name != "none" or any(key_of(o) in ("fault", "fault.name") for o in (*swept, *fixed))
    if harmed and config.fault.stays_dead is None:
        more.append(probing.STAYS_DEAD)
    own = {key_of(o) for o in (size, *more)}
    return [*swept, size], [*(o for o in fixed if key_of(o) not in own), *more], found


def _error(combination: Sequence[str], config_dir: Path | None, config_name: str) -> str | None:
    """Why it cannot be used; None where it can."""
    try:
        resolve(compose.raw(combination, config_dir, config_name))
    except ConfigError as error:
        return str(error)
    return None


# What describes a sweep as a whole.
_WHOLE = frozenset({"trials", "trials_max", "name", "resume", "executor", "search"})
_OF_NODES = frozenset(f"executor.{key}" for key in NODES)  # types of nodes are measured side by side
# What our own server is told and no other.
_OF_OURS = ("workers", "threads", "pool", "placement", "engine", "punctuation", "server")
_TOLD_TO_ALL = frozenset(
    {"server", "server.name", "server.cmd", "server.url", "server.token", "server.env", "server.cwd"}
)


def each_differs(planned: Sequence[Planned]) -> None:
    """Raises ConfigError where several runs would measure one thing, under several names, or not what was named."""
    servers = [p.config.server for p in planned]
    for key, name in (("url", "external"), ("cmd", "command")):
        given = any(getattr(server, key) is not None for server in servers)
        if given and all(server.name != name for server in servers):
            chosen = servers[0].name
            raise ConfigError(f"server.{key}: is read with server={name} only, and server={chosen} is chosen")
    for key in sorted({key_of(o) for p in planned for o in p.overrides}):
        if len(_values(planned, key)) < 2:
            continue
        group = key.partition(".")[0]
        if group in AFTERWARDS:
            raise ConfigError(
                f"{key}: judges the runs and does not change them, so give one value; to judge them by another: "
                f"resume=FOLDER {key}=VALUE"
            )
        if key not in _OF_NODES and (key in _WHOLE or group in _WHOLE):
            raise ConfigError(f"{key}: applies to the whole sweep; give one value")
        if group not in _OF_OURS or key in _TOLD_TO_ALL:
            continue
        for name in ("command", "external"):
            runs = [p for p in planned if p.config.server.name == name]
            values = _values(runs, key)
            told = [p.config.server.mentions() for p in runs]
            if len(values) > 1 and not all(key.removeprefix("server.") in names for names in told):
                shown = f"{key}={','.join(sorted(values))}"
                raise ConfigError(f"{shown}: {_ALIKE[name].format(key=key.removeprefix('server.'))}")


def _values(planned: Sequence[Planned], key: str) -> set[str]:
    return {next((unquoted(o.partition("=")[2]) for o in p.overrides if key_of(o) == key), "") for p in planned}


_ALIKE = {
    "command": "server.cmd does not mention {{{key}}}, so one server would be measured several times; "
    "it may have {{workers}}, {{threads}}, {{host}} and {{port}}",
    "external": "{key} does not reach a server that already runs, so each run would measure the same; measure it, "
    "restart it with another value, measure again, and compare both: python -m capsexp.compare A B",
}


def add(
    sweep: PlannedSweep, wanted: Sequence[tuple[str, int]], config_dir: Path | None, config_name: str
) -> list[Planned]:
    """Plan more runs of a sweep that has begun: (key, trial) each, numbered on. A trial that was planned before is a
    repetition: the same order of requests, compared with the same partners."""
    added = []
    for key, trial in wanted:
        like = _like(sweep, key)
        said = like.overrides if like.key == key else probing.sibling(like.overrides, key, like.config)
        overrides = [*(o for o in said if key_of(o) != "trial"), f"trial={trial}"]
        config = resolve(compose.raw(overrides, config_dir, config_name))
        num = 1 + max(p.num for p in sweep.planned)
        planned = Planned(num, f"{num}-{key},trial={trial}", key, trial, tuple(overrides), config)
        sweep.planned.append(planned)
        added.append(planned)
    return added


def _like(sweep: PlannedSweep, key: str) -> Planned:
    """A run with this key; in a search for a capacity, before there is any, one of another load."""
    same = [p for p in sweep.planned if p.key == key]
    if same or sweep.search is None:
        return same[0]
    over = sweep.search["over"]
    return next(p for p in sweep.planned if split_load(p.key, over)[0] == split_load(key, over)[0])


def make_folder(sweep: PlannedSweep) -> Path:
    """Create the sweep's folder, which must be new: two sweeps of one second get two folders. Raises ConfigError."""
    folder = sweep.folder
    if "${" in str(folder):
        raise ConfigError(f"hydra.sweep.dir: Hydra takes the ${{ in {folder} for a setting; choose a folder without it")
    if len(os.fsencode(folder.name)) > LONGEST_FOLDER:
        raise ConfigError(f"hydra.sweep.dir: {folder.name[:40]}... is too long a name; at most {LONGEST_FOLDER} bytes")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 100):
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                if sweep.folder_given:
                    raise ConfigError(f"hydra.sweep.dir: {folder} exists; give a new folder or remove it") from None
                folder = sweep.folder.with_name(f"{sweep.folder.name}-{attempt + 1}")
    except OSError as error:
        raise ConfigError(f"hydra.sweep.dir: cannot create {folder}: {error.strerror}; choose another folder") from None
    raise ConfigError(f"hydra.sweep.dir: {folder} exists; give a new folder")


def record(
    sweep: PlannedSweep,
    argv: Sequence[str],
    folder: Path,
    interrupted: bool,
    stopped: str | None = None,
    further_since: float | None = None,
) -> Sweep:
    """What sweep.json is to hold; `stopped`: the setting that ended trials=auto, where that was the time, which counts
    from `further_since` (Unix time) on."""
    config, settings = sweep.config, to_dict(sweep.config)
    return Sweep(
        name=config.name,
        folder=_as_typed(folder),
        argv=tuple(argv),
        planned=tuple(
            PlannedRun(
                num=p.num, dir=p.dir, key=p.key, trial=p.trial,
                overrides=tuple(plain(o) for o in p.overrides), given=p.overrides,
            )
            for p in sweep.planned
        ),
        told=sweep.told,
        interrupted=interrupted,
        repeats=sweep.repeats,
        expected_load_s={key: round(seconds, 1) for key, seconds in sweep.expected.items()},
        trials=1 if sweep.search else config.trials,
        trials_max=config.trials_max,
        racing=config.search.name == "race",
        stopped=stopped,
        further_since=further_since,
        search=sweep.search,
        schedules=sweep.schedules,
        thresholds_before=sweep.thresholds_before,
        **{group: settings[group] for group in AFTERWARDS},
    )  # fmt: skip


def _as_typed(folder: Path) -> str | None:
    """The folder as it is named from where the sweep was started; None where that is elsewhere, as no file of ours
    holds an absolute path."""
    try:
        return folder.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return None
