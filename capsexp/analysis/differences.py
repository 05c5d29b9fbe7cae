"""Compares two sweeps: their results, and the settings and machines in which they differ. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from capsexp.analysis import metrics, statistics
from capsexp.analysis.aggregate import Observed, that_count
from capsexp.analysis.figures import Figures
from capsexp.keys import SCHEDULE, SWEEP_KEYS
from capsexp.results.run import Run

# What differs between any two runs, or says nothing about what was measured.
_ASIDE = SWEEP_KEYS | {"archive", "report"}

# What makes the work another: the figures of one say nothing about the other's.
_WORK = ("engine", "samples", "load", "punctuation", "hours", "fault")
_MACHINE = ("cpu", "cpus_usable")  # likewise, of an environment

# Such times compare like with like only where both servers sent about as many texts before the last one: each costs the
# server time, and one who has read most of a text waits for something else than one who has seen nothing of it.
_WAITS = ("latency", "stop_to_text", "lag")  # metrics by how they begin
APART = "not as many texts"  # of such a time that is not compared
ALIKE_TEXTS = 1.25  # times as many are still about as many
UNEQUAL = "Not as many texts before the last one, so latency, stop-to-text and lag do not compare like with like:"

Trials = Sequence[Figures]


@dataclass(frozen=True)
class Difference:
    """After / before of one metric of one configuration; `different` is None with too few trials to say."""

    key: str
    metric: str
    before: float
    after: float
    ratio: float
    ci95: statistics.Interval | None
    different: bool | None

    def apart(self, texts: Container[str]) -> bool:
        """Whether it does not compare like with like, as its configuration is one of those with other `texts`."""
        return self.key in texts and self.metric.startswith(_WAITS)


def ratios(before: Mapping[str, Trials], after: Mapping[str, Trials]) -> list[Difference]:
    """For each configuration key of both, from its valid runs, by each metric that compares sweeps. Sweeps share no
    trials, so the intervals are unpaired (Welch)."""
    found = []
    for key in [key for key in before if key in after]:
        timed = any(f.timed for f in after[key])
        for metric, pick in metrics.compared(timed):
            old, new = ([v for f in runs[key] if (v := pick(f))] for runs in (before, after))
            if old and new:
                ci95, then, now = statistics.unpaired(new, old), geometric_mean(old), geometric_mean(new)
                different = None if ci95 is None else not ci95[0] <= 1 <= ci95[1]
                found.append(Difference(key, metric.tag, then, now, now / then, ci95, different))
    return found


def texts(before: Mapping[str, Trials], after: Mapping[str, Trials]) -> dict[str, tuple[float, float]]:
    """Of each configuration of both, where the one sent clearly more texts before the last one than the other: how
    many each, per second of audio."""
    found = {}
    for key in [key for key in before if key in after]:
        old, new = (_texts(runs[key]) for runs in (before, after))
        if old is not None and new is not None and max(old, new) > ALIKE_TEXTS * min(old, new):
            found[key] = old, new
    return found


def _texts(runs: Trials) -> float | None:
    known = [f.felt.texts_per_s for f in runs if f.felt.texts_per_s is not None]
    return sum(known) / len(known) if known else None


def unequal(found: Mapping[str, tuple[float, float]]) -> list[str]:
    """What `texts` found, in words: a sentence, or none."""
    each = [f"{key}: {old:.3g} and {new:.3g} texts per second of audio" for key, (old, new) in found.items()]
    return [f"{UNEQUAL} {'; '.join(each)}."] if each else []


def changes(before: Any, after: Any, prefix: str = "") -> list[tuple[str, Any, Any]]:
    """(dotted key, before, after) of each value that differs; a key that only one has is None in the other."""
    if isinstance(before, Mapping) and after is None:
        after = {}
    if isinstance(after, Mapping) and before is None:
        before = {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return [] if before == after else [(prefix.rstrip("."), before, after)]
    found = []
    for key in sorted({*before, *after}, key=str):
        if prefix or key not in _ASIDE:
            found += changes(before.get(key), after.get(key), f"{prefix}{key}.")
    return found


def models(before: Any, after: Any) -> list[str]:
    """A line for each model file that differs between what two environments tell of their engines' models: a name
    with its size in bytes and its hash, by engine."""
    old, new = _files(before), _files(after)
    said = []
    for file in sorted({*old, *new}):
        mine, theirs = old.get(file), new.get(file)
        if mine is None or theirs is None:
            when = "after" if mine is None else "before"
            said.append(f"{file} is there {when} only ({_size(mine or theirs)})")
        elif mine.get("sha256") != theirs.get("sha256"):
            same = _size(mine) == _size(theirs)
            sizes = f"of the same size, {_size(mine)}" if same else f"{_size(mine)} before, {_size(theirs)} after"
            said.append(f"{file} is another file ({sizes})")
    return said


def _files(engines: Any) -> dict[str, Mapping[str, Any]]:
    """By engine and file; what is no such table has none."""
    return {
        f"{engine}: {file}": facts
        for engine, files in (engines.items() if isinstance(engines, Mapping) else ()) if isinstance(files, Mapping)
        for file, facts in files.items() if isinstance(facts, Mapping)
    }  # fmt: skip


def _size(facts: Mapping[str, Any] | None) -> str:
    count = (facts or {}).get("bytes")
    return f"{count / 2**20:.1f} MB" if isinstance(count, int) else "size unknown"


def counting(observed: Sequence[Observed]) -> dict[str, list[Figures]]:
    """Of each key the figures of its valid runs; of all, where none is."""
    found: dict[str, list[Figures]] = {}
    for key in dict.fromkeys(o.run.key for o in observed):
        own = [o for o in observed if o.run.key == key and o.figures]
        found[key] = [o.figures for o in that_count(own) if o.figures]
    return found


def configurations(old: Sequence[Observed], new: Sequence[Observed]) -> list[tuple[str, Any, Any]]:
    """Of the keys that both have, each difference in settings once."""
    before, after = ({o.run.key: o.run for o in observed} for observed in (old, new))
    found = [
        change for key in before if key in after
        for change in changes(before[key].config, after[key].config)
        if not _came_to_one(change[0], before[key], after[key]) and not _same_table(change[0], before[key], after[key])
    ]  # fmt: skip
    return list({repr(change): change for change in found}.values())


def _came_to_one(key: str, before: Run, after: Run) -> bool:
    """Whether what one left to `auto` is what the other asked for."""
    group, _, name = key.partition(".")
    if group != "load" or name not in ("repeats", "concurrency"):
        return False
    value = getattr(before, name)
    return value is not None and value == getattr(after, name)


def _same_table(key: str, before: Run, after: Run) -> bool:
    """Whether what names a file (load=schedule) names one with the same content."""
    mine, theirs = _table(before), _table(after)
    return key == "load.csv" and mine is not None and mine == theirs


def _table(run: Run) -> str | None:
    return (run.fingerprint or {}).get(SCHEDULE)


def machines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What makes another machine of it, in words, of two environments."""
    return [
        f"{name} {before.get(name)} and {after.get(name)}" for name in _MACHINE if before.get(name) != after.get(name)
    ]


def unlike(old: Sequence[Observed], new: Sequence[Observed]) -> list[str]:
    """Why the two did not do the same work, in words."""
    if not set(counting(old)) & set(counting(new)):
        return ["no configuration is in both; a sweep of the same key is needed"]
    changed = {key.partition(".")[0] for key, _, _ in configurations(old, new)}
    found = [f"other settings of {name}" for name in _WORK if name in changed]
    samples = [_samples(observed) for observed in (old, new)]
    if all(samples) and samples[0] != samples[1]:  # a run that failed early knows of none
        found.append("the samples")
    before, after = ({o.run.key: _table(o.run) for o in observed} for observed in (old, new))
    if any(before[key] and after[key] and before[key] != after[key] for key in before.keys() & after.keys()):
        found.append("the table of the load")
    units = [
        {o.figures.memory.metric for o in observed if o.figures and o.figures.memory.metric} for observed in (old, new)
    ]
    if all(units) and units[0] != units[1]:
        found.append(f"memory as {_units(units[0])} and {_units(units[1])}")
    return found


def _units(names: set[str]) -> str:
    return "/".join(sorted(name.upper() for name in names))


def _samples(observed: Sequence[Observed]) -> set[str]:
    return {sample.sha256 for o in observed for sample in o.run.samples}
