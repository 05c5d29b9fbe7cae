"""Everything that limits what a report's figures mean, each in one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from capsexp.analysis import alike, cpu_speed, differences, gates, languages, neighbours, pools, validity
from capsexp.analysis.aggregate import Observed
from capsexp.config import engine_languages
from capsexp.config import languages as known_languages
from capsexp.counts import counted, once
from capsexp.report import placements
from capsexp.report.degrade import Survivor
from capsexp.results.read import RunFiles, SweepFiles
from capsexp.results.report import Configuration
from capsexp.results.run import Reference, Run
from capsexp.results.verdicts import Status
from capsexp.targets.base import TOLD, UNTOLD


@dataclass(frozen=True)
class Seen:
    """A run's files and what was made of them."""

    files: RunFiles
    observed: Observed


def warnings(
    files: SweepFiles, seen: Sequence[Seen], configurations: Sequence[Configuration], survive: Survivor
) -> list[str]:
    """Each once. What cannot be said of a run, as its files were edited, costs nothing else."""
    found = [*files.notes, *(f"{m.planned.key}, run {m.planned.num}: {m.why}" for m in files.missing if m.why)]
    if files.sweep.interrupted:
        found.append("the sweep was interrupted: missing runs are listed with their reasons")
    for c in configurations:
        found += survive(f"{c.key}: wrong texts", [], lambda c: list(_wrong(c)), c)
    found += [shared] if (shared := placements.shared_cores(files.environment)) else []
    found += survive("speed of the CPUs", [], lambda seen: list(_uneven(seen)), seen)
    for one in seen:
        run = one.observed.run
        found += survive(f"{run.key}, run {run.num}: warnings", [], lambda one: list(_of_run(one)), one)
    found += _of_references(files)
    for c in configurations:
        found += survive(f"{c.key}: warnings", [], lambda c: list(_of_configuration(c, seen, files)), c)
    found += survive("texts before the last", [], lambda seen: list(_other_texts(configurations, seen)), seen)
    for one in seen:  # after what went wrong
        found += survive("warnings", [], lambda run: list(_cannot_be_seen(run)), one.observed.run)
    cer = {c.key: c.value("cer") for c in configurations}
    for one in seen:  # last: a guess, and texts that are wrong for another reason look like another language, too
        run = one.observed.run
        doubt = survive(f"{run.key}, run {run.num}: language", None, _language_doubt, one.files, cer.get(run.key))
        found += [doubt] if doubt else []
    return list(dict.fromkeys(found))


def _uneven(seen: Sequence[Seen]) -> Iterator[str]:
    """What no counter of this system shows: the same work took longer in one run than in another."""
    timed: dict[str, list[float]] = {}
    for one in seen:
        if one.observed.counts and one.observed.work_us is not None:
            timed.setdefault(one.observed.run.key, []).append(one.observed.work_us)
    if found := cpu_speed.slowest(timed):
        key, times = found
        yield (
            f"{key}: the same fixed work took the CPU {times:.2f} times as long in one run as in another, for no "
            "reason that this system shows: another virtual machine on the same cores, or a throttled clock; intervals "
            "are wider because of it; repeat at a quieter time"
        )


def _other_texts(configurations: Sequence[Configuration], seen: Sequence[Seen]) -> Iterator[str]:
    """Where users were sent more texts before the last one than with the baseline, or fewer: they waited for something
    else."""
    known = differences.counting([one.observed for one in seen])
    for c in configurations:
        base = c.baseline or c.key
        for old, new in differences.texts({c.key: known.get(base, [])}, {c.key: known.get(c.key, [])}).values():
            yield (
                f"{c.key}: {new:.3g} texts per second of audio before the last one, {old:.3g} with {base}: latency, "
                "stop-to-text and lag do not compare like with like"
            )


def _of_run(one: Seen) -> Iterator[str]:
    run, figures = one.observed.run, one.observed.figures
    yield from (f"{run.key}: {line}" for line in run.warnings)
    for name, about in one.files.probes.items():
        if about.fault:
            yield f"{run.key}: the probe {name!r} {about.fault}"
    yield from (f"skipped sample {s.file}: {s.reason}" for s in run.skipped)
    yield from (f"sample {s.file}: {s.reason}" for s in run.remarks)
    if run.twin:
        yield (
            f"engine={run.engine} has random weights (a twin): its text means nothing, so no WER or CER is shown; "
            "speed and memory are those of the real model, and every text must still equal the reference's"
        )
    if figures and run.fault == "none":
        threads = pools.wrong_threads(run.key, run.workers or 1, run.threads, run.cpu_count, figures)
        yield from [threads] if threads else []


def _cannot_be_seen(run: Run) -> Iterator[str]:
    """Whatever the server does."""
    for fact in sorted(TOLD.keys() - set(run.tells)):
        yield (f"target={run.group('target').get('name')} does not report {TOLD[fact]}: {UNTOLD[fact]}")
    if run.group("reference").get("name") == "off":
        yield "there is no reference (reference=off): correctness cannot be judged"


def _language_doubt(one: RunFiles, cer: float | None) -> str | None:
    """Whether the engine may not know what was spoken. Of a server that is not ours only its texts tell."""
    run = one.run
    engine = run.group("engine") if run.server == "local" else None
    answers = [
        (name, kept.transcript, kept.results[0].text) for name, kept in sorted(one.transcripts.items()) if kept.results
    ]
    if not answers or run.twin:
        return None
    known = known_languages(engine) if engine is not None else ()
    return languages.warning(
        engine, known, run.language, answers, cer, engine_languages(), run.speaks or engine is None
    )


def _of_references(files: SweepFiles) -> Iterator[str]:
    references = list(files.references.values())
    unlike = {f.run.reference for f in files.runs if not all(one.deterministic for one in f.run.reference_runs)}
    for name, reference in files.references.items():
        if reference.kind != "server" and (not reference.deterministic or name in unlike):
            yield (
                f"engine={reference.engine} is not deterministic: the reference's texts are not always the same, "
                "so the engine itself may be why a text differs"
            )
    servers = [r for r in references if r.kind == "server"]
    yield from _of_servers(servers)
    yield from _unlike_alone(servers)


def _of_servers(references: Sequence[Reference]) -> Iterator[str]:
    alike = defaultdict[tuple[str, ...], list[str]](list)  # settings, by the samples that were answered in two ways
    for reference in references:
        if reference.again:
            alike[tuple(sorted(reference.again))].append(_setting(reference))
        if reference.texts and not any(text.text for text in reference.texts.values()):
            yield f"{_setting(reference)}: without load, the server returned no text for any sample: check its model"
    for names, settings in alike.items():
        yield (
            f"{' and '.join(settings)}: the server is not deterministic: without load, it gave two different texts for "
            f"{counted(len(names), 'sample')} (the first: {names[0]}), which {'is' if len(names) == 1 else 'are'} not "
            "compared; turn off sampling in its decoder (temperature 0), and check what else a text depends on, such "
            "as what the same worker heard before"
        )


def _unlike_alone(references: Sequence[Reference]) -> Iterator[str]:
    """Settings of a server that alone give other texts: of that no load is the cause."""
    for at, one in enumerate(references):
        for other in references[:at]:
            steady = (one.texts.keys() & other.texts.keys()) - one.again.keys() - other.again.keys()
            if unlike := sorted(name for name in steady if one.texts[name] != other.texts[name]):
                yield (
                    f"without load, the server's texts of {counted(len(unlike), 'sample')} differ between "
                    f"{_setting(one)} and {_setting(other)} (the first: {unlike[0]}): the setting "
                    "changes them, not the load"
                )
                break


def _setting(reference: Reference) -> str:
    return f"target={reference.target} workers={reference.workers} threads={reference.threads}"


def _of_configuration(c: Configuration, seen: Sequence[Seen], files: SweepFiles) -> Iterator[str]:
    if disturbed := _disturbed(c, seen):
        yield disturbed
    if left_out := alike.said(c.left_out):
        yield f"{c.key}: {left_out}"
    if c.no_baseline:
        yield (
            f"{c.key}: {c.no_baseline} ({c.node}): one that differs only in workers was made on another; "
            "executor.node=NAME, or executor.constraint=FEATURE, has all of them made on one type"
        )
    if c.unlike_baseline:
        yield (
            f"{c.key}: measured with other {' and '.join(c.unlike_baseline)} than its baseline {c.baseline}, so the "
            "effect of more workers is unknown; repeat both with redo=changed"
        )
    yield from (f"{c.key}: {caveat}" for caveat in gates.caveats(c.gates, files.sweep.thresholds, 0))
    if c.incomplete:
        yield f"{c.key}: {c.incomplete}"


def _wrong(c: Configuration) -> Iterator[str]:
    """What failed, and what came out wrong: worth more than all that limits its times."""
    if c.status != Status.OK:
        yield f"{c.key}: {c.status}: {once(c.errors)}"
    if unlike := _UNLIKE.get(c.requests.unlike or ""):
        yield f"{c.key}: {unlike}"
    elif c.wrong:
        others = c.wrong_count - 1
        more = f" and {others} more" if others > 0 else ""
        yield f"{c.key}: wrong: {c.wrong[0].sample}: {c.wrong[0].reason}{more}"


# All texts differ from the reference's, which no server does that loses some.
_UNLIKE = {
    "spelling": (
        "all texts have the reference's words in another spelling: the server normalizes its text in its own way; "
        "judge words instead, with reference=off thresholds.wer=0.1 (samples with transcripts)"
    ),
    "engine": (
        "all texts differ from the reference's from the first word on, with other words, not fewer: the "
        "server runs another engine, model or language than the reference; set engine= and "
        "its model_dir, model_id or language to the server's, or use reference=server, or reference=off "
        "thresholds.wer=0.1 (samples with transcripts)"
    ),
}


def _disturbed(c: Configuration, seen: Sequence[Seen]) -> str | None:
    """All that disturbed a configuration's runs in one line: each code once, and who took the CPUs by name. Of how many
    runs: of all that were made, those too that failed or measured something else."""
    runs = c.validity.runs
    bad = [run for run in runs if run.reasons]
    if not bad:
        return None
    said: dict[str, list[str]] = {}
    for run in bad:
        for reason in run.reasons:
            said.setdefault(reason.code, []).append(reason.reason)
    each = [f"{code}: {all_[0]}{_more(len(all_) - 1)}" for code, all_ in said.items()]
    nums = {run.num for run in bad if any(r.code in ("OTHER_CPU", validity.LOST_CPU) for r in run.reasons)}
    if names := _neighbours([one.files for one in seen if one.files.run.num in nums]):
        each.append(f"the CPUs were taken by {names}")
    left = 'left out of all figures but "correct"'
    if len(bad) == len(runs):
        what = f"its figures (of {counted(c.trials, 'trial')}) decide nothing" if c.trials else "it has no figures"
        left = what
    made = sum(one.observed.run.key == c.key for one in seen)
    of = f"{len(bad)} of {counted(made, 'run')}" if made > 1 else "its run"
    return f"{c.key}: {of} INVALID, {left}: {'; '.join(each)}"


def _more(count: int) -> str:
    return f" (and {count} more like it)" if count else ""


def _neighbours(files: Iterable[RunFiles]) -> str:
    """The processes of others that took most of the CPUs while these runs were measured."""
    total: dict[str, float] = {}
    for one in files:
        span = one.run.window_s.span
        for name, seconds in neighbours.took(one.neighbours, *span) if span else ():
            total[name] = total.get(name, 0.0) + seconds
    most = sorted(total.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{name} ({seconds:.1f} CPU s)" for name, seconds in most if seconds >= 0.1)
