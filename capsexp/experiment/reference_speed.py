"""How fast N plain processes are right now, with a part of the load, which takes seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capsexp import lifeline, tool
from capsexp.config import Config
from capsexp.experiment.plain_processes import BEAT, Beat, PlainProcesses
from capsexp.experiment.reference import digest
from capsexp.experiment.reference_part import Part, part
from capsexp.experiment.reference_texts import Work, punctuated_of, texts_of, to_punctuate
from capsexp.experiment.repeats import Pace
from capsexp.files import tell
from capsexp.machine import usable_cpus
from capsexp.results.handover import ReferenceSpeeds
from capsexp.results.read import read_reference
from capsexp.results.run import Reference, ReferenceProcesses
from capsexp.results.write import write
from capsexp.runfiles import REFERENCE_RUNS


def main(argv: Sequence[str]) -> int:
    call = tool.parse(argv, "python -m capsexp.experiment.reference_speed", "Time processes without a server.", {})
    if call.guarded:
        lifeline.on_stdin_closed(lambda: os._exit(1))  # its workers die with it
    config, folder = call.config, call.run_dir or Path()
    reference = read_reference(folder.parent / "reference" / digest(config) / "reference.json")
    work = Work.of(config)
    found = tuple(measure(config, work, reference, count, folder) for count in config.reference.processes)
    write(folder / REFERENCE_RUNS, ReferenceSpeeds(runs=found))
    for run in found:
        tell(f"reference with {run.processes}: {run.throughput_rtfx:.1f} x real time")
    return 0


def measure(config: Config, work: Work, reference: Reference, count: int, folder: Path) -> ReferenceProcesses:
    """Raises EngineError."""
    timed = _part(config, work, reference, count)
    processes = PlainProcesses(config, count, Beat(folder / BEAT), folder)
    before_s = processes.cpu_s()
    heard = processes.work(work.jobs(timed.keys))
    merged = work.merged(dict(zip(timed.keys, heard.answers, strict=True)))
    texts = to_punctuate(config, merged)
    done = processes.work(texts)
    cpu_s = processes.cpu_s() - before_s
    processes.close()
    found = texts_of(merged, punctuated_of(texts, done), work.samples)
    # Only what was heard whole has a text: so many rounds would have had more of them.
    more = timed.rounds * len(work.samples) / len(merged) if texts else 0.0
    return ReferenceProcesses(
        processes=count, audio_s=round(timed.rounds * work.audio_s, 6),
        makespan_s=round(heard.makespan_s + done.makespan_s, 6), busy_s=round(heard.busy_s + more * done.busy_s, 6),
        load_s=round(processes.load_s, 6), cpu_s=round(cpu_s, 6),
        deterministic=all(reference.texts.get(name) == text for name, text in found.items()),
    )  # fmt: skip


def _part(config: Config, work: Work, reference: Reference, count: int) -> Part:
    pace = Pace.of(reference)
    cpus = usable_cpus()
    if pace is None:  # of an earlier version
        round_s = reference.runs[0].makespan_s / max(1.0, min(count, cpus / config.threads))
    else:
        round_s = pace.round_s(replace(config, workers=count), cpus)
    each_s = {(name, n): s for name, own in reference.segments_s.items() for n, s in enumerate(own)}
    if each_s.keys() != set(work.order):
        each_s = {(name, s.index): float(len(s.audio)) for name, own in work.cuts.items() for s in own}
    return part(work.order, each_s, round_s, count)


if __name__ == "__main__":
    sys.exit(tool.entry(main, "reference"))
