"""Baselines of each configuration: the fewest workers with the same threads, and one worker that may use as
many cores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from capsexp.keys import AFTERWARDS, SWEEP_KEYS
from capsexp.results import nodes
from capsexp.results.report import Configuration
from capsexp.results.run import Run, Tree

# Keys that do not make another experiment of it: what is compared, and what only watches, judges or files it.
_ASIDE = SWEEP_KEYS | {*AFTERWARDS, "workers", "pool", "monitor", "reference"}
_NODES = ("partition", "constraint", "node")  # of executor
NODE = "node"  # beside the settings of a run: the kind of node
_SERVER_ASIDE = frozenset({"port", "grace", "ready_timeout", "on_low_memory", "stuck_s", "stuck_rtf"})


def settings(run: Run) -> Tree:
    """Of a run, and on what kind of node it was made: what is compared is of one kind."""
    found = nodes.kind(run.environment)
    return run.config if found is None else {**run.config, NODE: found}


def group_key(config: Tree, *aside: str) -> str:
    """Equal for configurations that differ only in workers, pool and what is named in `aside`."""
    kept = {key: value for key, value in config.items() if key not in _ASIDE and key not in aside}
    executor = config.get("executor")
    if isinstance(executor, Mapping) and (asked := {key: executor[key] for key in _NODES if executor.get(key)}):
        kept["executor"] = asked  # which nodes were asked for
    if placement(config) == "none":
        kept.pop("placement", None)  # of which older versions said nothing
    kept["server"] = {key: value for key, value in config["server"].items() if key not in _SERVER_ASIDE}
    return json.dumps(kept, sort_keys=True)


def placement(config: Tree) -> str:
    """What its workers were pinned to, by its name."""
    found = config.get("placement")
    return str(found.get("name", "none")) if isinstance(found, Mapping) else "none"


def find(runs: Iterable[Run]) -> dict[str, str]:
    """The baseline's key for each key of `runs`, one run of each configuration: of its group the one with the fewest
    workers, pool `process` first."""
    return _find(runs, settings)


def elsewhere(runs: Iterable[Run]) -> frozenset[str]:
    """The keys of those that have no baseline on their kind of node, as it was made on another one."""
    runs = list(runs)
    found, anywhere = find(runs), _find(runs, lambda run: run.config)
    return frozenset(key for key, base in found.items() if base == key != anywhere[key])


def _find(runs: Iterable[Run], told: Callable[[Run], Tree]) -> dict[str, str]:
    group, best = {}, dict[str, Run]()
    for run in runs:
        own = group[run.key] = group_key(told(run))
        if own not in best or _rank(run) < _rank(best[own]):
            best[own] = run
    return {key: best[own].key for key, own in group.items()}


def without_fault(runs: Sequence[Run]) -> dict[str, str]:
    """For the key of each run with an injected fault that of the one that differs only in having none."""
    return _but_for(runs, "fault", lambda run: run.fault == "none")


def unpinned(runs: Sequence[Run]) -> dict[str, str]:
    """For the key of each run with pinned workers that of the one that differs only in having none."""
    return _but_for(runs, "placement", lambda run: placement(run.config) == "none")


def _but_for(runs: Sequence[Run], group: str, usual: Callable[[Run], bool]) -> dict[str, str]:
    def rest(run: Run) -> tuple[int | None, str, str]:
        return run.workers, run.pool, group_key(settings(run), group)

    alike = {rest(run): run.key for run in runs if usual(run)}
    return {run.key: alike[own] for run in runs if (own := rest(run)) in alike and alike[own] != run.key}


def _rank(run: Run) -> tuple[int, bool]:
    return run.workers or 1 << 30, run.pool != "process"


def iso_resource(
    one: Configuration, singles: Sequence[Configuration], one_core: bool
) -> tuple[Configuration | None, str | None]:
    """Of `singles`, configurations with one worker and the same settings but for `threads`, the one with the highest
    throughput among those that use no more threads than `one` does in all; and why there is none that would be fair.

    With few cores, the threads inside a recognizer already give much of what a second process gives: against
    `workers=1,threads=1` alone that would look like a gain of the processes. Of an engine that recognizes on `one_core`
    whatever `threads` says, the best single worker is the baseline itself.
    """
    threads = one.threads or 1
    room = (one.workers or 1) * threads
    known = {s.key: reached for s in singles if (reached := s.value("throughput_rtfx")) and (s.threads or 1) <= room}
    if not known:
        return None, "no configuration with one worker completed"
    fair = [s for s in singles if s.key in known]
    if not one_core and not any((s.threads or 1) > threads for s in fair):
        return None, (
            f"no single worker with more threads than {threads} in this sweep; "
            f"threads={threads},{room} would add one with as many cores"
        )
    return max(fair, key=lambda s: (known[s.key], -(s.threads or 1))), None
