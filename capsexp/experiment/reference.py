"""The reference: the same segments, cut the same way, without server or network.

In one process it gives the texts that are right; in N processes the ceiling a server with N workers could reach.
The worker processes are the server's own, fed by a plain loop.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import cast

import msgspec
import psutil

from capsexp import interrupts, lifeline, tool
from capsexp.config import Config, ServerConfig, to_yaml, without_labels
from capsexp.errors import EngineError, HarnessError
from capsexp.experiment.child import Child, python
from capsexp.files import storing, tell, write_text
from capsexp.pipes import Connection
from capsexp.results.read import read_reference
from capsexp.results.run import Reference, ReferenceProcesses, Text
from capsexp.results.write import write
from capsexp.samples import Sample
from capsexp.samples import load as load_samples
from capsexp.segments import Cut, Merger, Recognition, Segment, cut_all
from capsexp.server import worker as worker_process
from capsexp.server.messages import Done, Failed, SegmentJob, TextJob, WorkerReady
from capsexp.server.pools.base import patience as worker_patience
from capsexp.server.worker import settings_of

Key = tuple[str, int]  # sample, segment
BEAT = ".beat"  # touched whenever something was done
LOOK_S = 1.0
SEGMENT_S = 60.0  # at least, for a segment: when a worker of the server counts as stuck is another matter
LOAD_S = 120.0  # at least, for a model to be loaded by all processes


def digest(config: Config) -> str:
    """What two runs must have in common to share a reference."""
    whole = without_labels(config)
    same = {
        **{part: whole[part] for part in ("engine", "punctuation", "threads", "samples")},
        "cut": [config.load.seg_duration, config.load.seg_overlap],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12]


def counts(config: Config, sweep_workers: Sequence[int]) -> list[int]:
    """The process counts to run: 1 always, for the texts."""
    asked = list(sweep_workers) if config.reference.processes == "sweep" else list(config.reference.processes)
    return sorted({1, *asked})


def ensure(config: Config, sweep_dir: Path, sweep_workers: Sequence[int]) -> str:
    """Run in a child what of the reference this sweep does not have yet; raises EngineError. Returns its hash."""
    key = digest(config)
    folder = sweep_dir / "reference" / key
    done = _runs(folder)
    missing = [n for n in counts(config, sweep_workers) if n not in done]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        # It has no server, and its settings (a token among them) are not to be kept.
        limits = {name: getattr(config.server, name) for name in ("ready_timeout", "stuck_s", "stuck_rtf")}
        only = replace(config.reference, processes=missing)
        asked = replace(config, reference=only, server=ServerConfig(**limits), target=Config().target)
        write_text(folder / "config.yaml", to_yaml(asked))
        command = python(
            "capsexp.experiment.reference",
            "--config",
            str(folder / "config.yaml"),
            "--run-dir",
            str(folder),
            "--stdin-guard",
        )
        child = Child(command, folder / "reference.log")
        try:
            _wait(child, folder / BEAT, config)
        finally:
            child.stop(config.server.grace)
            (folder / BEAT).unlink(missing_ok=True)
        child.check_storage()
        if child.process.returncode:
            ended = f"the reference ended with code {child.process.returncode}"
            # Killed (for its memory, by somebody), it says nothing of the engine.
            raise (HarnessError if child.process.returncode < 0 else EngineError)(f"{ended}: {child.last_lines()}")
    return key


def _wait(child: Child, beat: Path, config: Config) -> None:
    """Until it has ended. It may take as long as it needs, but not stand still: raises HarnessError."""
    patience = _loading(config) + _patience(config)  # its own deadlines come first, and say more
    seen, since = -1, time.monotonic()
    while not child.wait(LOOK_S):
        interrupts.check()
        now = beat.stat().st_mtime_ns if beat.is_file() else -1
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > patience + LOOK_S:
            raise HarnessError(f"the reference stood still for {patience:.0f} s: {child.last_lines()}")


def _loading(config: Config) -> float:
    """How long processes may take to load. A short limit for the server, which may run already, is none for these."""
    return max(config.server.ready_timeout, LOAD_S)


def _patience(config: Config) -> float:
    """How long a process may take for the longest segment."""
    return max(SEGMENT_S, config.server.stuck_s + config.server.stuck_rtf * config.load.longest_segment_s)


def _runs(folder: Path) -> set[int]:
    path = folder / "reference.json"
    return {run.processes for run in read_reference(path).runs} if path.is_file() else set()


def main(argv: Sequence[str]) -> int:
    call = tool.parse(argv, "python -m capsexp.experiment.reference", "Recognize a sample set without a server.", {})
    if call.guarded:
        lifeline.on_stdin_closed(lambda: os._exit(1))  # its workers die with it
    config, folder = call.config, call.run_dir or Path()
    samples = load_samples(config.samples).samples
    cut = Cut.of(config.load.seg_duration, config.load.seg_overlap)
    cuts = {sample.name: cut_all(sample.audio, cut) for sample in samples}
    # The server's order: all requests at once, so all first segments, then all second ones.
    jobs = sorted(((name, s.index) for name, segments in cuts.items() for s in segments), key=lambda key: key[1])
    beat = _Beat(folder / BEAT)
    path = folder / "reference.json"
    reference = (
        read_reference(path)
        if path.is_file()
        else Reference(
            hash=digest(config), engine=config.engine.name, threads=config.threads, settings=asdict(config.engine),
            texts={},
        )
    )  # fmt: skip
    assert isinstance(config.reference.processes, list)
    for processes in config.reference.processes:
        heard, took, punctuated = _recognize(
            config, jobs, cuts, processes, lambda heard: _final_texts(cuts, cut, heard), beat, folder
        )
        texts = {s.name: _merged(s, cuts[s.name], cut, heard, punctuated) for s in samples}
        run = ReferenceProcesses(processes=processes, audio_s=sum(sample.duration_s for sample in samples), **took)
        reference = msgspec.structs.replace(
            reference,
            deterministic=reference.deterministic and reference.texts in ({}, texts),
            texts=reference.texts or texts,
            runs=(*reference.runs, run),
        )
        write(path, reference)
        tell(f"reference with {processes}: {run.throughput_rtfx:.1f} x real time")
    return 0


def _merge(name: str, segments: list[Segment], cut: Cut, heard: dict[Key, Recognition]) -> Merger:
    merger = Merger(cut)
    for segment in segments:
        merger.add(segment.start, segment.last, heard[name, segment.index])
    return merger


def _final_texts(cuts: dict[str, list[Segment]], cut: Cut, heard: dict[Key, Recognition]) -> list[str]:
    mergers = [_merge(name, segments, cut, heard) for name, segments in cuts.items()]
    return [text for merger in mergers for text in (merger.text, merger.text_accu)]


def _merged(
    sample: Sample, segments: list[Segment], cut: Cut, heard: dict[Key, Recognition], punctuated: dict[str, str]
) -> Text:
    merger = _merge(sample.name, segments, cut, heard)
    return Text(
        text=punctuated.get(merger.text, merger.text),
        text_accu=punctuated.get(merger.text_accu, merger.text_accu),
        tokens=tuple(merger.tokens), timestamps=tuple(merger.times),
        duration=sample.duration_s, transcript=sample.transcript,
    )  # fmt: skip


def _recognize(
    config: Config,
    jobs: list[Key],
    cuts: dict[str, list[Segment]],
    processes: int,
    finals: Callable[[dict[Key, Recognition]], list[str]],
    beat: Callable[[], None],
    folder: Path | None = None,
) -> tuple[dict[Key, Recognition], dict[str, float], dict[str, str]]:
    """What was heard, how long it took, and what became of the final texts where they are punctuated."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    started: list[psutil.Process] = []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        arguments = (theirs, settings_of(config, folder), config.threads, os.getpid())
        process = context.Process(target=worker_process.main, args=arguments, daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        started.append(psutil.Process(process.pid))
    allowed = _loading(config)
    until = time.monotonic() + allowed
    load_s = max(_ready(pipe, until, f"{allowed:g} s (server.ready_timeout)") for pipe in pipes)
    beat()
    patience = _patience(config)
    told = f"{patience:.0f} s (server.stuck_s + server.stuck_rtf x a segment's length)"
    cpu, began = _cpu(started), time.monotonic()
    heard: dict[Key, Recognition] = {}
    waiting = list(enumerate(jobs))[::-1]
    flight = dict.fromkeys(pipes, 0)

    def give(pipe: Connection) -> None:
        number, (name, index) = waiting.pop()
        segment = cuts[name][index]
        pipe.send(SegmentJob(number, segment.audio, segment.start, segment.shared))
        flight[pipe] += 1

    for depth in (1, 2):  # a second one ahead, so that no process waits for a copy; not at the end, as in the server
        for pipe in pipes:
            if waiting and (depth == 1 or len(waiting) >= processes):
                give(pipe)
    while any(flight.values()):
        answered = wait([p for p, n in flight.items() if n], patience)
        if not answered:
            raise EngineError(
                f"a segment was not recognized within {told}; raise server.stuck_rtf, or use a faster model"
            )
        for ready in answered:
            pipe = cast(Connection, ready)
            answer = _done(_receive(pipe, time.monotonic() + patience, told))
            beat()
            heard[jobs[answer.id]] = answer.heard
            flight[pipe] -= 1
            if waiting and (flight[pipe] == 0 or len(waiting) >= processes):
                give(pipe)
    punctuated: dict[str, str] = {}
    if config.punctuation.name != "none":
        for number, text in enumerate(finals(heard)):
            pipes[0].send(TextJob(number, text))
            allowed = worker_patience(text, config.server.stuck_s, config.server.stuck_rtf)
            answer = _done(_receive(pipes[0], time.monotonic() + allowed, f"{allowed:.0f} s for a text"))
            punctuated[text] = answer.heard.tokens[0]
            beat()
    took = time.monotonic() - began
    cpu = _cpu(started) - cpu
    for pipe in pipes:
        pipe.close()
    return heard, {"makespan_s": round(took, 6), "load_s": round(load_s, 6), "cpu_s": round(cpu, 6)}, punctuated


class _Beat:
    """Tells the runner, now and then, that something was done."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0
        self()

    def __call__(self) -> None:
        if time.monotonic() - self._last > LOOK_S:
            self._last = time.monotonic()
            with storing(self._path.name):
                self._path.touch()


def _ready(pipe: Connection, until: float, told: str) -> float:
    message = _receive(pipe, until, told)
    if isinstance(message, WorkerReady):
        return message.load_s
    raise EngineError(message.reason if isinstance(message, Failed) else str(message))


def _done(answer: WorkerReady | Done | Failed) -> Done:
    if not isinstance(answer, Done):
        raise EngineError(f"a segment failed: {answer.reason if isinstance(answer, Failed) else answer}")
    return answer


def _receive(pipe: Connection, until: float, told: str) -> WorkerReady | Done | Failed:
    """The next message; raises EngineError where none has come by then, with what was `told` of the limit."""
    try:
        if not pipe.poll(max(0.0, until - time.monotonic())):
            raise EngineError(f"a process of the reference said nothing within {told}")
        message: WorkerReady | Done | Failed = pipe.recv()
    except (EOFError, OSError):
        raise EngineError("a process of the reference died") from None
    return message


def _cpu(processes: list[psutil.Process]) -> float:
    return float(sum(t.user + t.system for t in (p.cpu_times() for p in processes)))


if __name__ == "__main__":
    sys.exit(tool.entry(main, "reference"))
