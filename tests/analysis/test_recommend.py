"""The advice: what one more worker brings, what binds, what one worker with more threads would do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsexp.analysis import aggregate, binding, recommend, scaling, settle, verdicts
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.files import write_json
from capsexp.results.read import read_facts
from capsexp.results.report import Configuration, Reason, Recommendation, Step, Timeline
from tests.support.values import HOG, RIGHT, again, config, counted, gates, made_run, report, trials, with_value


def advice(*runs: Observed, cpus: int = 4, **change: Any) -> Recommendation:
    found = [
        msgspec.structs.replace(
            with_value(one, cpu_utilisation=0.9 * (one.workers or 1) * (one.threads or 1) / cpus), **change
        )
        for one in report(*runs)
    ]
    fit = scaling.extrapolate(found, cpus, 6144.0)
    chosen = recommend.recommend(found, 0.05, [fit] if fit else [], cpus)
    assert chosen is not None
    return chosen


def test_the_next_worker_as_it_was_measured() -> None:
    found = advice(made_run(1, 10.0, 900.0), made_run(2, 5.0, 1600.0), made_run(3, 4.95, 3400.0), cpus=2)
    step = found.next
    assert step and (step.workers, step.more_mb, step.predicted) == (3, 1800, False)
    assert (step.gain, step.but) == (pytest.approx(0.0101, abs=1e-4), "it fails memory_growth")
    assert found.next_sentence == "Run 2; a third adds +1 % for +1.8 GB, but it fails memory_growth."
    assert found.binds == "Bottleneck: the CPUs: 2 threads on 2 CPUs, 90 % used."


def test_cores_that_bind_only_the_counts_that_did_not_pass() -> None:
    found = advice(made_run(1, 10.0), made_run(2, 8.0), made_run(3, 8.0), cpus=2)
    assert (found.workers, found.binds) == (
        1,
        "Bottleneck from 2 workers on: the CPUs: 2 threads on 2 CPUs, 90 % used.",
    )


@pytest.mark.parametrize("disturbed", [2, 3])
def test_nothing_is_decided_while_one_of_them_has_no_run_that_counts(disturbed: int) -> None:
    runs = {1: (10.0, 10.1, 9.9), 2: (5.0, 5.05, 4.95), 3: (5.0, 5.1, 5.05)}
    each = [trials(n, *times, **({"disturbed": HOG} if n == disturbed else {})) for n, times in runs.items()]
    found = advice(*(run for some in each for run in some), cpus=2)
    assert found.workers == 5 - disturbed
    assert not found.decided
    assert [said.partition(":")[0] for said in found.open] == [f"workers={disturbed}"]


def test_the_next_worker_as_it_is_predicted() -> None:
    found = advice(made_run(1, 10.0, 100.0), made_run(2, 5.0, 180.0), made_run(3, 10 / 3, 240.0))
    assert (found.next.workers, found.next.predicted) == (4, True)
    assert found.next_sentence.startswith("Run 3; a fourth adds +33 % for +")
    assert found.next_sentence.endswith(" MB (predicted, not measured).")
    assert advice(made_run(1, 10.0, 100.0), made_run(2, 5.0, 180.0)).next is None  # of two counts
    several = advice(made_run(1, 10.0), made_run(2, 5.0), made_run(4, 5.0))
    assert several.next_sentence.startswith("Run 2; 2 more add ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "No bottleneck was found up to 2 workers; workers=4 may show one."),
        ({"timeline": {"gateway_busy": 0.95}}, "Bottleneck: the server's gateway, busy 95 % of the time."),
        ({"timeline": {"queue_empty": 0.7}}, "Bottleneck: too few requests: no segment waited during 70 % of the time"),
        ({"client_s": 4.5}, "Bottleneck: the client, which used 90 % of a CPU."),
        ({"limit": 300.0}, "Bottleneck: memory: 340 MB with 4 workers (limit 300 MB)."),
    ],
)
def test_what_binds(change: dict[str, Any], said: str) -> None:
    two = report(made_run(1, 10.0), made_run(2, 5.0, 180.0))[1]
    limit = msgspec.structs.replace(gates(two)["peak_memory_mb"], limit=change.get("limit", 6144.0))
    where = Timeline(**change["timeline"]) if "timeline" in change else None
    two = with_value(two, cpu_utilisation=0.2, cpu_client_s=change.get("client_s"))
    two = msgspec.structs.replace(two, timeline=where, gates=(limit,))
    following = Step(workers=4, gain=0.1, more_mb=160.0, predicted=False)
    assert binding.binds(two, [two], following, 16, {}, 0.05).startswith(said)


def test_one_worker_alone_is_told_in_the_singular() -> None:
    found = advice(made_run(1, 10.0), cpus=16, timeline=None)
    assert found.binds == "No bottleneck was found with 1 worker; workers=2 may show one."
    assert found.reason.endswith("; no configuration with more workers was measured for comparison.")


def test_what_binds_is_said_from_use_and_not_from_counts() -> None:
    two = with_value(report(made_run(1, 10.0), made_run(2, 5.0, 180.0))[1], cpu_utilisation=0.07, cpu_client_s=0.1)

    def said(busy: float, empty: float, **loads: int) -> str:
        where = Timeline(workers_busy=(busy, busy), queue_empty=empty, client_waiting=0.9)
        wide = msgspec.structs.replace(two, threads=64, timeline=where)
        return binding.binds(wide, [wide], None, 2, {"workers=2": 4} if loads else {}, 0.05)

    assert "Cores" not in said(0.97, 0.1)  # 128 threads on 2 CPUs, of which 7 % are used
    assert "load.repeats" in said(0.5, 0.7)
    bounded = said(0.5, 0.7, concurrency=4)
    assert "load.concurrency=4" in bounded
    assert "load.repeats" not in bounded  # as short clips under bounded load: more of them change nothing
    assert "Requests" not in said(0.95, 0.7)  # nobody is idle


def test_a_single_worker_with_as_many_threads_is_compared() -> None:
    def run(workers: int, threads: int, makespan: float, key: str) -> Observed:
        made = config(workers=workers, threads=threads, engine={"name": "paraformer"})
        return made_run(workers, makespan, key=key, threads=threads, engine="paraformer", config=made)

    narrow, wide, two = run(1, 1, 10.0, "narrow"), run(1, 2, 6.0, "wide"), run(2, 1, 5.0, "two")
    by_key = {c.key: c for c in report(narrow, wide, two)}
    assert by_key["wide"].role == "iso-resource baseline"
    equal = by_key["two"].iso_resource
    assert equal and (equal.baseline, equal.speedup.value) == ("wide", pytest.approx(1.2))
    equal = report(narrow, two)[1].iso_resource
    assert equal and equal.baseline is None
    assert "threads=1,2 would add one" in (equal.reason or "")
    equal = report(again(narrow, one_core=True), again(two, one_core=True))[1].iso_resource
    assert equal and (equal.baseline, equal.reason) == ("narrow", None)


def test_what_an_engine_can_do_is_said_for_runs_of_before(tmp_path: Path) -> None:
    """An earlier version's run.json does not hold it."""
    facts = msgspec.to_builtins(made_run(2, 5.0).run)
    for told in ("one_core", "speaks", "tells"):
        del facts[told]
    for name, one_core, speaks in (("sphinx", True, True), ("null", True, False), ("gone", False, True)):
        write_json(tmp_path / "run.json", {**facts, "engine": name})
        run = read_facts(tmp_path)
        assert (run.one_core, run.speaks, run.tells) == (one_core, speaks, ("duration", "id"))
    write_json(tmp_path / "run.json", {**facts, "one_core": False, "speaks": False, "tells": []})
    run = read_facts(tmp_path)
    assert (run.one_core, run.speaks, run.tells) == (False, False, ())


def test_samples_bring_their_own_interval_of_wer() -> None:
    errors = {f"s{n}": {"wer": (n % 2, 20), "cer": (n % 2, 80)} for n in range(9)}
    judged = Judgement(requests=9, completed=9, identical=9, errors=errors)
    only = report(made_run(1, 10.0), judged=judged, limits={"wer": 0.021, "cer": 0.5})[0]
    low, high = only.metric("wer").ci95
    assert low < 4 / 180 < high
    assert {g.metric: g.verdict for g in only.gates} == {"wer": "INCONCLUSIVE", "cer": "PASS"}
    assert "more samples would settle it" in next(g.reason for g in only.gates if g.metric == "wer")


def why_nothing(*runs: Observed) -> str | None:
    found = report(*runs)
    (only,) = recommend.advise(found, {one.run.key: one.run.config for one in runs}, 0.05)
    assert only.recommendation is None
    return only.reason


def test_why_nothing_is_recommended() -> None:
    assert why_nothing() == "no run was made"
    struck = [made_run(w, 10.0 / w, config=config(workers=w, fault={"name": "kill_worker"})) for w in (1, 2)]
    assert why_nothing(*struck) == "faults were injected in every run"
    far = [made_run(1, None, config=config(server={"name": "external"}))]
    assert why_nothing(*far) == "no configuration completed its requests"
    assert why_nothing(made_run(1, None)) == "no configuration completed its requests"
    heavy = made_run(1, 10.0, 7000.0)
    assert why_nothing(heavy) == "no configuration passes its gates (peak_memory_mb)"
    (nothing,) = recommend.advise(counted(replace(heavy, disturbed=HOG)), {"workers=1": config(workers=1)}, 0.05)
    assert nothing.reason == (
        "nothing is known of any configuration: its runs, or its baseline's, are INVALID; the warnings say why"
    )
    assert why_nothing(*(made_run(w, 10.0 / w, disturbed=HOG) for w in (1, 2))) == nothing.reason


def test_the_fewest_workers_are_the_baseline_and_one_that_did_not_complete_is_none() -> None:
    two, four = report(made_run(2, 10.0), made_run(4, 5.0))
    assert (two.verdict, four.baseline, four.value("speedup"), four.verdict) == ("BASELINE", two.key, 2.0, "FEASIBLE")
    two = report(made_run(1, None), made_run(2, 5.0))[1]
    assert gates(two)["speedup"].reason == "no baseline: workers=1 did not complete its requests"


def test_a_configuration_of_which_no_run_was_made_is_no_group_of_its_own() -> None:
    found = [*report(made_run(1, 10.0)), aggregate.empty("workers=9", "missing", "not run")]
    (only,) = recommend.advise(found, {"workers=1": config()}, 0.05)
    assert (only.group, only.recommendation) == ("", None)
    assert only.reason == "so far one configuration was measured, so there is nothing to choose from"


def open_sweep(*trial: tuple[float, float]) -> list[Configuration]:
    """One and two workers' makespans, trial by trial."""
    return report(*trials(1, *(one for one, _ in trial)), *trials(2, *(two for _, two in trial)))


def test_trials_that_would_decide_are_asked_for_only_where_a_sweep_may_have_as_many() -> None:
    found = open_sweep((10.0, 6.6), (10.1, 6.8), (9.9, 6.5))
    (needed,) = (gate.trials for gate in found[1].gates if gate.verdict == "INCONCLUSIVE")
    said = settle.settle(found, 3, False, most=2 * needed)
    assert said and said[0] == [f"trials={needed}"]
    said = settle.settle(found, 3, False, most=2 * needed - 1)
    assert said and said[0] is None
    assert settle.settle(found, 3, True) == ([], "makes the runs that are missing or were cut short")
    decided = open_sweep((10.0, 5.0), (10.0, 5.0), (10.0, 5.0))
    assert settle.settle(decided, 3, False) is None


@pytest.mark.parametrize(
    ("codes", "overrides"),
    [(["TOO_SHORT"], None), (["OTHER_CPU"], ["trials_max=5"]), (["TOO_SHORT", "OTHER_CPU"], None)],
)
def test_a_run_that_is_too_short_is_too_short_again(codes: list[str], overrides: list[str] | None) -> None:
    why = tuple(Reason(code=code, reason="so") for code in codes)
    found = counted(*trials(1, 10.0, 10.0), *trials(2, 5.0, 5.0, disturbed=why))
    assert found[1].verdict == "INVALID"
    said = settle.settle(found, 3, False)
    assert said is not None
    assert said[0] == overrides
    assert ("longer runs: a longer load, or longer samples" in said[1]) == (overrides is None)


@pytest.mark.parametrize(("status", "but"), [("failed", "its run failed"), ("ok", "not all requests completed")])
def test_the_next_worker_of_which_there_is_no_figure(status: str, but: str) -> None:
    *found, three = report(made_run(1, 10.0), made_run(2, 5.0), made_run(3, 4.0))
    three = msgspec.structs.replace(with_value(three, throughput_rtfx=None), verdict="NOT_FEASIBLE", status=status)
    advised = recommend.recommend([*found, three], 0.05)
    assert advised and advised.next
    assert (advised.next.workers, advised.next.gain, advised.next.but) == (3, None, but)
    assert advised.next_sentence == f"Run 2; a third has no figure, as {but}."
    assert advised.binds == "No bottleneck was found up to 2 workers; workers=3 gave no figure."


def test_the_fewest_workers_that_are_as_fast() -> None:
    found = report(made_run(1, 10.0), made_run(2, 5.0), made_run(3, 4.9))
    chosen = recommend.recommend(found, 0.05)
    assert chosen
    assert chosen.workers == 2
    assert "within the tolerance" in chosen.reason


def test_when_nothing_pays_the_baseline_is_recommended() -> None:
    found = report(made_run(1, 10.0), made_run(2, 9.0))
    assert [c.verdict for c in found] == ["BASELINE", "NOT_FEASIBLE"]
    assert verdicts.overall(found) == "NOT_FEASIBLE"
    chosen = recommend.recommend(found, 0.05)
    assert chosen
    assert (chosen.workers, "1.11x (speedup)" in chosen.reason) == (1, True)
    alone = recommend.recommend(report(made_run(1, 10.0)), 0.05)
    assert alone
    assert "no configuration with more workers was measured" in alone.reason


def test_wrong_transcripts_are_never_recommended() -> None:
    wrong = replace(RIGHT, identical=3)
    found = report(made_run(1, 10.0), made_run(2, 5.0), judged=wrong)
    assert {c.verdict for c in found} == {"NOT_FEASIBLE"}
    assert recommend.recommend(found, 0.05) is None


def test_what_wants_trials_is_not_thrown_out_in_favour_of_something_worse() -> None:
    """One of its trials was slowed by a neighbour; workers=3 is slower, bigger, and decided."""
    found = report(*trials(1, 18.0, 18.1, 18.2), *trials(2, 9.7, 14.5, 9.6), *trials(3, 11.1, 11.2, 11.2, mb=150.0))
    assert [c.verdict for c in found] == ["BASELINE", "INCONCLUSIVE", "FEASIBLE"]
    chosen = recommend.recommend(found, 0.05)
    assert chosen and (chosen.key, chosen.decided) == ("workers=2", False)
    assert chosen.reason.endswith("workers=3 passes so far: 9.0 x real time in 150 MB.")
    assert chosen.open[0].startswith("workers=2: 1.64x of workers=1 (95 % interval 0.91 to 2.94); speedup: ")
    assert chosen.next_sentence == "With 2 workers: a third makes it slower, -1 % for +50 MB."
    # What is decided stays so where nothing that is open could be chosen instead.
    found = report(*trials(1, 18.0, 18.1, 18.2), *trials(2, 9.7, 9.8, 9.6), *trials(3, 9.7, 14.5, 9.6, mb=150.0))
    assert [c.verdict for c in found] == ["BASELINE", "FEASIBLE", "INCONCLUSIVE"]
    chosen = recommend.recommend(found, 0.05)
    assert chosen and (chosen.key, chosen.decided) == ("workers=2", True)


def test_what_is_open_takes_part_though_its_workers_are_not_compared() -> None:
    """As under a load of a fixed duration, which has no speedup."""
    found = report(*trials(1, 18.0, 18.1, 18.2), *trials(2, 9.7, 14.5, 9.6), *trials(3, 11.1, 11.2, 11.2, mb=150.0))
    found = [msgspec.structs.replace(c, adds_workers=False) for c in found]
    chosen = recommend.recommend(found, 0.05)
    assert chosen and (chosen.key, chosen.decided) == ("workers=2", False)
    assert chosen.open[0].startswith("workers=2: ")


def test_one_that_may_come_to_pass_leaves_the_answer_open() -> None:
    """By its values it does not, so that it is not what is likely."""
    found = report(*trials(1, 10.0, 10.0, 10.0), *trials(2, 6.6, 6.9, 6.8), *trials(3, 6.6, 6.62, 6.61, mb=150.0))
    assert [c.verdict for c in found] == ["BASELINE", "INCONCLUSIVE", "FEASIBLE"]
    chosen = recommend.recommend(found, 0.05)
    assert chosen and (chosen.key, chosen.decided) == ("workers=3", False)


def test_small_differences_do_not_add_up() -> None:
    """Each is within the tolerance of the next, and the first far from the last."""
    made = [made_run(1, 20.0), *(made_run(w, 10.0 * 0.96**w, 100.0 + 20 * w) for w in range(2, 7))]
    found = report(*made)
    choice = recommend.choices(found, {o.run.key: o.run.config for o in made}, 0.05)["workers=2"]
    assert choice.chosen.workers == 5
    assert [[c.workers for c in choice.dominating(one)] for one in found] == [[], [], [], [], [], [5]]


def test_what_is_faster_is_not_called_no_faster_because_it_cannot_be_chosen() -> None:
    """It misses its gate (1.5x), so that the baseline alone can be chosen; it is faster all the same."""
    made = [*trials(1, 10.0, 10.1, 10.0), *trials(2, 6.9, 6.95, 6.9)]
    found = report(*made)
    assert found[1].verdict == "NOT_FEASIBLE"
    choice = recommend.choices(found, {o.run.key: o.run.config for o in made}, 0.05)["workers=2"]
    assert choice.candidates == (found[0],)
    assert choice.dominating(found[1]) == []
