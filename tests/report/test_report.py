"""What a report says, in words: one vocabulary, nothing recommended that is not decided, one line for one thing."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsexp.config import ThresholdsConfig
from capsexp.report import advice, beside, build, tables
from capsexp.report.exporters import html
from capsexp.report.exporters.html.words import CHINESE
from capsexp.report.sentences import meaning
from capsexp.results.read import RunFiles
from capsexp.results.report import Configuration, Decide, Recommendation, Timeline
from tests.support.reports import a_run, a_sweep, changed, reported


def trials(workers: int, *makespans: float, **more: Any) -> list[Any]:
    return [a_run(workers, s, trial=n, **more) for n, s in enumerate(makespans, start=1)]


def _workers(chosen: Recommendation | None) -> int | None:
    return chosen and chosen.workers


def lines(said: str, start: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(start)]


def test_a_baseline_is_called_one() -> None:
    report, said = reported(*trials(1, 10.0, 10.1, 9.9), *trials(2, 9.0, 9.1, 9.2))
    assert [c.verdict for c in report.configurations] == ["BASELINE", "NOT_FEASIBLE"]
    row = next(line for line in said.splitlines() if line.startswith("workers=1 (baseline)"))
    assert row.endswith("BASELINE")
    assert "  FEASIBLE" not in said


def test_while_it_is_undecided_what_is_likely_and_what_decides_it_is_said() -> None:
    report, said = reported(*trials(1, 10.0, 10.1, 9.9), *trials(2, 6.1, 7.0, 5.6))
    chosen = report.recommendation
    assert (report.verdict, chosen.key, chosen.decided) == ("INCONCLUSIVE", "workers=2", False)
    assert not lines(said, "Recommended")
    (likely,) = lines(said, "Likely, but not decided: workers=2: ")
    assert "95 % interval" in likely
    (command,) = lines(said, "To decide it: python -m capsexp resume=outputs/2026-01-01/10-00-00-sweep trials=")
    assert int(command.partition("trials=")[2].split()[0]) > 3
    report, said = reported(*trials(1, 10.0, 10.1, 9.9), *trials(2, 9.4, 9.8, 9.6))
    assert not report.recommendation.decided or lines(said, "Run 1; ")
    assert not lines(said, "Beside")


def test_what_is_decided_is_recommended_and_nothing_is_to_be_decided() -> None:
    report, said = reported(*trials(1, 10.0, 10.1, 9.9), *trials(2, 5.0, 5.1, 4.9))
    assert (report.verdict, report.recommendation.decided) == ("FEASIBLE", True)
    assert lines(said, "Recommended: workers=2")
    assert "To decide it" not in said
    assert "Likely" not in said


def test_two_of_nine_runs_are_not_feasible_but_interrupted() -> None:
    missing = [("workers=3", 1), *((f"workers={n}", t) for t in (2, 3) for n in (1, 2, 3))]
    report, said = reported(a_run(1, 10.0), a_run(2, 5.0), missing=missing, interrupted=True)
    assert report.verdict == "INCONCLUSIVE"
    assert {c.verdict for c in report.configurations} == {"INCONCLUSIVE"}
    assert lines(said, "Verdict: INCONCLUSIVE: the sweep is not finished")
    assert lines(said, "To decide it: python -m capsexp resume=outputs/2026-01-01/10-00-00-sweep ")
    assert not lines(said, "Recommended")
    assert "1 of 3 planned runs were made" in said


def test_a_run_that_was_cut_short_does_not_hide_the_others_of_its_configuration() -> None:
    cut = a_run(2, None, status="interrupted", error="interrupted", trial=2)
    cut.requests.clear()
    report, _ = reported(*trials(1, 10.0, 10.0), a_run(2, 5.0), cut, interrupted=True)
    two = report.configurations[1]
    assert (two.status, two.value("speedup"), two.incomplete) == ("ok", 2.0, "1 of 2 planned runs were made")
    assert report.recommendation.key == "workers=2"


def test_a_run_that_was_cut_short_is_called_that_and_not_wrong() -> None:
    cut = replace(a_run(1, 10.0, status="interrupted", error="interrupted"), transcripts={})
    report, said = reported(cut, interrupted=True)
    [one] = report.configurations
    assert (one.status, one.wrong, one.wrong_count, one.requests.total) == ("interrupted", (), 0, 0)
    assert "workers=1: interrupted: interrupted" in said and "wrong: " not in said
    whole, said = reported(replace(a_run(1, 10.0), transcripts={}))
    assert (whole.configurations[0].wrong_count, "wrong: s0: its text was not kept" in said) == (1, True)


def test_a_clients_setting_is_never_recommended() -> None:
    runs = [
        a_run(2, 10.0 / n, key=f"load.concurrency={n}", trial=t, settings={"load.concurrency": n})
        for n in (1, 5)
        for t in (1, 2, 3)
    ]
    report, said = reported(*runs)
    assert report.recommendation is None
    assert lines(said, "Recommended: nothing; only load.concurrency was varied")


def test_each_load_has_an_advice_of_its_own() -> None:
    runs = [
        a_run(w, s, key=f"load.concurrency={n},workers={w}", trial=t, settings={"load.concurrency": n})
        for n, w, s in ((1, 1, 10.0), (1, 2, 9.9), (8, 1, 10.0), (8, 2, 5.0))
        for t in (1, 2, 3)
    ]
    report, said = reported(*runs)
    assert report.recommendation is None  # they differ
    assert lines(said, "Recommended for load.concurrency=1: load.concurrency=1,workers=1")
    assert lines(said, "Recommended for load.concurrency=8: load.concurrency=8,workers=2")
    same = [r for r in runs if r.run.config["load"]["concurrency"] == 8 or r.run.workers == 1]
    assert _workers(reported(*same)[0].advice[0].recommendation) == 1


def test_engines_are_not_chosen_between() -> None:
    runs = [
        a_run(w, s, key=f"{e},{w}", trial=t, settings={"engine": {"name": e}})
        for e, w, s in (("null", 1, 1.0), ("null", 2, 0.5), ("sphinx", 1, 10.0), ("sphinx", 2, 5.0))
        for t in (1, 2, 3)
    ]
    _, said = reported(*runs)
    assert lines(said, "Recommended for engine=null: null,2")
    assert lines(said, "Recommended for engine=sphinx: sphinx,2")


def test_one_noisy_neighbour_is_one_line_for_each_configuration() -> None:
    runs = [a_run(w, s, trial=t, disturbed=100 + t) for w, s in ((1, 10.0), (2, 5.0), (3, 4.0)) for t in (1, 2, 3)]
    report, said = reported(*runs)
    assert report.verdict == "INVALID"
    warned = lines(said, "Warning: ")
    assert [line.split(":")[1].strip() for line in warned] == ["workers=1", "workers=2", "workers=3"]
    assert all("3 of 3 runs INVALID" in line and line.count("PAGING") == 1 for line in warned)
    assert sum("no valid run" in line for line in said.splitlines()) <= 6  # relative and other gates of each
    assert "FEASIBLE" not in said.replace("NOT_FEASIBLE", "")
    (command,) = lines(said, "To decide it: python -m capsexp resume=")
    assert "trials_max=6" in command


def test_runs_that_were_too_short_are_called_that_and_longer_ones_are_advised() -> None:
    """Another run of that length, however quiet the machine, would be as short."""
    runs = [a_run(w, s, trial=t) for w, s in ((1, 4.0), (2, 2.0)) for t in (1, 2)]
    report, said = reported(*runs, validity={"min_s": 5.0})
    assert report.verdict == "INVALID"
    assert lines(said, "Verdict: INVALID: the runs needed for a decision were too short; see the warnings.")
    assert lines(said, "To decide it: another sweep with longer runs: load.repeats=4.")
    assert "trials_max" not in said and "disturbed" not in said
    mixed, said = reported(*[a_run(w, s, trial=t, disturbed=100) for w, s in ((1, 4.0), (2, 2.0)) for t in (1, 2)],
                           validity={"min_s": 3.0, "swap_in_mb": 16.0})  # fmt: skip
    assert lines(said, "Verdict: INVALID: the runs needed for a decision were disturbed or too short; ")
    assert mixed.decide == Decide(note="another sweep with longer runs: load.repeats=2")


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_a_run_that_was_cut_short_is_made_again_and_is_not_called_invalid(status: str) -> None:
    """With hours= its figures are kept: it is short because somebody ended it, or because it is not over."""
    cut = a_run(1, 2.0, status=status, error="a checkpoint", settings={"hours": 1.0})
    report, said = reported(cut, validity={"min_s": 5.0})
    assert (report.verdict, report.unfinished) == ("INCONCLUSIVE", True)
    assert "INVALID" not in said and "trials_max" not in said
    assert report.decide
    assert report.decide.command == "python -m capsexp resume=outputs/2026-01-01/10-00-00-sweep"


def test_a_sweep_that_lies_elsewhere_is_resumed_by_a_line_that_works_when_it_is_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The screen says where it is; the file, which others read elsewhere, says how to find out."""
    runs = [a_run(1, 10.0), a_run(2, 5.0)]
    report, said = reported(*runs, missing=[("workers=2", 2)], folder=None)
    (line,) = lines(said, "To decide it: python -m capsexp resume=FOLDER   (")
    assert line.endswith("; FOLDER is the folder of this report)")
    sweep = tmp_path / "it's (there)"
    sweep.mkdir()
    (sweep / "report.txt").write_text(said, "utf-8")
    monkeypatch.chdir(tmp_path)
    for here, typed in ((tmp_path, sweep.name), (Path("/"), str(sweep)[1:]), (Path.home(), str(sweep))):
        monkeypatch.chdir(here)
        (line,) = lines(advice.as_seen_from_here(sweep, report), "To decide it: ")
        words = shlex.split(line.removeprefix("To decide it: ").partition("   (")[0])
        assert words == ["python", "-m", "capsexp", f"resume={typed}"]
        assert "FOLDER" not in line
    report, said = reported(*runs)  # nothing to be decided, or not by a command
    (sweep / "report.txt").write_text(said, "utf-8")
    assert advice.as_seen_from_here(sweep, msgspec.structs.replace(report, decide=None)) == said.rstrip("\n")


def test_who_took_the_cpus_is_named() -> None:
    run = a_run(1, 10.0)
    run.monitor.clear()
    zero = {"steal_percent": 0.0, "idle_s": 0.0, "steal_s": 0.0, "swap_in_mb": 0.0, "available_mb": None}
    nothing = {"pid": None, "cpu_s": None, "pss_mb": None, **zero}
    for at in range(0, 11):
        used = {"cpu_percent": 100.0 if at else None, "busy_s": 4.0 * at}
        run.monitor.append({"time_s": at, "role": "system", **nothing, **used})
        run.monitor.append(
            {"time_s": at, "role": "worker", "pid": 1, "cpu_s": 1.0 * at, "pss_mb": 100.0, "rss_mb": 9.0}
        )
    run.neighbours.extend(
        [{"time_s": at, "name": n, "cpu_s": s * at} for at in (0, 10) for n, s in (("ffmpeg", 2.5), ("X", 0.2))]
    )
    _, said = reported(run, validity={"other_cpu": 0.25})
    (warned,) = lines(said, "Warning: ")
    assert "OTHER_CPU" in warned
    assert "the CPUs were taken by ffmpeg (25.0 CPU s), X (2.0 CPU s)" in warned


def test_a_configuration_that_sends_fewer_texts_than_its_baseline_is_told() -> None:
    """Nobody waits less who is not told anything meanwhile."""

    def sends(count: int, workers: int) -> list[RunFiles]:
        runs = [a_run(workers, 10.0 / workers, trial=t) for t in (1, 2)]
        more = {"due_s": 0.0, "begun_s": 0.0, "stop_s": None, "class": None, "step": None, "partials": count}
        for run in runs:
            run.requests[0].update(more)
        return runs

    _, said = reported(*sends(20, 1), *sends(5, 2))
    assert "workers=2: 0.5 texts per second of audio before the last one, 2 with workers=1: latency, " in said
    assert "texts per second" not in reported(*sends(20, 1), *sends(18, 2))[1]


def test_counts_say_what_they_are_over() -> None:
    runs = [a_run(w, 10.0 / w, trial=t, disturbed=100 * (w == 2 and t == 3)) for w in (1, 2) for t in (1, 2, 3)]
    _, said = reported(*runs)
    row = next(line for line in said.splitlines() if line.startswith("workers=2"))
    assert "2 of 3" in row
    assert "3/3" in row
    assert '"correct" counts the requests of all' in said


def test_counts_of_one_report_agree_and_say_what_they_count() -> None:
    """Trial 1 of two workers was run twice, disturbed both times; a third run was planned, and not made."""
    hog = [a_run(2, 5.0, trial=1, disturbed=100.0) for _ in range(2)]
    report, said = reported(*trials(1, 10.0, 10.1), *hog, missing=[("workers=2", 2)], interrupted=True)
    [told] = lines(said, "Warning: workers=2: 2 of 2 runs INVALID")
    assert "its figures (of 1 trial) decide nothing: " in told
    assert "workers=2: 2 of 3 planned runs were made" in said
    assert tables.trials(report.configurations[1]) == "1"


def test_a_trial_that_was_repeated_is_one_trial() -> None:
    runs = [*trials(1, 10.0, 10.1, 9.9), *trials(2, 5.0, 5.1, 4.9), a_run(2, 5.0, trial=3, disturbed=100.0)]
    report, said = reported(*runs)
    assert tables.trials(report.configurations[1]) == "3"
    assert lines(said, 'Warning: workers=2: 1 of 4 runs INVALID, left out of all figures but "correct"')
    assert 'Figures use the valid runs only; "correct" counts the requests of all runs.' in said


def test_runs_that_failed_or_measured_something_else_are_among_those_that_were_made() -> None:
    hog = [a_run(2, 5.0, trial=t, disturbed=100.0) for t in (1, 2)]
    died = a_run(2, None, trial=3, status="failed", error="the server ended")
    died.requests.clear()
    _, said = reported(*trials(1, 10.0, 10.1, 9.9), *hog, died)
    assert lines(said, "Warning: workers=2: 2 of 3 runs INVALID")


def test_a_server_that_runs_already_is_not_ours() -> None:
    made = [a_run(None, 10.0, key="external", trial=t, settings={"server.name": "external", "server.url": "ws://x:1"})
            for t in (1, 2, 3)]  # fmt: skip
    report, said = reported(*made)
    assert report.recommendation is None
    assert "capsexp.server" not in said
    assert "workers=1" not in said
    assert "python -m capsexp.compare" in said
    assert "- %" not in said  # what nobody knows is not there


def test_only_known_shares_of_the_time_are_shown() -> None:
    shares = Timeline(gateway_busy=0.11, client_busy=0.1, client_waiting=0.94)
    configurations = (
        Configuration(key="external", timeline=shares),
        Configuration(key="a", timeline=Timeline(workers_busy=(0.5, 1.0))),
        Configuration(key="nothing"),
    )
    report = msgspec.structs.replace(reported(a_run(1, 10.0))[0], configurations=configurations)
    assert beside.timeline_lines(report) == [
        "external: gateway busy 11 %; client busy 10 %; client waiting 94 %",
        "a: workers busy 50, 100 %",
    ]


def test_what_others_wrote_does_not_act_on_a_terminal() -> None:
    nasty = "\x1b[2Jverified\u202e"
    run = a_run(1, 10.0, key="workers=1", heard=nasty, warnings=[nasty])
    run = changed(run, skipped=[{"file": nasty, "reason": nasty}])
    report, said = reported(run, name=nasty)
    from capsexp.report.exporters import markdown

    for shown in (said, markdown.render(report)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_single_configuration_has_nothing_to_be_compared_with(count: int) -> None:
    report, said = reported(*trials(1, *[10.0] * count))
    assert report.verdict == "INCONCLUSIVE" and report.recommendation is None
    assert lines(said, "Recommended: nothing; one configuration was measured, so there is nothing to choose from; ")
    assert "no other was measured for comparison" in lines(said, "Verdict: INCONCLUSIVE: ")[0]
    assert not lines(said, "Start it with")


def test_doubts_about_the_language_come_after_what_is_known_to_be_wrong() -> None:
    run = a_run(1, 10.0, warnings=["the server ended"], settings={"server.name": "external"})
    texts = msgspec.structs.replace(run.transcripts["s0"], transcript="他是这么说的")
    report, _ = reported(replace(run, transcripts={"s0": texts}))
    known, doubt = (
        next(n for n, line in enumerate(report.warnings) if words in line)
        for words in ("the server ended", "may not know the language")
    )
    assert known < doubt


def test_a_single_configuration_that_fails_is_called_that() -> None:
    """There is nothing to compare it with, and nothing needs to be compared."""
    report, said = reported(*trials(1, 10.0, heard="another text"))
    assert report.verdict == "NOT_FEASIBLE"
    assert lines(said, "Verdict: NOT FEASIBLE: what was measured does not keep within the limits that were set; ")
    report, said = reported(*trials(1, None))
    assert report.verdict == "NOT_FEASIBLE" and lines(said, "Verdict: NOT FEASIBLE: what was measured does not keep")
    report, said = reported(*trials(1, None, reference=None))
    assert "correctness - (at least 100.0 %: FAIL)" in lines(said, "Why: ")[0]  # the share is not known
    report, said = reported(*trials(1, 10.0, heard="another text"), a_run(1, 10.0, key="threads=2"))
    assert report.verdict == "INCONCLUSIVE"  # another one may do


def test_of_runs_that_all_failed_it_is_said_that_nothing_was_measured() -> None:
    report, said = reported(*[a_run(1, None, trial=t, status="failed", error="no port") for t in (1, 2)])
    assert report.verdict == "INCONCLUSIVE"
    assert lines(said, "Verdict: INCONCLUSIVE: every run failed, so nothing was measured; the warnings say why")


def test_what_several_runs_say_is_said_once() -> None:
    """Errors of equal runs, and runs of which none counts beside the trials that there are figures of."""
    died = [a_run(1, None, trial=t, status="failed", error="the server ended: no port") for t in (1, 2, 3)]
    report, said = reported(*died, *trials(2, 5.0, 5.1))
    assert lines(said, "Warning: workers=1: failed: the server ended: no port (3 runs)")
    assert "workers=1: failed: the server ended: no port (3 runs)<" in html.render(report)
    ours = [a_run(2, None, trial=t, status="failed", failure="harness", error="late") for t in (3, 4, 5)]
    hog = [a_run(2, 5.0, trial=t, disturbed=100.0) for t in (1, 2)]
    report, said = reported(*trials(1, 10.0, 10.1), *hog, *ours)
    [told] = lines(said, "Warning: workers=2: 5 of 5 runs INVALID")
    assert "its figures (of 2 trials) decide nothing: " in told and "2 of 5" in said
    [told] = lines(reported(*trials(1, 10.0), *ours)[1], "Warning: workers=2: 3 of 3 runs INVALID")
    assert "it has no figures: " in told


def test_a_value_is_told_from_the_limit_that_it_misses() -> None:
    """Not `1.50 (at least 1.50: FAIL)`, nor 100.0 % where a text of thousands is wrong."""
    assert tables.measured("speedup", 1.4996, 1.5) == "1.4996x" and tables.measured("speedup", 1.5, 1.5) == "1.50x"
    assert tables.measured("correctness", 0.99998, 1.0) == "99.998 %"
    _, said = reported(*trials(1, 10.0, 10.0, 10.0), *trials(2, 6.668, 6.668, 6.668))
    assert "speedup 1.4997x" in lines(said, "Why: ")[0]


def test_texts_of_another_engine_are_not_called_lost() -> None:
    other, spelled = "we never were", "So, it IS!"
    for heard, said_so in ((other, "another engine, model or language"), (spelled, "normalizes its text")):
        report, said = reported(*trials(1, 10.0, 10.0, heard=heard), *trials(2, 5.0, 5.0, heard=heard))
        assert report.verdict == "NOT_FEASIBLE"
        warned = lines(said, "Warning: ")
        assert [said_so in line for line in warned] == [True, True]
        assert all("reference=off" in line for line in warned)


def test_the_reasons_of_gates_and_the_command_name_the_same_number_of_trials() -> None:
    runs = [
        *trials(1, 10.0, 10.1, 9.9),
        *trials(2, 6.1, 7.0, 5.6),
        a_run(1, 10.0, trial=4),
        a_run(2, 6.0, trial=4, disturbed=99),
    ]
    for some in (runs[:6], runs, [runs[0], runs[3]]):
        report, _ = reported(*some)
        named = [g.reason.partition("trials=")[2].split()[0] for c in report.configurations for g in c.gates
                 if g.verdict == "INCONCLUSIVE"]  # fmt: skip
        assert named
        assert report.decide.command.endswith(f"trials={max(map(int, named))}")


def test_thresholds_that_were_changed_afterwards_are_shown_as_such() -> None:
    runs = [*trials(1, 10.0, 10.1, 9.9), *trials(2, 8.0, 8.1, 7.9)]
    report, said = reported(*runs)
    assert report.thresholds_changed == ()
    assert "Thresholds were changed" not in said
    limits = {**vars(ThresholdsConfig()), "speedup": 1.2, "wer": 0.1}
    report, said = reported(*runs, thresholds=limits)
    assert report.verdict == "FEASIBLE_WITH_CAVEATS"
    assert lines(said, "Thresholds were changed after the runs: speedup 1.5 -> 1.2, wer none -> 0.1.")
    before = {**vars(ThresholdsConfig()), "speedup": 1.9}
    assert "speedup 1.9 -> 1.2" in reported(*runs, thresholds=limits, thresholds_before=before)[1]


ANALYSES = (
    "capsexp.report.build.figures",
    "capsexp.analysis.correctness.judge",
    "capsexp.analysis.validity.reasons",
    "capsexp.analysis.faults.effect",
    "capsexp.analysis.timeline.shares",
    "capsexp.analysis.leak.watch",
    "capsexp.analysis.aggregate.configurations",
    "capsexp.analysis.scaling.extrapolate",
    "capsexp.analysis.diagnosis.causes",
    "capsexp.analysis.recommend.advise",
    "capsexp.analysis.settle.settle",
    "capsexp.analysis.trials.outcome",
    "capsexp.analysis.pools.wrong_threads",
)


@pytest.mark.parametrize("name", ANALYSES)
def test_a_report_survives_any_analysis_that_fails(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr(name, fail)
    sweep = a_sweep([*trials(1, 10.0, 10.0), *trials(2, 9.0, 9.0)], trials="auto")
    monkeypatch.setattr("capsexp.report.build.read_sweep", lambda folder: sweep)
    logs = set()
    for _ in range(2):  # however often a report is made, its traceback is kept once
        report = build.rebuild(tmp_path)
        assert [c.key for c in report.configurations] == ["workers=1", "workers=2"]
        assert any("could not be analysed (ZeroDivisionError: float division by zero)" in w for w in report.warnings)
        assert report.verdict in ("NOT_FEASIBLE", "INCONCLUSIVE", "INVALID")
        assert "could not be analysed" in (tmp_path / "report.txt").read_text()
        logs.add((tmp_path / "debug.log").read_text())
        assert all("in fail" in log for log in logs)
    for c in report.configurations:
        assert c.gates or c.verdict == "INCONCLUSIVE"  # nothing passes that was not looked at
    assert len(logs) == 1


def test_a_report_that_cannot_be_rendered_is_kept_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(report: Any) -> str:
        raise KeyError("x")

    monkeypatch.setattr("capsexp.report.exporters.text.render", fail)
    monkeypatch.setattr("capsexp.report.build.read_sweep", lambda folder: a_sweep(trials(1, 10.0, 10.0)))
    build.rebuild(tmp_path)
    assert "report.json holds all" in (tmp_path / "report.txt").read_text()
    assert "KeyError" in (tmp_path / "report.json").read_text()
    assert "workers=1" in (tmp_path / "report.md").read_text()


def test_a_baseline_that_ran_with_other_models_or_packages_is_none() -> None:
    def made(workers: int, makespan: float, **parts: str) -> list[RunFiles]:
        whole = {"configuration": str(workers), "models": "m", "packages": "p", "code": "c", "samples": "s", **parts}
        return [a_run(workers, makespan, trial=trial, fingerprint=whole) for trial in (1, 2)]

    report, said = reported(*made(1, 10.0), *made(2, 5.0), *made(3, 4.0, models="other", packages="other"))
    found = [line for line in report.warnings if "other models" in line]
    assert found == [
        "workers=3: measured with other models and packages than its baseline workers=1, so the effect of more workers "
        "is unknown; repeat both with redo=changed"
    ]
    assert found[0][:60] in " ".join(said.split())
    by_key = {c.key: c for c in report.configurations}
    assert by_key["workers=3"].verdict not in ("FEASIBLE", "BASELINE")
    assert report.recommendation.workers == 2


def test_the_headline_counts_the_samples_of_all_runs() -> None:
    first, second = ({"name": f"s{n}", "duration_s": 10.0 * n, "sha256": str(n)} for n in (1, 2))
    report, said = reported(a_run(1, 10.0, samples=[first]), a_run(2, 6.0, samples=[first, second]))
    assert [s.name for s in report.samples] == ["s1", "s2"]
    assert "2 samples, 30 s of audio" in said


@pytest.mark.parametrize(("server", "speaks", "told"), [("local", False, False), ("command", False, True)])
def test_what_an_engine_without_words_says_has_no_word_errors(server: str, speaks: bool, told: bool) -> None:
    """The engine's settings say nothing of somebody else's server."""
    run = a_run(1, 10.0, speaks=speaks, settings={"server.name": server})
    texts = {"s0": msgspec.structs.replace(run.transcripts["s0"], transcript="so it was")}
    report, _ = reported(replace(run, transcripts=texts))
    assert (report.configurations[0].value("wer") is not None) == told


@pytest.mark.parametrize(
    ("makespans", "said"),
    [
        ((14.0, 14.1, 13.9), "more workers keep within the limits that were set, but none of them is faster"),
        ((9.9, 11.5, 9.0), "more workers keep within the limits that were set, but none of them is faster"),
        ((6.0, 6.1, 5.9), "more workers pay here, within the limits that were set"),
    ],
)
@pytest.mark.parametrize("limit", [None, 0.5])
def test_what_is_no_faster_does_not_pay_whatever_the_limit(
    makespans: tuple[float, ...], said: str, limit: float | None
) -> None:
    report, text = reported(
        *trials(1, 10.0, 10.1, 9.9), *trials(2, *makespans), thresholds={**vars(ThresholdsConfig()), "speedup": limit}
    )
    assert report.verdict == "FEASIBLE" and f"Verdict: FEASIBLE: {said}" in text
    assert CHINESE[meaning(report)] in html.render(report)
