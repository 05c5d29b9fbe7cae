"""search=race: which configurations of a sweep can no longer be the one to run, and what is run next. Pure.

A race (Maron and Moore, Artificial Intelligence Review 11, 1997) drops a configuration once it is surely out, so that
runs go where the answer is still open. Every trial is a block that the machine's drift shifts as a whole, as in F-race
(Birattari et al., GECCO 2002), and the noise is taken to be alike for all configurations, as few have more than a run
or two (see blocks): that is what lets one be dropped after its first run.

RISK is that of ever dropping the configuration that ought to be recommended. It is shared evenly among all that may
beat it and all looks that may be taken (Bonferroni), so it holds however long the race goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from capsexp.analysis import gates
from capsexp.analysis.blocks import Fit, Speeds, fit
from capsexp.analysis.choice import Choice, failed, preferred
from capsexp.analysis.groups import Configs, groups
from capsexp.analysis.trials import Gain
from capsexp.counts import counted
from capsexp.results.report import Configuration, Dropped, Open
from capsexp.results.verdicts import Status, Verdict

RISK = 0.05
LEADING = 1 / 3  # of the configurations, that are run a second time to see how much runs differ by chance
FEWEST_LEADING = 4
OPEN = 0.95  # of the interval that leaves open which of two is the one to run, as with trials=auto


def dropped(
    found: Sequence[Configuration], speeds: Speeds, tolerance: float, limit: float | None, looks: int
) -> dict[str, Dropped]:
    """Of configurations that answer one question those that cannot be the one to run, each with why: one that fails a
    gate, that surely gains less than the speedup `limit`, or that is surely slower by more than `tolerance` than one
    that keeps all limits so far. `looks`: how often this is asked at most.

    It is said anew from all runs at each look: who was beaten by one that then failed is back in the race. Baselines of
    others in it are none of these, as those are compared with them."""
    made = fit({c.key: speeds.get(c.key, {}) for c in found})
    chance = RISK / (max(1, len(found) - 1) * looks)
    out: dict[str, Dropped] = {}
    for c in found:
        if why := _failed(c) or _gains_too_little(c, made, limit, chance):
            out[c.key] = Dropped(trials=_trials(c), why=why)
    able = [c.key for c in found if c.key in made.keys and c.key not in out and gates.keeps_all(c)]
    best = max(able, key=made.log, default=None)
    for c in found:
        if best is None or c.key in out or c.key not in made.keys or c.key == best:
            continue
        behind = made.surely(best, c.key, chance)
        if behind > -math.log(1 - tolerance):
            why = f"certainly slower than {best}, by {100 * (1 - math.exp(-behind)):.0f} % at least"
            out[c.key] = Dropped(trials=_trials(c), by=best, why=why)
    needed = {c.baseline for c in found if c.key not in out}
    return {key: one for key, one in out.items() if key not in needed}


def _failed(c: Configuration) -> str | None:
    if c.status in (Status.FAILED, Status.REFUSED):
        return "it was refused" if c.status == Status.REFUSED else "its run failed"
    missed = failed(c)
    return f"does not pass ({', '.join(missed)})" if missed else None


def _gains_too_little(c: Configuration, made: Fit, limit: float | None, chance: float) -> str | None:
    base = c.baseline
    if limit is None or not c.adds_workers or base is None or not {c.key, base} <= set(made.keys):
        return None
    most = math.exp(-made.surely(base, c.key, chance))
    return f"certainly gains less than {limit:g}x over {base}: {most:.2f}x at most" if most < limit else None


def _trials(c: Configuration) -> int:
    return len(c.validity.runs)


def questions(
    found: Sequence[Configuration],
    configs: Configs,
    speeds: Speeds,
    choices: Mapping[str, Choice],
    tolerance: float,
    trials: int,
) -> tuple[Open, ...]:
    """Who runs in the next round: the likely winner and everyone who may still beat it, until each has had `trials`
    runs. The second round is for the fastest so far: it tells how much runs differ by chance."""
    each: list[Open] = []
    for group in groups([c for c in found if c.key in configs], configs).values():
        left = [c for c in group if c.dropped is None and c.status == Status.OK and _trials(c) < trials]
        made = fit({c.key: speeds.get(c.key, {}) for c in group})
        if made.degrees:
            left = [c for c in left if not _settled(c, choices.get(c.key), made)]
        else:
            order = sorted(left, key=lambda c: -made.log(c.key))
            left = order[: max(FEWEST_LEADING, math.ceil(LEADING * len(group)))]
        for c in left:
            choice = choices.get(c.key)
            likely = choice is None or choice.chosen.key == c.key
            beside = (c.baseline,) if likely and c.baseline not in (None, c.key) else ()
            why = f"still in the race, with {counted(_trials(c), 'run')} of {trials}"
            each.append(Open(key=c.key, beside=beside, why=why, race=True))
    return tuple(each)


def gains(found: Sequence[Configuration], configs: Configs, speeds: Speeds) -> Gain:
    """How many times as fast one configuration is as another of its group."""
    fits: dict[str, Fit] = {}
    for group in groups([c for c in found if c.key in configs], configs).values():
        made = fit({c.key: speeds.get(c.key, {}) for c in group})
        fits |= {c.key: made for c in group}
    return lambda one, other: fits[one].ratio(one, other, OPEN)


def _settled(c: Configuration, choice: Choice | None, made: Fit) -> bool:
    return choice is not None and preferred(choice, c, lambda one, other: made.ratio(one, other, OPEN))


def raced(
    found: Sequence[Configuration],
    configs: Configs,
    speeds: Speeds,
    tolerance: float,
    limit: float | None,
    looks: int,
) -> list[Configuration]:
    """With who is out of the race. What surely does not pass is NOT_FEASIBLE; what is surely slower than another is
    not judged further."""
    out, at_average = dict[str, Dropped](), dict[str, Configuration]()
    for group in groups([c for c in found if c.key in configs], configs).values():
        own = [c for c in group if c.fault.kind == "none" and not c.timed]
        out |= dropped(own, speeds, tolerance, limit, looks)
        made = fit({c.key: speeds.get(c.key, {}) for c in own})
        at_average |= {c.key: _at_average(c, made) for c in own if c.key in made.keys}
    changed = [at_average.get(c.key, c) for c in found]
    return [_without(c, out[c.key]) if c.key in out else c for c in changed]


def _at_average(c: Configuration, made: Fit) -> Configuration:
    """With speed and makespan as they are in the average trial of all: few have had a run in each."""
    reached, took = c.metric("throughput_rtfx"), c.metric("makespan_s")
    if reached.value is None or took.value is None:
        return c
    value, ci95 = made.speed(c.key)
    audio_s, runs = reached.value * took.value, len(reached.values)
    speed = msgspec.structs.replace(reached, value=value, ci95=ci95, n=runs)
    turned = None if ci95 is None else (audio_s / ci95[1], audio_s / ci95[0])
    makespan = msgspec.structs.replace(took, value=audio_s / value, ci95=turned, n=runs)
    return msgspec.structs.replace(c, metrics={**c.metrics, "throughput_rtfx": speed, "makespan_s": makespan})


def _without(c: Configuration, why: Dropped) -> Configuration:
    fails = why.by is None and c.verdict == Verdict.INCONCLUSIVE
    return msgspec.structs.replace(c, dropped=why, verdict=Verdict.NOT_FEASIBLE if fails else c.verdict)


def outcome(found: Sequence[Configuration]) -> str | None:
    """One sentence on what the race came to; None where nothing was dropped."""
    out = [c for c in found if c.dropped]
    if not out:
        return None
    each = f"{len(out)} of {counted(len(found), 'configuration')}"
    return (
        f"search=race dropped {each} after {counted(sum(map(_trials, out)), 'run')} of them; the risk that the best "
        f"one is among them is {100 * RISK:g} % at most"
    )
