"""Recommends a configuration, with reasons; if the trials do not decide, says what is likely and what is open. Every
sentence is derived from the same verdicts, gates and choice as the table.

Only what a server can be told is recommended. Configurations that differ in what clients do, or in the engine, are
answers to different questions: each group of them gets an advice of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capsexp.analysis import gates, next_step, pools, slo
from capsexp.analysis.binding import binds
from capsexp.analysis.choice import Choice, choose, speed
from capsexp.analysis.groups import Configs, groups
from capsexp.results.report import Advice, Configuration, Recommendation, Scaling
from capsexp.results.verdicts import Reading, Status, Verdict

ALONE = "one configuration was measured, so there is nothing to choose from; workers=1,2,3 -m compares"


def advise(
    found: Sequence[Configuration],
    configs: Configs,
    tolerance: float,
    scalings: Sequence[Scaling] = (),
    cpus: float | None = None,
) -> list[Advice]:
    """For each group of configurations that differ in the server's settings only; `group` is what tells it from the
    others, empty where there are none."""
    asked = groups([c for c in found if c.key in configs], configs)
    if not asked:
        return [Advice(group="", reason="no run was made")]
    if len(asked) > 1 and all(len(group) == 1 for group in asked.values()):
        varied = ", ".join(dict.fromkeys(part.partition("=")[0] for name in asked for part in name.split(", ")))
        why = f"only {varied} was varied, which is no setting of the server; compare the rows of the table"
        return [Advice(group="", reason=why)]
    advice = []
    for name, group in asked.items():
        loads = {c.key: int(configs[c.key].get("load", {}).get("concurrency") or 0) for c in group}
        chosen = None if _is_alone_yet(group, found) else recommend(group, tolerance, scalings, cpus, loads)
        if chosen and len(found) == 1:
            return [Advice(group="", reason=ALONE)]
        nothing = None if chosen else _why_nothing(group, configs, found)
        advice.append(Advice(group=name, recommendation=chosen, reason=nothing))
    return advice


def choices(found: Sequence[Configuration], configs: Configs, tolerance: float) -> dict[str, Choice]:
    """The choice that each configuration, by its key, takes part in."""
    each: dict[str, Choice] = {}
    for group in groups([c for c in found if c.key in configs], configs).values():
        if made := choose(group, tolerance):
            each |= {c.key: made for c in group}
    return each


def with_fewer_workers(c: Configuration, one: Configuration) -> bool:
    """Whether it differs from `one` in having fewer workers only."""
    alike = (c.baseline, c.pool, c.threads) == (one.baseline, one.pool, one.threads)
    return alike and (c.workers or 0) < (one.workers or 0)


def _is_alone_yet(group: Sequence[Configuration], found: Sequence[Configuration]) -> bool:
    """Whether one was measured and others are still to be, so that there is nothing to choose from."""
    to_come = any(c.status in (Status.MISSING, Status.INTERRUPTED) and not speed(c) for c in found)
    return to_come and sum(bool(speed(c)) for c in group) == 1


def _why_nothing(group: Sequence[Configuration], configs: Configs, found: Sequence[Configuration]) -> str:
    if not any(speed(c) for c in group):
        return "no configuration completed its requests"
    if _is_alone_yet(group, found):
        return "so far one configuration was measured, so there is nothing to choose from"
    if all(configs[c.key]["server"].get("name") == "external" for c in group):
        return (
            "a running server was measured as it is; measure it again with another number of workers, and compare both "
            "with python -m capsexp.compare FOLDER FOLDER"
        )
    if all(c.fault.kind != "none" for c in group):
        return "faults were injected in every run"
    if all(c.verdict == Verdict.INVALID for c in group if speed(c)):
        return "nothing is known of any configuration: its runs, or its baseline's, are INVALID; the warnings say why"
    failed = {g.metric: None for c in group for g in c.gates if g.verdict == Reading.FAIL}
    failed |= {name: None for c in group for name in slo.missed(c.slo)}
    if failed:
        return f"no configuration passes its gates ({', '.join(failed)})"
    return "no configuration keeps within its limits, as far as the runs tell"


def recommend(
    found: Sequence[Configuration],
    tolerance: float,
    scalings: Sequence[Scaling] = (),
    cpus: float | None = None,
    loads: Mapping[str, int] | None = None,
) -> Recommendation | None:
    """The configuration that is chosen (see `choice`), why, and what comes next; None where none is without a failed
    gate. `loads`: of each key the client's load.concurrency."""
    choice = choose(found, tolerance)
    if choice is None:
        return None
    chosen, found = choice.chosen, [c for c in found if c.fault.kind == "none"]
    scaling = next((s for s in scalings if chosen.key in s.keys), None)
    following = next_step.following(chosen, found, scaling)
    reason = [_why(choice, found), pools.sentence(chosen, found), _meanwhile(choice)]
    return Recommendation(
        key=chosen.key,
        workers=chosen.workers or 1,
        threads=chosen.threads or 1,
        pool=chosen.pool or "",
        decided=choice.decided,
        reason=" ".join(filter(None, reason)),
        open=tuple(_open(c) for c in choice.unsure),
        saved=pools.saved(chosen, found),
        next=following,
        next_sentence=next_step.sentence(chosen, following, choice.decided),
        binds=binds(chosen, found, following, cpus, loads or {}, tolerance),
    )


def _speedup(c: Configuration) -> str | None:
    """Of its baseline, with its interval."""
    speedup = c.metric("speedup")
    if speedup.value is None:
        return None
    ci95 = speedup.ci95
    known = f" (95 % interval {ci95[0]:.2f} to {ci95[1]:.2f})" if ci95 else ""
    return f"{speedup.value:.2f}x of {c.baseline}{known}"


def _figures(c: Configuration) -> str:
    peak = c.value("peak_memory_mb")
    return f"{speed(c):.1f} x real time" + (f" in {peak:.0f} MB" if peak is not None else "")


def _why(choice: Choice, found: Sequence[Configuration]) -> str:
    chosen, fastest = choice.chosen, choice.fastest
    said = [_figures(chosen)]
    if own := _speedup(chosen):
        said.append(own)
    if chosen is not fastest:
        said.append(f"the fastest, {fastest.key}, reaches {_figures(fastest)}, within the tolerance")
    elif not chosen.adds_workers:
        others = [c for c in found if c.adds_workers and c.key != chosen.key]
        if not others:
            return f"{said[0]}; no configuration with more workers was measured for comparison."
        failed = [c for c in others if gates.said(c, Reading.FAIL) and c.value("speedup")]
        if failed:
            most = max(failed, key=lambda c: c.value("speedup") or 0.0)
            reached = f"{most.key} reached {most.value('speedup'):.2f}x"
            said.append(f"more workers did not pass: {reached} ({', '.join(gates.said(most, Reading.FAIL))})")
    return f"{'; '.join(said)}."


def _meanwhile(choice: Choice) -> str | None:
    """What passes already, where that is not what is likely."""
    passing = choice.passing
    if passing is None or passing is choice.chosen or not passing.adds_workers:
        return None
    return f"{passing.key} passes so far: {_figures(passing)}."


def _open(c: Configuration) -> str:
    """What is known of a configuration that is not decided."""
    gains = _speedup(c)
    reasons: dict[str, list[str]] = {}
    judged = [(gate.metric, gate.verdict, gate.reason) for gate in c.gates]
    for name, verdict, reason in (*judged, *((one.name, one.verdict, one.reason) for one in c.slo)):
        if verdict == Reading.INCONCLUSIVE:
            reasons.setdefault(reason or "", []).append(name)
    if c.verdict == Verdict.INVALID:
        why = "its runs, or its baseline's, are INVALID"
    elif c.incomplete:
        why = c.incomplete
    else:
        why = (
            "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
            or "not all gates could be judged"
        )
    return f"{c.key}: " + (f"{gains}; " if gains else "") + why
