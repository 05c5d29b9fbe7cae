"""What a command is going to do: the machine, the runs, and their estimated duration. Shown before it starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from capsexp import samples
from capsexp.config import Config, worker_count
from capsexp.counts import counted
from capsexp.experiment import alone, environment, expected, reference
from capsexp.experiment.further import foretold
from capsexp.experiment.reference_part import PART_S, START_S
from capsexp.experiment.repeats import Pace, decide, expected_s, key
from capsexp.experiment.sweep import PlannedSweep
from capsexp.files import from_here
from capsexp.live.eta import BESIDE_S, BETWEEN_S, spoken
from capsexp.machine import available_mb, usable_cpus
from capsexp.results.sweep import Repeats

OUTPUTS = Path("outputs")  # where earlier sweeps are looked for, which know how fast the engine is here
MOST_NAMED = 6  # configurations


@dataclass(frozen=True)
class Forecast:
    """Seconds that runs take with their references; `at_least`: of some no more is known than what is asked for, or
    what their loads' own times come to; `reference_tells`: the reference will tell more."""

    seconds: float
    at_least: bool
    reference_tells: bool = False


def forecast(
    configs: Sequence[Config],
    pace_of: Callable[[Config], Pace | None],
    workers: Sequence[int],
    cpus: float,
    least_s: Callable[[Config], float | None] = lambda config: None,
) -> Forecast:
    """Of all runs together. `pace_of`: what an earlier reference of the same work reached; `workers`: the counts of the
    sweep, for which the reference is run; `least_s`: how long a load with times of its own lasts at least."""
    alike, decided = defaultdict[str, list[Config]](list), dict[str, Repeats]()
    for config in configs:
        alike[key(config)].append(config)
    seconds, at_least, tells, texts_s, timed_s = 0.0, False, False, dict[str, float](), dict[tuple[str, int], float]()
    for own, group in alike.items():
        for config in group:
            pace = pace_of(config)
            if pace is not None and own not in decided:
                decided[own] = decide(pace, group, cpus)
            load_s = expected_s(config, pace, decided, cpus)
            untimed = pace is None and config.reference.name != "off"  # how long the reference itself takes
            at_least |= load_s is None or untimed
            tells |= untimed or (load_s is None and not config.load.timed)
            asked_s = least_s(config) or _asked_s(config, group, cpus)
            own_s = (asked_s if load_s is None else load_s) + BESIDE_S
            seconds += own_s + BETWEEN_S + config.cooldown
            if pace is not None and config.reference.name == "engine":
                name, share = reference.digest(config), config.reference.share
                texts_s[name] = pace.took_s
                most_s = PART_S + START_S if share is None else min(PART_S + START_S, share * own_s)
                most_s *= len(reference.counts(config, workers))
                timed_s[name, config.trial] = timed_s.get((name, config.trial), 0.0) + most_s
    return Forecast(seconds + sum(texts_s.values()) + sum(timed_s.values()), at_least, tells)


def _asked_s(config: Config, alike: Sequence[Config], cpus: float) -> float:
    """A load of which only is known that the fastest configuration is to take load.min_s."""
    if config.load.repeats != "auto" or config.load.timed:
        return 0.0
    most = max(_parallel(one, cpus) for one in alike)
    return float(config.load.min_s) * most / _parallel(config, cpus)


def _parallel(config: Config, cpus: float) -> float:
    return min(max(1.0, cpus), (worker_count(config.workers) or cpus) * config.threads)


def lines(sweep: PlannedSweep, due: Sequence[Config]) -> list[str]:
    """For a user: machine, runs, duration; none where nothing is due."""
    if not due:
        return []
    about, cpus = environment.machine(), usable_cpus()
    free = f"{available_mb() / 1024:.1f} of {about['memory_mb'] / 1024:.1f} GB are free"
    machine = f"{about['cpu'] or about['machine']}, {counted(cpus, 'CPU')} usable, {free}"
    found = {id(config): expected.earlier(OUTPUTS, config) for config in due}
    paces = {own: earlier[0] for own, earlier in found.items() if earlier is not None}
    least = {id(p.config): sweep.expected.get(p.key) for p in sweep.planned if p.config.load.timed}
    told = forecast(
        due, lambda config: paces.get(id(config)), sweep.worker_counts, cpus, lambda config: least.get(id(config))
    )
    seen = [earlier[1] for earlier in found.values() if earlier is not None]
    said = [f"machine: {machine}", f"runs: {_runs(sweep, due)}", f"time: {_time(told, seen)}{_asked(due, found)}"]
    return [*said, f"then: {further}"] if (further := foretold(sweep).removeprefix("; then ")) else said


def _runs(sweep: PlannedSweep, due: Sequence[Config]) -> str:
    keys = list(dict.fromkeys(planned.key for planned in sweep.planned))
    named = ", ".join(keys[:MOST_NAMED]) + (f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else "")
    trials = len({planned.trial for planned in sweep.planned})
    each = f", {counted(trials, 'trial')} of each"
    first = due[0]
    clips = counted(len(samples.paths(first.samples)), "sample")
    by = {"engine": first.engine.name} if first.uses_engine else {"target": first.target.name}
    what = {
        "server": first.server.name, **by, "samples": f"{first.samples.name} ({clips})",
        "load": first.load.name, "reference": first.reference.name,
    }  # fmt: skip
    return f"{len(due)}: {named}{each}; {', '.join(f'{name}={value}' for name, value in what.items())}"


def _time(told: Forecast, seen: Sequence[Path]) -> str:
    about = f"about {spoken(told.seconds)}"
    if told.at_least:
        later = "the sweep says more once the reference has shown how fast recognition is here"
        return f"at least {about}; {later if told.reference_tells else 'to which waiting for the last texts is added'}"
    where = f", estimated from {from_here(seen[0])}" if seen else ""
    return f"{about}{where}"


def _asked(due: Sequence[Config], known: Mapping[int, object]) -> str:
    """What a server is asked for before the loads, where nobody knows yet how long that takes."""
    unknown = {alone.digest(c): c for c in due if c.reference.name == "server" and known[id(c)] is None}
    if not unknown:
        return ""
    asked = alone.ASKINGS * sum(len(samples.paths(c.samples)) for c in unknown.values())
    return f"; before the loads, the server answers {counted(asked, 'request')}, one at a time"
