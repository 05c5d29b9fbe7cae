"""The client as a program: decodes audio, waits for the signal to start (in a run), sends it, writes the results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import ceil
from pathlib import Path

from capsexp import interrupts, tool
from capsexp.address import address
from capsexp.client import progress, soak
from capsexp.client.connection_limit import ConnectionLimit, limit_connections
from capsexp.client.load import TIMED_OUT, UNANSWERED, Answered, Outcome, plan, run
from capsexp.client.orders import word_to_go
from capsexp.client.request import ConnectionOptions, Request
from capsexp.config import Config
from capsexp.counts import counted
from capsexp.csvfile import write_csv
from capsexp.errors import ServerError
from capsexp.files import note, storing, tell, write_text
from capsexp.load.seeds import Seeds
from capsexp.results.run import (
    ClientFacts,
    Remark,
    SampleFacts,
    SampleSetFacts,
    SampleTexts,
    TimedAnswer,
    Unfinished,
)
from capsexp.results.write import write
from capsexp.runfiles import CLIENT, SAMPLES
from capsexp.samples import SampleSet
from capsexp.samples import load as load_samples
from capsexp.targets import TargetConfig
from capsexp.targets.base import as_pcm16

PACKET_COLUMNS = ("request", "kind", "audio_s", "due_s", "at_s", "late_s")
REQUEST_COLUMNS = (
    "request", "task_id", "sample", "duration_s", "start_s", "sent_s", "first_result_s", "final_s", "results", "finals",
    "foreign", "result_duration_s", "status", "error", "count", "due_s", "begun_s", "stop_s", "user", "class", "step",
    "partials",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    aliases = {
        "--url": "server.url",
        "--port": "server.port",
        "--concurrency": "load.concurrency",
        "--dir": "samples.dir",
    }
    if any(word.startswith("--dir") for word in argv) and not any(word.startswith("samples=") for word in argv):
        argv = ["samples=dir", *argv]
    call = tool.parse(argv, "python -m capsexp.client", "Send a set of samples to any CapsWriter server.", aliases)
    config = call.config
    samples = _as_sent(load_samples(config.samples), config.target)
    if call.run_dir is not None:
        write(call.run_dir / SAMPLES, described(samples))
    server = config.server
    url = server.url or address(config.target.transport, server.host, server.port, server.certfile is not None)
    admitted = None
    own = config.server.name == "local" and call.run_dir is not None and config.fault.name == "none"
    way = ConnectionOptions(config.server.token, config.server.certfile, own, config.target)
    if call.guarded:
        url, admitted = word_to_go(call.run_dir, samples.samples, way, config.load)
    began = time.monotonic()
    with nullcontext() if call.guarded else interrupts.in_order():
        if config.hours is not None:
            return _soak(call, samples, url, way, admitted)
        requests = plan(samples.samples, config.load, config.trial)
        users = len({request.turn.user for request in requests})
        there = _room(config.load.concurrency or users, users, admitted)
        load = replace(config.load, concurrency=there.requests)
        shown = _shown(call, requests)
        try:
            outcome = asyncio.run(run(requests, url, load, shown.on_result, way, there.connections))
        except KeyboardInterrupt:
            _print(Outcome([r for r in requests if r.final is not None], 0.0, 0.0), samples)
            done = sum(r.ok for r in requests)
            note(
                f"capsexp.client: interrupted after {time.monotonic() - began:.1f} s: {done} of {len(requests)} "
                "requests were finished"
            )
            return 130
        finally:
            shown.end()
    if call.run_dir is not None:
        warnings = [there.warning] if there.warning else []
        write_run(call.run_dir, call.zero, outcome, samples, config, warnings)
    else:
        _print(outcome, samples)
    failed = [r for r in requests if not r.ok]
    if failed and call.run_dir is None:
        all_of_them, first = counted(len(requests), "request"), failed[0]
        raise ServerError(f"{len(failed)} of {all_of_them} failed; the first: {first.sample}: {first.error}")
    return 0


def _shown(call: tool.Call, requests: Sequence[Request]) -> progress.Shown:
    if call.run_dir is not None:
        return progress.File(call.run_dir, call.zero, requests)
    return progress.Line(requests) if call.config.load.progress else progress.Shown()


def _as_sent(samples: SampleSet, target: TargetConfig) -> SampleSet:
    """With audio as wide as the target sends it: made so once, however often a sample is sent."""
    if not target.pcm16:
        return samples
    return replace(samples, samples=[replace(s, audio=as_pcm16(s.audio)) for s in samples.samples])


def _room(wanted: int, requests: int, admitted: int | None) -> ConnectionLimit:
    there = limit_connections(min(wanted, requests), admitted)
    if there.warning:
        note(f"warning: {there.warning}")
    return there


def _soak(call: tool.Call, samples: SampleSet, url: str, way: ConnectionOptions, admitted: int | None) -> int:
    config, hours = call.config, call.config.hours
    lanes = config.load.concurrency or len(samples.samples)
    there = _room(lanes, lanes, admitted)
    warnings = [there.warning] if there.warning else []
    assert hours is not None
    record, began = soak.Record(config.report.max_rows), time.monotonic()
    note_of = progress.Note(call.run_dir, call.zero) if call.run_dir is not None else None

    def store(record: Outcome) -> None:
        if call.run_dir is not None:
            write_run(call.run_dir, call.zero, record, samples, config, warnings)

    async def save(record: soak.Record) -> None:
        if call.run_dir is None:
            tell(_so_far(record, time.monotonic() - began))
        await asyncio.to_thread(store, record)

    def ended() -> None:
        if note_of is not None and note_of.due():
            note_of.say(done=record.total, failed=record.failed, heard_s=round(record.audio_s, 1), lasts_s=3600 * hours)

    try:
        asyncio.run(
            soak.run(
                soak.cycles(samples.samples, config.load, config.trial),
                there.requests,
                3600 * hours,
                url,
                config.load,
                record,
                save,
                config.report.checkpoint_s,
                way,
                there.connections,
                ended,
            )
        )
    except KeyboardInterrupt:
        note(f"capsexp.client: interrupted: {_so_far(record, time.monotonic() - began)}")
        return 130
    finally:
        if note_of is not None:
            note_of.close()
        store(record)
    if call.run_dir is None:
        tell(_so_far(record, time.monotonic() - began))
        if record.failed:
            failed = next(kind for kind in record.kinds.values() if not kind.first.ok).first
            raise ServerError(
                f"{record.failed} of {record.total} requests failed; one: {failed.sample}: {failed.error}"
            )
    return 0


def _so_far(record: soak.Record, took: float) -> str:
    return (
        f"{record.total} requests in {took:.0f} s, {record.failed} failed, {record.audio_s:.0f} s of audio: "
        f"{record.audio_s / took:.1f} x real time"
    )


def described(samples: SampleSet) -> SampleSetFacts:
    """What run.json says of the samples: names, hashes, lengths; no audio."""
    return SampleSetFacts(
        samples=tuple(SampleFacts(name=s.name, duration_s=s.duration_s, sha256=s.sha256) for s in samples.samples),
        skipped=tuple(Remark(file=name, reason=reason) for name, reason in samples.skipped),
        remarks=tuple(Remark(file=name, reason=remark) for name, remark in samples.remarks),
        language=samples.language,
    )


def write_run(
    run_dir: Path, zero: float, outcome: Outcome, samples: SampleSet, config: Config, warnings: Sequence[str] = ()
) -> None:
    """requests.csv, packets.csv of what was spoken, client.json and transcripts/ of a run directory."""
    warnings, seeds = [*warnings, *_given_up(outcome)], Seeds.of(config.load, config.trial)

    def since(moment: float | None) -> float | None:
        return None if moment is None else round(moment - zero, 6)

    write_csv(
        run_dir / "requests.csv",
        REQUEST_COLUMNS,
        (
            {
                "request": r.number, "task_id": r.task_id, "sample": r.sample, "duration_s": r.duration_s,
                "start_s": since(r.start), "sent_s": since(r.sent), "first_result_s": since(r.first_result),
                "final_s": since(r.final), "results": r.results, "finals": r.finals, "foreign": r.foreign,
                "result_duration_s": result.duration if result else None,
                "status": "ok" if r.ok else "failed", "error": r.error, "count": count,
                "due_s": since(r.due), "begun_s": since(r.begun), "stop_s": since(r.stop), "user": r.turn.user,
                "class": r.turn.kind or None, "step": r.turn.step, "partials": r.partials,
            }
            for r, result, count in outcome.rows()
        ),
    )  # fmt: skip
    moments = [(r.number, moment) for r, _, _ in outcome.rows() for moment in r.moments]
    every = ceil(len(moments) / config.report.max_rows) or 1
    if moments:
        write_csv(
            run_dir / "packets.csv",
            PACKET_COLUMNS,
            (
                {
                    "request": number, "kind": m.kind, "audio_s": m.audio_s, "due_s": since(m.due), "at_s": since(m.at),
                    "late_s": m.late_s,
                }
                for number, m in moments[::every]
            ),
        )  # fmt: skip
    folder = run_dir / "transcripts"
    with storing(folder.name):
        folder.mkdir(exist_ok=True)
    for sample in samples.samples:
        answers = tuple(_answer(one) for one in outcome.answers(sample.name))
        write_text(folder / f"{sample.name}.txt", (answers[0].text if answers else "") + "\n")
        texts = SampleTexts(sample=sample.name, transcript=sample.transcript, results=answers)
        write(folder / f"{sample.name}.json", texts)
    facts = ClientFacts(
        start_s=since(outcome.start), end_s=since(outcome.end), cpu_s=round(outcome.cpu_s, 6),
        max_loop_lag_s=round(outcome.max_loop_lag_s, 6), requests=outcome.total,
        thinned=outcome.thinned, warnings=tuple(warnings), packets_every=every, timed=config.load.timed,
        in_flight_s=outcome.in_flight_s, connections=outcome.connections, handshakes_s=outcome.handshakes_s,
        gave_up=outcome.gave_up_at is not None, unfinished=tuple(_unfinished(outcome, zero)),
        order_seed=seeds.order, arrival_seed=seeds.arrivals, think_seed=seeds.think,
    )  # fmt: skip
    write(run_dir / CLIENT, facts)


def _unfinished(outcome: Outcome, zero: float) -> Iterator[Unfinished]:
    until = outcome.gave_up_at
    for r in outcome.unfinished:
        if until is not None and r.due is not None:
            stop = None if r.stop is None else round(r.stop - zero, 6)
            yield Unfinished(
                kind=r.turn.kind or None, user=r.turn.user, duration_s=r.duration_s, due_s=round(r.due - zero, 6),
                stop_s=stop, until_s=round(until - zero, 6),
            )  # fmt: skip


def _given_up(outcome: Outcome) -> Iterator[str]:
    """What was too slow is not what was wrong; but who never answers may be more than slow."""
    late = [(count or 1, r.error or "") for r, _, count in outcome.rows() if (r.error or "").startswith(TIMED_OUT)]
    if late:
        number = sum(count for count, _ in late)
        unanswered = sum(count for count, error in late if error.endswith(UNANSWERED))
        limit = late[0][1].partition(":")[0]
        more = f"; for {unanswered} {UNANSWERED}, see server.log" if unanswered else ""
        yield f"{number} of {outcome.total} requests were {limit}: raise load.timeout, or send less{more}"


def _answer(one: Answered) -> TimedAnswer:
    request, result = one.request, one.result
    return TimedAnswer(
        request=request.number, task_id=request.task_id, text=result.text, text_accu=result.text_accu,
        tokens=tuple(result.tokens), timestamps=tuple(result.timestamps), tags=tuple(result.tags),
        duration=result.duration, count=one.count, also=one.also,
    )  # fmt: skip


def _print(outcome: Outcome, samples: SampleSet) -> None:
    for name, reason in samples.skipped:
        note(f"skipped {name}: {reason}")
    for name, remark in samples.remarks:
        note(f"{name}: {remark}")
    for request in outcome.requests:
        if request.ok and request.result and request.start is not None and request.final is not None:
            took = request.final - request.start
            tell(f"{request.sample}  {request.duration_s:.1f} s in {took:.2f} s  {request.result.text}")
        else:
            tell(f"{request.sample}  FAILED: {request.error}")
    if outcome.start is not None and outcome.end is not None and all(r.ok for r in outcome.requests):
        audio, took = sum(r.duration_s for r in outcome.requests), outcome.end - outcome.start
        requests = counted(len(outcome.requests), "request")
        tell(f"{requests}, {audio:.1f} s of audio in {took:.2f} s: {audio / took:.1f} x real time")
