"""Decides which runs to repeat because they were disturbed, and which trials=auto adds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from capsexp.analysis import statistics
from capsexp.analysis.choice import Choice, preferred, smallest
from capsexp.analysis.validity import SETTINGS, TOO_SHORT
from capsexp.counts import counted
from capsexp.results.report import Configuration, Open, RunValidity
from capsexp.results.verdicts import Reading, Status, Verdict

FRUITLESS = 6  # repetitions in a row that were disturbed again: the machine is not going to be quiet
LASTING = frozenset({SETTINGS, TOO_SHORT})  # why a run does not count that another one would not either
BUDGET = "budget_s"  # what ended a sweep, where it was the time
Gain = Callable[[str, str], statistics.Interval | None]  # how many times as fast the one is as the other
RATIOS = ("speedup", "memory_growth", "efficiency")


def repeats(configurations: Sequence[Configuration], most: int) -> list[tuple[str, int]]:
    """(key, trial) of each trial without a valid run, while its configuration has had fewer than `most` runs. One
    that failed for a reason of the harness has none; one that was too short, or was asked for what cannot be done,
    would be so again."""
    found = []
    for c in configurations:
        runs = c.validity.runs
        good = {run.trial for run in runs if run.valid or LASTING & {reason.code for reason in run.reasons}}
        if (c.status == Status.OK or c.failure == "harness") and len(runs) < most:
            found += [(c.key, trial) for trial in sorted({run.trial for run in runs} - good)]
    return found


def _too_short(runs: Sequence[RunValidity]) -> bool:
    return any(reason.code == TOO_SHORT for run in runs for reason in run.reasons)


def hopeless(configuration: Configuration) -> bool:
    """Whether more trials would only be too short again."""
    runs = configuration.validity.runs
    return not any(run.valid for run in runs) and _too_short(runs)


def questions(
    found: Sequence[Configuration],
    choices: Mapping[str, Choice],
    tolerance: float,
    ci_width: float | None,
    raced: Gain | None = None,
) -> tuple[Open, ...]:
    """What another trial can still change: a verdict, the recommendation, or a gated ratio that is to be known to
    +- `ci_width`. `choices`: the choice that each configuration, by its key, takes part in; `raced`: in a race, how
    their speeds compare by all runs together."""
    by_key = {c.key: c for c in found}
    left = set(unpursued(found, choices, raced))
    each: dict[str, Open] = {}
    recommended = list(_recommended(choices, by_key, tolerance, raced))
    for one, others, why in (
        *((c, (), why) for c, why in _undecided(found) if c.key not in left),
        *recommended,
        *_widths(found, ci_width),
    ):
        keys = [c.key for c in (one, *others)]
        bases = [base for key in keys if (base := by_key[key].baseline)]
        # In a race speeds are compared by all runs together, whatever has a run in the same trial.
        beside = dict.fromkeys([*keys[1:], *(() if raced is not None and others else bases)])
        if all(by_key[key].status == Status.OK for key in (*keys, *beside)):
            beside.pop(one.key, None)
            first = each.get(one.key) or Open(key=one.key, beside=tuple(beside), why=why)
            each[one.key] = replace(first, recommended=first.recommended or (one, others, why) in recommended)
    return tuple(each.values())


_Question = tuple[Configuration, Sequence[Configuration], str]  # about the first, between it and others


def unpursued(found: Sequence[Configuration], choices: Mapping[str, Choice], raced: Gain | None = None) -> list[str]:
    """Keys of configurations whose open verdict cannot change the recommendation, so that no trial is made for them:
    another one passes and is certainly preferred. In a race only the chosen configuration gets further trials."""
    gain = raced or _gain({c.key: c for c in found})
    out = []
    for c, _ in _undecided(found):
        made = choices.get(c.key)
        if made is None or made.chosen.key == c.key:
            continue
        if raced is not None or (made.decided and preferred(made, c, gain)):
            out.append(c.key)
    return out


def _undecided(found: Sequence[Configuration]) -> Iterator[tuple[Configuration, str]]:
    """Whose gates or SLO further trials may decide, and why they do not yet. Error rates are left out: repeating the
    same samples tells nothing new."""
    for c in found:
        judged = [(g.metric, g.verdict, g.reason) for g in c.gates if c.metric(g.metric).of != "samples"]
        judged += [(one.name, one.verdict, one.reason) for one in c.slo]
        waiting = [(name, reason or "") for name, verdict, reason in judged if verdict == Reading.INCONCLUSIVE]
        if waiting and c.verdict == Verdict.INCONCLUSIVE and c.fault.kind == "none" and c.dropped is None:
            yield c, "; ".join(f"{name}: {reason.partition(';')[0]}" for name, reason in waiting)


def _recommended(
    choices: Mapping[str, Choice], by_key: Mapping[str, Configuration], tolerance: float, raced: Gain | None
) -> Iterator[_Question]:
    """Of those that may be recommended, each that is as likely to be too slow for it, or fast enough, by its trials
    beside those of the one that is."""
    for choice in {id(choice): choice for choice in choices.values()}.values():
        for other in choice.candidates:
            if other is choice.chosen:
                continue
            small = smallest([choice.chosen, other], tolerance)
            big = other if small is choice.chosen else choice.fastest  # as fast as that is what a small one has to be
            gain = (raced or _gain(by_key))(big.key, small.key)
            if gain and gain[0] < 1 / (1 - tolerance) < gain[1]:
                speed = " to ".join(f"{limit:.2f}" for limit in gain)
                others = {c.key: c for c in (choice.chosen, big) if c is not other}
                yield other, tuple(others.values()), f"{big.key} is {speed} times as fast as {small.key}"


def _gain(by_key: Mapping[str, Configuration]) -> Gain:
    """By the trials that both have."""

    def gain(one: str, other: str) -> statistics.Interval | None:
        return statistics.interval(statistics.ratios(_speeds(by_key[one], by_key), _speeds(by_key[other], by_key)))

    return gain


def _speeds(c: Configuration, by_key: Mapping[str, Configuration]) -> dict[int, float]:
    """RTFx of each trial that its figures are of (see combine.paced); empty where that cannot be told."""
    trials = _valid(c) & _valid(by_key[c.baseline or c.key])
    values = c.metric("throughput_rtfx").values
    return dict(zip(sorted(trials), values, strict=True)) if len(trials) == len(values) else {}


def _valid(c: Configuration) -> set[int]:
    return {run.trial for run in c.validity.runs if run.valid}


def _widths(found: Sequence[Configuration], ci_width: float | None) -> Iterator[_Question]:
    for c in found if ci_width is not None else ():
        for gate in c.gates if c.dropped is None else ():
            width = statistics.width(gate.ci95)
            if gate.metric in RATIOS and width is not None and width > (ci_width or 0.0):
                yield c, (), f"{gate.metric} is known only to +-{100 * width:.1f} %"


def further(configurations: Sequence[Configuration], open_: Sequence[Open], most: int) -> list[tuple[str, int]]:
    """(key, trial) of one more trial of all that is open, with what it is compared with: none when it is time to
    stop, as each has had `most` runs, or another would be too short again or fail as the last one."""
    by_key = {c.key: c for c in configurations}
    sets = [{one.key, *one.beside} for one in open_]
    sets = [keys for keys in sets if all(_may_run(by_key[key], most) for key in keys)]
    needed = {key for keys in sets for key in keys}
    trial = 1 + max((run.trial for c in configurations for run in c.validity.runs), default=0)
    return [(c.key, trial) for c in configurations if c.key in needed]


def _may_run(c: Configuration, most: int) -> bool:
    return _runs(c) < most and not hopeless(c) and not _unusable(c)


def _unusable(c: Configuration) -> bool:
    """Whether its last run failed as it was asked for what cannot be done: another would, too."""
    return any(reason.code == SETTINGS for run in c.validity.runs[-1:] for reason in run.reasons)


def _runs(configuration: Configuration) -> int:
    return len(configuration.validity.runs)


def outcome(
    configurations: Sequence[Configuration],
    open_: Sequence[Open],
    most: int,
    spent_s: float | None = None,
    left: Sequence[str] = (),
) -> str:
    """One sentence on why trials=auto stopped. `spent_s`: it was the time, of which there was so much; `left`: what is
    not pursued. Trials are those that have figures; beside them stand the runs of a configuration, which trials_max
    counts, where it took more of them."""
    trials, runs = max((c.trials for c in configurations), default=0), max(map(_runs, configurations), default=0)
    count = counted(trials, "trial") + (f" ({counted(runs, 'run')})" if runs > trials else "")
    short = [c.key for c in configurations if hopeless(c)]
    if short and all({one.key, *one.beside} & set(short) for one in open_):
        return f"trials=auto stopped at {count}: runs are too short, and repeats would be, too"
    shown = [f"{one.key} ({one.why})" for one in open_]
    shown += [f"{c.key} ({Verdict.INVALID})" for c in configurations if c.verdict == Verdict.INVALID]
    if not shown and left:
        verdicts = f"the verdict of {', '.join(left)} is open and would change nothing of it"
        return f"trials=auto stopped at {count}: another would not change what is recommended; {verdicts}"
    if not shown:
        return f"trials=auto stopped at {count}: another would change neither a verdict nor the recommendation"
    by = ""
    if spent_s is not None:
        by = f" by report.budget_s={spent_s:g}"
    elif open_ and not further(configurations, open_, most):
        by = f" by trials_max={most}"
        if unusable := [c.key for c in configurations if _unusable(c)]:
            by = f", as the settings of {', '.join(unusable)} cannot be used"
    return f"trials=auto stopped at {count}{by}; still open: {'; '.join(shown)}"
