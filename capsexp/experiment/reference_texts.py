"""The reference's texts: a sample set recognized by one process, once in a sweep, and how long each segment took."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from capsexp import lifeline, tool
from capsexp.config import Config
from capsexp.experiment.plain_processes import BEAT, Beat, Heard, PlainProcesses
from capsexp.experiment.reference import digest
from capsexp.files import tell
from capsexp.results.run import Reference, ReferenceProcesses, Text
from capsexp.results.write import write
from capsexp.samples import Sample
from capsexp.samples import load as load_samples
from capsexp.segments import Cut, Merger, Recognition, Segment, cut_all
from capsexp.server.messages import SegmentJob, TextJob

Key = tuple[str, int]  # sample, segment


@dataclass(frozen=True)
class Work:
    """What a sample set comes to: its segments by sample, and in the order in which a server gets them."""

    samples: Sequence[Sample]
    cut: Cut
    cuts: Mapping[str, list[Segment]]
    order: Sequence[Key]

    @classmethod
    def of(cls, config: Config) -> Work:
        samples = load_samples(config.samples).samples
        cut = Cut.of(config.load.seg_duration, config.load.seg_overlap)
        cuts = {sample.name: cut_all(sample.audio, cut) for sample in samples}
        # All requests at once, so all first segments, then all second ones.
        order = sorted(((name, s.index) for name, segments in cuts.items() for s in segments), key=lambda key: key[1])
        return cls(samples, cut, cuts, order)

    @property
    def audio_s(self) -> float:
        return sum(sample.duration_s for sample in self.samples)

    def jobs(self, keys: Sequence[Key]) -> list[SegmentJob]:
        found = ((number, self.cuts[name][index]) for number, (name, index) in enumerate(keys))
        return [SegmentJob(number, segment.audio, segment.start, segment.shared) for number, segment in found]

    def merged(self, heard: Mapping[Key, Recognition]) -> dict[str, Merger]:
        """Of the samples of which all segments were heard."""
        found = {}
        for name, segments in self.cuts.items():
            if all((name, segment.index) in heard for segment in segments):
                found[name] = Merger(self.cut)
                for segment in segments:
                    found[name].add(segment.start, segment.last, heard[name, segment.index])
        return found


def to_punctuate(config: Config, merged: Mapping[str, Merger]) -> list[TextJob]:
    """The final texts, as a server makes them; none where nothing punctuates them."""
    texts = [text for merger in merged.values() for text in (merger.text, merger.text_accu)]
    return [TextJob(number, text) for number, text in enumerate(texts) if config.punctuation.name != "none"]


def punctuated_of(texts: Sequence[TextJob], heard: Heard) -> dict[str, str]:
    """What became of each text."""
    return {job.text: answer.tokens[0] for job, answer in zip(texts, heard.answers, strict=True)}


def texts_of(merged: Mapping[str, Merger], punctuated: Mapping[str, str], samples: Sequence[Sample]) -> dict[str, Text]:
    """By sample."""
    return {
        sample.name: Text(
            text=punctuated.get(merger.text, merger.text),
            text_accu=punctuated.get(merger.text_accu, merger.text_accu),
            tokens=tuple(merger.tokens), timestamps=tuple(merger.times),
            duration=sample.duration_s, transcript=sample.transcript,
        )
        for sample in samples
        if (merger := merged.get(sample.name)) is not None
    }  # fmt: skip


def main(argv: Sequence[str]) -> int:
    call = tool.parse(argv, "python -m capsexp.experiment.reference_texts", "Recognize samples without a server.", {})
    if call.guarded:
        lifeline.on_stdin_closed(lambda: os._exit(1))  # its workers die with it
    config, folder = call.config, call.run_dir or Path()
    reference = recognize(config, folder)
    write(folder / "reference.json", reference)
    tell(f"reference with 1: {reference.runs[0].throughput_rtfx:.1f} x real time")
    return 0


def recognize(config: Config, folder: Path) -> Reference:
    """Raises EngineError."""
    work = Work.of(config)
    processes = PlainProcesses(config, 1, Beat(folder / BEAT), folder)
    cpu_s, began = processes.cpu_s(), time.monotonic()
    heard = processes.work(work.jobs(work.order))
    merged = work.merged(dict(zip(work.order, heard.answers, strict=True)))
    texts = to_punctuate(config, merged)
    punctuated = punctuated_of(texts, processes.work(texts))
    took_s, cpu_s = time.monotonic() - began, processes.cpu_s() - cpu_s
    processes.close()
    each_s = dict(zip(work.order, heard.each_s, strict=True))
    return Reference(
        hash=digest(config), engine=config.engine.name, threads=config.threads, settings=asdict(config.engine),
        texts=texts_of(merged, punctuated, work.samples),
        segments_s={
            name: tuple(round(each_s[name, segment.index], 6) for segment in segments)
            for name, segments in work.cuts.items()
        },
        runs=(
            ReferenceProcesses(
                processes=1, audio_s=work.audio_s, makespan_s=round(took_s, 6), load_s=round(processes.load_s, 6),
                cpu_s=round(cpu_s, 6),
            ),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(tool.entry(main, "reference"))
