"""Runs become configurations: trials, baselines, verdicts."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from capsexp.analysis import (
    aggregate,
    gates,
    recommend,
    verdicts,
)
from capsexp.analysis import trials as plan
from capsexp.analysis.correctness import Judgement
from capsexp.results.report import Configuration, LeftOut, Requests
from capsexp.results.verdicts import Reading, Status, Verdict
from tests.support.values import (
    HOG,
    LIMITS,
    REFERENCES,
    RIGHT,
    again,
    config,
    counted,
    durations,
    figures,
    made_run,
    report,
    trials,
)
from tests.support.values import gates as gates_of


def test_only_a_run_that_ended_well_undisturbed_counts() -> None:
    well = made_run(1, 10.0)
    assert well.counts
    # One that is under way, and hours that were interrupted, have figures as well.
    others = [replace(well, disturbed=HOG), replace(well, figures=None)]
    others += [again(well, status=status) for status in ("running", "interrupted", "failed")]
    assert not any(one.counts for one in others)


def test_a_sweep_is_compared_with_its_baseline() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 5.0, 180.0))
    assert two.baseline == "workers=1"
    assert [two.value(tag) for tag in ("speedup", "efficiency", "memory_growth")] == [2.0, 1.0, 1.8]
    assert (one.value("speedup"), one.value("server_efficiency"), two.value("server_efficiency")) == (None, 1.0, None)
    assert (one.verdict, two.verdict) == ("BASELINE", "FEASIBLE")
    assert verdicts.overall([one, two]) == "FEASIBLE"
    chosen = recommend.recommend([one, two], 0.05)
    assert chosen
    assert chosen.workers == 2
    assert "2.00x of workers=1" in chosen.reason


def test_another_pool_with_as_many_workers_is_not_asked_for_a_speedup() -> None:
    forked = made_run(1, 10.5, 90.0, key="prefork", pool="prefork", config=config(pool={"name": "prefork"}))
    one, other = report(made_run(1, 10.0), forked)
    assert other.baseline == one.key
    said = {g.metric: (g.verdict, g.reason) for g in other.gates}
    assert said["speedup"] == ("NOT_JUDGED", "no more workers than the baseline")
    assert said["peak_memory_mb"][0] == "PASS"
    assert verdicts.overall([one, other]) == "INCONCLUSIVE"  # nothing with more workers was run


def test_trials_become_geometric_means_and_maxima() -> None:
    (only,) = report(
        *(made_run(1, s, mb, trial=n) for n, (s, mb) in enumerate(((10.0, 100), (30.0, 300), (90.0, 200))))
    )
    assert (only.trials, only.value("makespan_s"), only.value("peak_memory_mb")) == (3, pytest.approx(30.0), 300.0)
    assert only.requests.total == 12


def test_one_trial_with_a_lost_request_leaves_no_makespan() -> None:
    found = report(made_run(1, 10.0), made_run(1, None))[0]
    assert found.value("makespan_s") is None
    two = report(made_run(1, None), made_run(2, 5.0))[1]
    assert {g.metric: g.verdict for g in two.gates}["speedup"] == "NOT_JUDGED"


def test_a_sweep_of_baselines_only_decides_nothing() -> None:
    assert verdicts.overall(report(made_run(1, 10.0))) == "INCONCLUSIVE"
    assert verdicts.overall([]) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("completed", "limit", "verdict"), [(4, 1.0, "NOT_JUDGED"), (3, 1.0, "FAIL"), (3, 0.7, "NOT_JUDGED")]
)
def test_requests_that_failed_are_not_correct_though_there_is_no_reference(
    completed: int, limit: float, verdict: str
) -> None:
    counts = Requests(total=4, completed=completed)
    one = Configuration(key="k", status=Status.OK, requests=counts)
    (gate,) = gates.judge(one, {"correctness": limit}, None, None)
    assert gate.verdict == verdict
    assert verdict != "FAIL" or gate.reason == "1 of 4 requests failed, whatever texts are right"
    assert (
        gates.judge(msgspec.structs.replace(one, requests=Requests()), {"correctness": 1.0}, None, None)[0].verdict
        == "NOT_JUDGED"
    )


def test_a_sweep_of_which_all_fails_is_not_feasible() -> None:
    one = msgspec.structs.replace(report(made_run(1, 10.0))[0], verdict=Verdict.NOT_FEASIBLE)
    assert verdicts.overall([one]) == "NOT_FEASIBLE"
    assert verdicts.overall([one, msgspec.structs.replace(one, verdict=Verdict.BASELINE)]) == "INCONCLUSIVE"


def test_failed_and_unknown_runs() -> None:
    failed = made_run(2, None, status="failed", error="no", figures=None)
    one, two = report(made_run(1, 10.0), failed)
    assert (two.status, two.errors, two.verdict, two.gates) == ("failed", ("no",), "NOT_FEASIBLE", ())
    assert aggregate.empty("x", "missing", "y").verdict == "INCONCLUSIVE"
    (nothing,) = aggregate.configurations([made_run(1, 10.0, reference=None)], {}, LIMITS)
    assert (nothing.value("correctness"), nothing.value("server_efficiency"), nothing.verdict) == (
        None,
        None,
        "INCONCLUSIVE",
    )
    assert one.status == "ok"


def test_drift_that_both_share_does_not_widen_the_interval() -> None:
    _, two = report(*trials(1, 10.0, 20.0, 30.0), *trials(2, 5.0, 10.0, 15.0))
    assert two.metric("speedup").ci95 == pytest.approx((2.0, 2.0))
    assert two.value("speedup") == 2.0


def gate_of(configuration: Configuration, name: str) -> tuple[str, str]:
    found = gates_of(configuration)[name]
    return found.verdict, found.reason or ""


def test_one_pair_of_trials_decides_nothing() -> None:
    _, two = counted(made_run(1, 10.0), made_run(2, 3.0))
    assert (two.metric("speedup").n, two.verdict) == (1, "INCONCLUSIVE")
    for name in ("speedup", "memory_growth"):
        assert gate_of(two, name) == ("INCONCLUSIVE", "1 pair of trials decides nothing; trials=3 would settle it")
    assert verdicts.overall([_, two]) == "INCONCLUSIVE"
    _, two = counted(*trials(1, 10.0, 10.0), *trials(2, 3.0, 3.0))
    assert (two.metric("speedup").n, two.verdict) == (2, "FEASIBLE")
    assert "2 pairs" in gate_of(two, "speedup")[1]


def test_no_common_trial_is_not_a_request_that_was_lost() -> None:
    runs = [made_run(1, 10.0), made_run(2, 3.0, trial=2), made_run(2, 3.1, trial=3)]
    _, two = counted(*runs)
    assert (two.metric("speedup").n, two.value("speedup"), two.verdict) == (0, None, "INCONCLUSIVE")
    verdict, reason = gate_of(two, "speedup")
    assert verdict == "INCONCLUSIVE"
    assert "no trial in which both" in reason
    assert "not all requests" not in str(two.gates)
    asked = plan.further([_, two], plan.questions([_, two], {}, 0.05, None), 10)
    assert asked == [("workers=1", 4), ("workers=2", 4)]  # trials=auto goes on
    lost = counted(*trials(1, 10.0, 10.0), made_run(2, None), made_run(2, 3.0, trial=2))[1]
    assert gate_of(lost, "speedup") == ("FAIL", "not all requests completed")


@pytest.mark.parametrize(
    ("real", "asked", "counts", "speedup"),
    [
        ((2, 3, 3), 3, 3, 2.5), ((3, 2, 2), 3, 3, 10 / 3.4), ((2, 2, 1), 3, 2, 10 / 3.7), ((3, 3, 3), 3, 3, 10 / 3.7),
    ],
)  # fmt: skip
def test_trials_with_another_number_of_workers_are_not_averaged(
    real: tuple[int, ...], asked: int, counts: int, speedup: float
) -> None:
    times = (3.4, 4.0, 4.0)
    runs = [
        made_run(n, t, trial=at, key="workers=3", workers_requested=asked)
        for at, (n, t) in enumerate(zip(real, times, strict=True), start=1)
    ]
    _one, several = counted(*trials(1, 10.0, 10.0, 10.0), *runs)
    other = [at for at, n in enumerate(real, start=1) if n != counts]
    assert (several.workers, several.trials) == (counts, 3 - len(other))
    assert [left.trial for left in several.left_out] == other
    mine = [10.0 / t for t, n in zip(times, real, strict=True) if n == counts]
    assert list(several.metric("speedup").values) == pytest.approx(mine)
    if other:
        assert any(f" instead of {counts}" in caveat for caveat in several.caveats)
    assert several.requests.total == 12  # a wrong text of any of them is wrong


def test_trials_with_other_models_are_not_averaged() -> None:
    runs = trials(1, 10.0, 20.0, 20.0)
    runs = [again(run, fingerprint={"code": "x", "models": m}) for run, m in zip(runs, "abb", strict=True)]
    (only,) = counted(*runs)
    assert (only.trials, only.value("makespan_s")) == (2, 20.0)
    assert only.left_out == (LeftOut(trial=1, num=0, why="made with other models"),)


@pytest.mark.parametrize("limits", [{}, {"correctness": None}, LIMITS])
def test_nothing_completed_is_never_feasible(limits: dict[str, Any]) -> None:
    none = Judgement(requests=10)
    runs = trials(1, None, None)
    (only,) = counted(*runs, judged=none, limits=limits)
    assert only.verdict == "NOT_FEASIBLE"
    assert gate_of(only, "completed") == ("FAIL", "none of 20 requests completed")
    assert counted(*runs, judged=Judgement(), limits={})[0].verdict == "INCONCLUSIVE"


def test_a_run_that_the_harness_failed_is_a_missing_trial() -> None:
    lost = replace(RIGHT, completed=0, identical=0)
    ours = {"status": "failed", "failure": "harness", "error": "the monitor ended with code -9"}
    bad = made_run(2, None, trial=2, figures=None, judged=lost, **ours)
    runs = [*trials(1, 10.0, 10.0, 10.0), made_run(2, 5.0), bad, made_run(2, 5.0, trial=3)]
    found = counted(*runs)
    two = found[1]
    assert (two.status, two.verdict, two.metric("speedup").n) == ("ok", "FEASIBLE_WITH_CAVEATS", 2)
    assert two.value("correctness") == 1.0  # what was lost was not the server's
    assert two.validity.runs[1].reasons[0].code == "HARNESS"
    assert plan.repeats(found, 10) == [("workers=2", 2)]
    alone = counted(bad)
    assert (alone[0].status, alone[0].verdict) == ("failed", "INCONCLUSIVE")
    assert plan.repeats(alone, 10) == [("workers=2", 2)]
    lasting = again(bad, failure="settings", error="the client ended with code 2: load.csv: line 2: due_s is 'soon'")
    found = counted(*runs[:4], lasting, runs[5])
    assert (found[1].status, found[1].validity.runs[1].reasons[0].code) == ("ok", "SETTINGS")
    assert (plan.repeats(found, 10), plan.repeats(counted(lasting), 10)) == ([], [])
    assert counted(lasting)[0].verdict == "INCONCLUSIVE"  # it says nothing of the server
    killed = again(bad, failure="server")
    assert counted(*trials(1, 10.0), killed)[1].verdict == "NOT_FEASIBLE"


def test_percentiles_are_of_all_trials() -> None:
    runs = [
        made_run(1, s, trial=at, figures=figures(s, durations=durations(
            latency_s=[float(100 * at + n) for n in range(50)], turnaround_s=[1.0 + at]
        )))
        for at, s in enumerate((10.0, 30.0, 20.0))
    ]  # fmt: skip
    (only,) = counted(*runs)
    assert (only.metric("latency_max_s").n, only.value("latency_max_s"), only.value("latency_p50_s")) == (
        150,
        249.0,
        124.5,
    )
    assert only.value("latency_p95_s") == pytest.approx(241.55)  # 150 requests are enough where 50 were not
    assert only.value("latency_p99_s") is None
    low, high = only.metric("latency_p95_s").ci95
    assert low < only.value("latency_p95_s") < high
    assert (only.metric("turnaround_max_s").n, only.value("turnaround_max_s")) == (3, 3.0)


def test_growth_and_its_interval_are_of_the_same_pairs() -> None:
    ones = [made_run(1, 10.0, mb, trial=n) for n, mb in enumerate((100.0, 150.0, 100.0))]
    twos = [made_run(2, 5.0, mb, trial=n) for n, mb in enumerate((200.0, 300.0, 200.0))]
    two = counted(*ones, *twos)[1]
    assert (two.value("memory_growth"), two.value("marginal_memory_mb")) == (2.0, pytest.approx(350 / 3))
    low, high = two.metric("memory_growth").ci95
    assert low <= 2.0 <= high


def test_of_a_server_whose_workers_nobody_counts_the_speedup_is_known_and_the_efficiency_is_not() -> None:
    forked = made_run(None, 5.0, key="prefork", pool="prefork", config=config(pool={"name": "prefork"}))
    one, other = report(made_run(None, 10.0, key="process"), forked)
    assert (other.baseline, other.workers) == (one.key, None)
    assert (other.value("speedup"), other.metric("speedup").n, other.value("efficiency")) == (2.0, 2, None)
    assert other.metric("efficiency").values == ()


def test_what_a_server_spoke_and_how_it_scheduled_is_its_runs_word() -> None:
    (ours,) = counted(made_run(1, 10.0, server="local"))
    assert (ours.target, ours.schedule) == ("capswriter", "fifo")
    server = {**config()["server"], "schedule": "fair"}
    assert [c.schedule for c in counted(made_run(1, 10.0, server="local", config=config(server=server)))] == ["fair"]
    theirs = made_run(1, 10.0, server="command", config=config(target={"name": "vosk"}))
    assert [(c.target, c.schedule) for c in counted(theirs)] == [("vosk", None)]  # nobody knows how others do
    (older,) = counted(made_run(1, 10.0, config={k: v for k, v in config().items() if k != "target"}))
    assert older.target == "capswriter"


def test_what_was_made_on_another_type_of_node_has_no_baseline_and_decides_nothing() -> None:
    small = {"cpu": "A", "cpus_usable": 1, "memory_mb": 8000, "system": "Linux 6.1"}
    big = {**small, "cpus_usable": 2}
    made = [
        made_run(workers, makespan, trial=trial, environment=where, judged=RIGHT)
        for trial in (1, 2, 3)
        for workers, makespan, where in ((1, 10.0, small), (2, 4.0, big))
    ]
    one, two = aggregate.configurations(made, REFERENCES, LIMITS)
    assert (one.role, one.verdict) == ("baseline", Verdict.BASELINE)
    assert two.value("speedup") is None
    assert (two.role, two.no_baseline) == (None, "no baseline on this node type")
    gate = next(gate for gate in two.gates if gate.metric == "speedup")
    assert (gate.verdict, gate.reason) == (Reading.NOT_JUDGED, "no baseline on this node type")
    assert two.verdict == Verdict.INCONCLUSIVE
    assert two.node == "2 x A, 8 GB, Linux 6.1 [4f53]"
    # A trial on another type than the others is none of this configuration.
    mixed = [made_run(2, 4.0, trial=trial, environment=small if trial < 3 else big) for trial in (1, 2, 3)]
    (alone,) = aggregate.configurations(mixed, REFERENCES, LIMITS)
    assert (alone.trials, alone.left_out[0].why) == (2, "made on another type of node")
