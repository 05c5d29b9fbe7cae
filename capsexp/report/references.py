"""What a report says of the reference: how fast it was, by how many processes, and what it cost in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from capsexp.analysis import statistics
from capsexp.analysis.plain_speeds import PlainSpeeds
from capsexp.analysis.sequential import shown
from capsexp.results.report import ReferenceCost, ReferenceRun
from capsexp.results.run import Reference, ReferenceProcesses, Run


def runs(references: Mapping[str, Reference], made: Sequence[Run], looks: bool) -> tuple[ReferenceRun, ...]:
    """One for each process count of each reference: what was timed in trials stands for what was timed once."""
    return tuple(_each(references, made, looks))


def _each(references: Mapping[str, Reference], made: Sequence[Run], looks: bool) -> Iterator[ReferenceRun]:
    speeds = PlainSpeeds(made, references)
    for key, reference in references.items():
        if (alone := reference.alone) is not None:
            yield ReferenceRun(
                kind=reference.kind, engine=None, target=reference.target, workers=reference.workers,
                threads=reference.threads, hash=key, processes=None,
                throughput_rtfx=alone.audio_s / alone.makespan_s if alone.makespan_s > 0 else None,
                makespan_s=alone.makespan_s, deterministic=reference.deterministic,
            )  # fmt: skip
        by_count = {run.processes: [run] for run in reference.runs}
        timed = speeds.of(key)
        for count in sorted({*by_count, *timed}):
            yield _of_count(key, reference, timed.get(count) or by_count[count], count in timed, looks)


def _of_count(
    key: str, reference: Reference, each: Sequence[ReferenceProcesses], in_trials: bool, looks: bool
) -> ReferenceRun:
    speeds = [one.throughput_rtfx for one in each]
    loads = [one.load_s for one in each if one.load_s is not None]
    return ReferenceRun(
        engine=reference.engine, threads=reference.threads, hash=key, processes=each[0].processes,
        throughput_rtfx=statistics.centre(speeds),
        ci95=statistics.interval(speeds, shown(len(speeds), looks)) if in_trials else None,
        trials=len(each) if in_trials else None,
        makespan_s=fmean(one.makespan_s for one in each), load_s=fmean(loads) if loads else None,
        deterministic=reference.deterministic and all(one.deterministic for one in each),
    )  # fmt: skip


def cost(references: Mapping[str, Reference], made: Sequence[Run]) -> ReferenceCost | None:
    """None where there is none."""
    if not references:
        return None
    texts_s = 0.0
    for reference in references.values():
        texts_s += sum(one.makespan_s + (one.load_s or 0.0) for one in reference.runs)
        if (alone := reference.alone) is not None:
            texts_s += alone.askings * alone.makespan_s
    timed_s = sum(run.phases_s.get("reference", 0.0) for run in made)
    runs_s = timed_s + sum(run.phases_s.get("total", 0.0) for run in made)
    return ReferenceCost(texts_s=round(texts_s, 3), timed_s=round(timed_s, 3), runs_s=round(runs_s, 3))
