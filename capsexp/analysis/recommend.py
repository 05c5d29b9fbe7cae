"""Which configuration to run, what one worker more would bring, what binds; and where the trials do not decide it, what
is likely and what would decide it. Every sentence is derived from the same verdicts and gates as the table.

Only what a server can be told is recommended. Configurations that differ in what clients do, or in the engine, are
answers to different questions: each group of them gets an advice of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.analysis import baseline, diagnosis, gates, pools, validity
from capsexp.counts import counted
from capsexp.results.report import Advice, Configuration, Recommendation, Scaling, Step
from capsexp.results.run import Tree

Configs = Mapping[str, Tree]  # settings by a configuration's key

# Of server=, what makes another server of it; everything else there is a setting of the same one.
_WHICH_SERVER = ("name", "cmd", "url")


def advise(
    found: Sequence[Configuration],
    configs: Configs,
    tolerance: float,
    scalings: Sequence[Scaling] = (),
    cpus: float | None = None,
) -> list[Advice]:
    """For each group of configurations that differ in the server's settings only; `group` is what tells it from the
    others, empty where there are none."""
    groups = _groups([c for c in found if c.key in configs], configs)
    if not groups:
        return [Advice(group="", reason="no run was made")]
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        varied = ", ".join(dict.fromkeys(part.partition("=")[0] for name in groups for part in name.split(", ")))
        why = f"only {varied} was varied, which is not the server's to set; the table compares"
        return [Advice(group="", reason=why)]
    advice = []
    for name, group in groups.items():
        loads = {c.key: int(configs[c.key].get("load", {}).get("concurrency") or 0) for c in group}
        chosen = recommend(group, tolerance, scalings, cpus, loads)
        nothing = None if chosen else _why_nothing(group, configs)
        advice.append(Advice(group=name, recommendation=chosen, reason=nothing))
    return advice


def _groups(found: Sequence[Configuration], configs: Configs) -> dict[str, list[Configuration]]:
    groups: dict[str, list[Configuration]] = {}
    for c in found:
        groups.setdefault(_question(configs[c.key]), []).append(c)
    flat = {
        question: dict(_leaves({k: v for k, v in json.loads(question).items() if k != "fault"})) for question in groups
    }
    varied = {key for one in flat.values() for other in flat.values() for key in one if one[key] != other.get(key)}
    # A group of settings with a name is told by its name: engine=null says more than each setting of both engines.
    varied -= {key for key in varied if f"{key.partition('.')[0]}.name" in varied and not key.endswith(".name")}
    named: dict[str, list[Configuration]] = {}
    for question, own in groups.items():
        said = [f"{key.removesuffix('.name')}={flat[question].get(key)}" for key in sorted(varied)]
        named.setdefault(", ".join(said), []).extend(own)
    return named


def _question(config: Tree) -> str:
    """Equal for configurations that differ only in what the same server can be told, or in injected faults."""
    kept = json.loads(baseline.group_key(config, "threads", "fault"))
    kept["server"] = {key: config["server"].get(key) for key in _WHICH_SERVER}
    return json.dumps(kept, sort_keys=True)


def _leaves(tree: Tree, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return found


def _why_nothing(group: Sequence[Configuration], configs: Configs) -> str:
    if all(configs[c.key]["server"].get("name") == "external" for c in group):
        return (
            "a server that runs already was measured as it is; measure it again with another number of workers, and "
            "let python -m capsexp.compare FOLDER FOLDER say what that brought"
        )
    if all(c.fault.kind != "none" for c in group):
        return "faults were injected in every run"
    failed = {g.metric: None for c in group for g in c.gates if g.verdict == gates.FAIL}
    if failed:
        return f"no configuration passes its gates ({', '.join(failed)})"
    if any(_rtfx(c) for c in group):
        return "nothing that was measured keeps within its limits, as far as the runs tell"
    return "no configuration completed its requests"


def recommend(
    found: Sequence[Configuration],
    tolerance: float,
    scalings: Sequence[Scaling] = (),
    cpus: float | None = None,
    loads: Mapping[str, int] | None = None,
) -> Recommendation | None:
    """Of configurations that pass their gates and are within `tolerance` of the fastest of them: the smallest in
    memory, again within `tolerance`, then the fewest workers and threads. While nothing with more workers passes and
    something is open, `decided` is false, and what is recommended is what is likely, by the values alone. None where
    no configuration is without a failed gate. `loads`: of each key the client's load.concurrency."""
    found = [c for c in found if c.fault.kind == "none"]
    known = [c for c in found if _rtfx(c) and c.workers and c.status == "ok" and not _missed(c, gates.FAIL)]
    sure = [c for c in known if c.verdict in gates.SURE]
    unsure = [c for c in known if c.adds_workers and c.verdict not in gates.SURE]
    decided = bool(sure) and (any(c.adds_workers for c in sure) or not unsure)
    candidates = sure if decided else [c for c in known if gates.keeps_all(c)]
    if not candidates:
        return None
    best = max(candidates, key=_rtfx)
    chosen = smallest(candidates, tolerance)
    scaling = next((s for s in scalings if chosen.key in s.keys), None)
    following = _following(chosen, found, scaling)
    reason = [_why(chosen, best, found), pools.sentence(chosen, found)]
    return Recommendation(
        key=chosen.key,
        workers=chosen.workers or 1,
        threads=chosen.threads or 1,
        pool=chosen.pool or "",
        decided=decided,
        reason=" ".join(filter(None, reason)),
        open=tuple(_open(c) for c in unsure),
        saved=pools.saved(chosen, found),
        next=following,
        next_sentence=_next_sentence(chosen, following, decided),
        binds=binds(chosen, found, following, cpus, loads or {}, tolerance),
    )


def smallest(candidates: Sequence[Configuration], tolerance: float) -> Configuration:
    """No other of them is as fast and smaller, where differences within `tolerance` are none."""
    best = max(_rtfx(c) for c in candidates)
    fast = [c for c in candidates if _rtfx(c) >= (1 - tolerance) * best]
    least = min(_memory(c) for c in fast)
    small = [c for c in fast if _memory(c) * (1 - tolerance) <= least]
    return min(small, key=lambda c: (c.workers or 1, c.threads or 1, -_rtfx(c), c.key))


def _rtfx(c: Configuration) -> float:
    return c.value("throughput_rtfx") or 0.0


def _memory(c: Configuration) -> float:
    peak = c.value("peak_memory_mb")
    return float("inf") if peak is None else peak


def _missed(c: Configuration, verdict: str) -> list[str]:
    return [gate.metric for gate in c.gates if gate.verdict == verdict]


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
    return f"{_rtfx(c):.1f} x real time" + (f" in {peak:.0f} MB" if peak is not None else "")


def _why(chosen: Configuration, best: Configuration, found: Sequence[Configuration]) -> str:
    said = [_figures(chosen)]
    if own := _speedup(chosen):
        said.append(own)
    if chosen is not best:
        said.append(f"the fastest, {best.key}, reaches {_figures(best)}, which is no more than the tolerance")
    elif not chosen.adds_workers:
        others = [c for c in found if c.adds_workers and c.key != chosen.key]
        if not others:
            return f"{said[0]}; nothing with more workers was measured to compare it with."
        failed = [c for c in others if _missed(c, gates.FAIL) and c.value("speedup")]
        if failed:
            fastest = max(failed, key=lambda c: c.value("speedup") or 0.0)
            reached = f"{fastest.key} reached {fastest.value('speedup'):.2f}x"
            said.append(f"more workers did not pass: {reached} ({', '.join(_missed(fastest, gates.FAIL))})")
    return f"{'; '.join(said)}."


def _open(c: Configuration) -> str:
    """What is known of a configuration that is not decided."""
    gains = _speedup(c)
    reasons: dict[str, list[str]] = {}
    for gate in c.gates:
        if gate.verdict == gates.INCONCLUSIVE:
            reasons.setdefault(gate.reason or "", []).append(gate.metric)
    if c.verdict == gates.INVALID:
        why = "its runs, or its baseline's, are INVALID"
    elif c.incomplete:
        why = c.incomplete
    else:
        why = (
            "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
            or "not all gates could be judged"
        )
    return f"{c.key}: " + (f"{gains}; " if gains else "") + why


def _line(chosen: Configuration, found: Sequence[Configuration]) -> list[Configuration]:
    """Those that differ from it in having more workers only, fewest first."""
    alike = [
        c for c in found
        if c.baseline == chosen.baseline and c.pool == chosen.pool and c.threads == chosen.threads
        and (c.workers or 0) > (chosen.workers or 0)
    ]  # fmt: skip
    return sorted(alike, key=lambda c: c.workers or 0)


def _following(chosen: Configuration, found: Sequence[Configuration], scaling: Scaling | None) -> Step | None:
    """The next larger number of workers: measured where it was, else predicted."""
    for one in _line(chosen, found):
        speed, but = one.value("throughput_rtfx"), None
        if one.status != "ok" or not speed:
            but = f"ended as {one.status}" if one.status != "ok" else "did not complete all requests"
        elif failed := _missed(one, gates.FAIL):
            but = f"does not pass ({', '.join(failed)})"
        elif one.verdict == gates.INVALID:
            useless = {one.key: one, chosen.key: chosen}.values()
            what = validity.kinds(validity.codes(c for c in useless if not c.validity.valid))
            but = f"was {what or 'disturbed'}, so that this is not known"
        elif one.verdict == gates.INCONCLUSIVE:
            but = "is not decided"
        return _step(chosen, one.workers or 0, speed, one.value("peak_memory_mb"), but)
    for row in scaling.predicted if scaling else ():
        return _step(chosen, row.workers, row.throughput_rtfx, row.peak_memory_mb, None, predicted=True)
    return None


def _step(
    chosen: Configuration,
    workers: int,
    speed: float | None,
    peak: float | None,
    but: str | None,
    predicted: bool = False,
) -> Step:
    mine, reached = chosen.value("peak_memory_mb"), _rtfx(chosen)
    return Step(
        workers=workers,
        gain=speed / reached - 1 if speed and reached else None,
        more_mb=peak - mine if peak is not None and mine is not None else None,
        predicted=predicted,
        but=but,
    )


_NAMES = {2: "a second", 3: "a third", 4: "a fourth", 5: "a fifth", 6: "a sixth"}


def _next_sentence(chosen: Configuration, following: Step | None, decided: bool) -> str | None:
    if following is None:
        return None
    workers = chosen.workers or 1
    more = following.workers - workers
    name = _NAMES.get(following.workers, "one more") if more == 1 else f"{more} more"
    but, mb = following.but, following.more_mb
    first = f"Run {workers};" if decided else f"With {counted(workers, 'worker')}:"
    if following.gain is None:
        return f"{first} {name} {but}."
    cost = "" if mb is None else f" for {mb / 1024:+.1f} GB" if abs(mb) >= 1000 else f" for {mb:+.0f} MB"
    said = f"{name} add{'s' if more == 1 else ''} {100 * following.gain:+.0f} %{cost}"
    said += " (predicted, not measured)" if following.predicted else f", but {but}" if but else ""
    return f"{first} {said}."


def binds(
    chosen: Configuration,
    found: Sequence[Configuration],
    following: Step | None,
    cpus: float | None,
    loads: Mapping[str, int],
    tolerance: float,
) -> str:
    """What keeps more workers from bringing more, from what was used: by the chosen configuration, or else by those
    that have more workers."""
    limit = next((g.limit for g in chosen.gates if g.metric == "peak_memory_mb"), None)
    peak = chosen.value("peak_memory_mb")
    more = following.more_mb if following else None
    if limit and peak and following and more and peak + more > limit:
        return f"Memory binds: {peak + more:.0f} MB with {counted(following.workers, 'worker')}, of {limit:.0f}."
    line = [c for c in _line(chosen, found) if _rtfx(c)]
    for one in [chosen, *line]:
        used = diagnosis.use(one, cpus or 1, loads.get(one.key, 0))
        if said := _binds(used, bool(cpus), "" if one is chosen else f" from {counted(one.workers or 0, 'worker')} on"):
            return said
    largest = line[-1] if line else chosen
    used = diagnosis.use(largest, cpus or 1)
    level = line and _rtfx(largest) < (1 + tolerance) * _rtfx(chosen)
    if level or (following and following.predicted and (following.gain or 0.0) < tolerance):
        share = "" if used.cpu is None or not cpus else f", {100 * used.cpu:.0f} % of {counted(cpus, 'CPU')} used"
        busy = "" if used.busy is None else f", workers busy {100 * used.busy:.0f} % of the time"
        return f"What binds does not show in the data{share}{busy}."
    workers, tried = largest.workers or 1, [c for c in _line(chosen, found) if c not in line]
    seen = f"Nothing was seen to bind {'up to' if workers > 1 else 'with'} {counted(workers, 'worker')}"
    if tried:
        return f"{seen}; with {tried[0].workers} there is no figure."
    return f"{seen}; workers={2 * workers} would show what does."


def _binds(used: diagnosis.Use, known: bool, where: str) -> str | None:
    if known and (full := diagnosis.cores(used)):
        return f"Cores bind{where}: {full}."
    if (used.gateway or 0.0) > diagnosis.FULL:
        return f"The server's gateway binds{where}: it was busy {100 * (used.gateway or 0.0):.0f} % of the time."
    if (used.client or 0.0) > diagnosis.FULL:
        return f"The client binds{where}: it used {100 * (used.client or 0.0):.0f} % of a CPU."
    if said := diagnosis.requests(used):
        return f"Requests bind{where}: {said}."
    return None
