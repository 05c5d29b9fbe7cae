"""Runs as values: no file, no process."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from capsexp import engines
from capsexp.analysis import aggregate
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Cpu, Durations, Figures, Memory
from capsexp.config import Config, to_dict
from capsexp.results.report import Configuration, GateResult, Reason
from capsexp.results.run import Reference, ReferenceProcesses, Run, Text, Window

LIMITS = {"speedup": 1.5, "memory_growth": 2.5, "peak_memory_mb": 6144.0, "correctness": 1.0}
TEXTS = {f"s{n}": Text(text="so it is", text_accu="so it is") for n in range(3)}


def processes(count: int, rtfx: float) -> ReferenceProcesses:
    return ReferenceProcesses(processes=count, audio_s=10.0 * rtfx, makespan_s=10.0, load_s=0.1)


REFERENCE = Reference(engine="null", threads=1, texts=TEXTS, runs=(processes(1, 10.0), processes(3, 1.0)))
REFERENCES = {"c": REFERENCE}
RIGHT = Judgement(requests=4, completed=4, identical=4, errors={"s0": {"wer": (1, 10)}})
HOG = (Reason(code="OTHER_CPU", reason="hog"),)


def config(**more: Any) -> dict[str, Any]:
    return {**to_dict(Config()), **more}


def a_run(**more: Any) -> Run:
    """A run.json; what is not given is usual. Dictionaries and lists become what they stand for."""
    facts = {
        "num": 0, "key": "workers=1", "trial": 1, "status": "ok", "workers": 1, "threads": 1, "pool": "process",
        "engine": "null", "dispatch": "segment", "phases_s": {}, "window_s": {}, "samples": [], "skipped": [],
        "cpu_count": 4, "machine_cpus": 4, "warnings": [], "reference": "c", **more,
    }  # fmt: skip
    engine = engines.known(facts["engine"])
    facts = {"one_core": engine.one_core, "speaks": engine.speaks, **facts}
    facts.setdefault("workers_requested", facts["workers"])
    facts["config"] = facts.get("config") or config(workers=facts["workers"])
    if isinstance(facts["window_s"], Window):
        facts["window_s"] = msgspec.to_builtins(facts["window_s"])
    return msgspec.convert(facts, Run)


def figures(makespan: float | None, mb: float = 100.0, **more: Any) -> Figures:
    given = {
        "makespan_s": makespan, "throughput_rtfx": makespan and 100 / makespan, "segments": 40, "requests": 40,
        "memory": Memory("pss", mb, mb, mb, mb), **more,
    }  # fmt: skip
    return Figures(**given)


def made_run(workers: int | None, makespan: float | None, mb: float = 100.0, **more: Any) -> Observed:
    """`figures`: None for a run without; `judged` and the other parts of what is observed; the rest is run.json's."""
    parts = {k: more.pop(k) for k in ("judged", "disturbed", "effect", "timeline", "leak") if k in more}
    found = more.pop("figures", figures(makespan, mb))
    more.setdefault("key", f"workers={workers}")
    return Observed(run=a_run(workers=workers, **more), figures=found, **parts)


def trials(workers: int, *makespans: float, **more: Any) -> list[Observed]:
    return [made_run(workers, makespan, trial=n, **more) for n, makespan in enumerate(makespans, start=1)]


def again(one: Observed, **facts: Any) -> Observed:
    """The same with other facts."""
    return replace(one, run=msgspec.structs.replace(one.run, **facts))


def counted(
    *runs: Observed, judged: Judgement | None = RIGHT, limits: Any = LIMITS, promised: Any = None
) -> list[Configuration]:
    """As they are: no trial is added. `promised`: the SLO."""
    made = [one if one.judged else replace(one, judged=judged) for one in runs]
    return aggregate.configurations(made, REFERENCES, limits, promised=promised)


def report(*runs: Observed, judged: Judgement | None = RIGHT, limits: Any = LIMITS) -> list[Configuration]:
    """Runs of a first trial only are made twice: one trial decides nothing."""
    made = list(runs)
    if all(one.run.trial == 1 for one in made) and len({one.run.key for one in made}) == len(made):
        made += [again(one, trial=2) for one in runs if one.figures]
    return counted(*made, judged=judged, limits=limits)


def gates(one: Configuration) -> dict[str, GateResult]:
    return {gate.metric: gate for gate in one.gates}


def with_value(one: Configuration, **values: float | None) -> Configuration:
    """With other values of some metrics."""
    metrics = {tag: msgspec.structs.replace(one.metric(tag), value=value) for tag, value in values.items()}
    return msgspec.structs.replace(one, metrics={**one.metrics, **metrics})


def cpu(**seconds: float | None) -> Cpu:
    return Cpu(**seconds)


def durations(**seconds: Sequence[float]) -> Durations:
    return Durations(**{name: tuple(values) for name, values in seconds.items()})
