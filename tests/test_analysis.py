"""What the figures say, on values."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import (
    aggregate,
    baseline,
    correctness,
    diagnosis,
    gates,
    metrics,
    pools,
    recommend,
    settle,
    statistics,
)
from capsexp.analysis import figures as tables
from capsexp.analysis import trials as plan
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.figures import Figures
from capsexp.config import SWEEP_KEYS
from capsexp.results.read import Answer, Transcript
from capsexp.results.report import Configuration, Estimate, GateResult, LeftOut, Timeline
from capsexp.results.run import ClientFacts, SegmentCounts
from tests.support.runs import CONTROL, CPU, SAMPLES, answer, disappointing, request
from tests.support.values import (
    LIMITS,
    RIGHT,
    a_run,
    again,
    config,
    counted,
    cpu,
    durations,
    figures,
    made_run,
    report,
    trials,
    with_value,
)
from tests.support.values import gates as gates_of

ALL_LIMITS = {**LIMITS, "wer": 0.1, "cer": 0.1, "latency_p95_s": 1.0, "efficiency": 0.5}


def segment(worker: int, compute: float, **more: Any) -> dict[str, Any]:
    return {"worker": worker, "compute_s": compute, "queue_wait_s": 0.1, "retries": 0, "status": "ok", **more}


def process(time: float, role: str, pid: int, cpu: float, mb: float | None, **more: Any) -> dict[str, Any]:
    return {
        "time_s": time, "role": role, "pid": pid, "rss_mb": mb and 2 * mb, "pss_mb": mb, "uss_mb": mb, "cpu_s": cpu,
        "major_faults": 0, "cpu_percent": None, "available_mb": None, "swap_in_mb": None, **more,
    }  # fmt: skip


def system(time: float, percent: float | None, free: float | None = 100.0, swap: float = 0.0) -> dict[str, Any]:
    nothing = {"pid": None, "rss_mb": None, "pss_mb": None, "uss_mb": None, "cpu_s": None, "major_faults": None}
    return {
        "time_s": time,
        "role": "system",
        **nothing,
        "cpu_percent": percent,
        "available_mb": free,
        "swap_in_mb": swap,
    }


MONITOR = [
    process(0, "front", 1, 1.0, 10), process(0, "worker", 2, 1.0, 500), system(0, None),
    process(1, "front", 1, 1.5, 10), process(1, "worker", 2, 2.0, 100),
    process(1, "monitor", 9, 0.5, 5), system(1, 50, 90),
    process(2, "front", 1, 2.0, 10), process(2, "worker", 2, 3.0, 100),
    process(2, "worker", 3, 1.0, 100), system(2, 70, 80),
    process(3, "front", 1, 2.5, 10), process(3, "worker", 2, 3.5, 50), process(3, "monitor", 9, 0.7, 5), system(3, 90),
]  # fmt: skip
CLIENT = ClientFacts(cpu_s=0.25, max_loop_lag_s=0.01)
RUN = a_run(workers=2, cpu_count=2)


def test_the_figures_of_a_run() -> None:
    segments = [segment(0, 1.0), segment(0, 0.5, retries=1), segment(1, 1.5), segment(1, 9.0, status="failed")]
    f = tables.figures(RUN, [request(0, 1.0, 2.0), request(1, 1.2, 3.0)], segments, MONITOR, CLIENT)
    assert (f.makespan_s, f.audio_s, f.throughput_rtfx) == (2.0, 20.0, 10.0)
    assert (f.segments, f.retries, f.worker_busy) == (3, 1, (0.75, 0.75))
    assert f.memory == tables.Memory("pss", peak_mb=510, load_peak_mb=510, steady_peak_mb=210, rss_peak_mb=1020)
    assert f.cpu.front_s == pytest.approx(1.0)
    assert f.cpu.workers_s == pytest.approx(1.5 + 1.0)  # the second was born in the window
    assert f.cpu.server_s == pytest.approx(3.5)
    assert f.cpu.monitor_s == pytest.approx(0.2)
    assert f.cpu.client_s == 0.25
    assert f.cpu.utilisation == pytest.approx(3.5 / 4)
    assert f.cpu.system_percent == pytest.approx(70)
    assert f.durations.turnaround_s == pytest.approx((1.0, 1.8))
    assert f.durations.latency_s == pytest.approx((0.5, 1.3))
    assert (f.min_available_mb, f.swap_in_mb, f.major_faults) == (80, 0, 0)


def test_one_request_that_failed_leaves_no_makespan() -> None:
    f = tables.figures(RUN, [request(0, 1.0, 2.0), request(1, 1.2, None)], [], MONITOR, None)
    assert (f.makespan_s, f.throughput_rtfx, f.completed, f.requests) == (None, None, 1, 2)
    assert f.cpu.utilisation is None
    assert f.cpu.client_s is None
    assert f.worker_busy == ()


def test_a_run_of_which_nothing_is_known() -> None:
    assert tables.figures(RUN, [], [], [], None) == Figures()


def test_memory_of_a_window_shorter_than_a_tick() -> None:
    assert tables.memory(MONITOR, (1.1, 1.2)).steady_peak_mb == 210  # the tick after it
    assert tables.memory(MONITOR, (8.0, 9.0)).steady_peak_mb is None
    assert tables.memory(MONITOR, None).steady_peak_mb is None
    uss = [{**row, "pss_mb": None} for row in MONITOR]
    assert tables.memory(uss, (1, 3)).metric == "uss"


def test_a_counter_is_read_from_before_to_after_the_window() -> None:
    rows = [process(t, "worker", 2, float(t), 1) for t in range(5)]
    assert tables.difference(rows, "cpu_s", (1.5, 2.5)) == 2.0
    assert tables.difference(rows, "cpu_s", (1.0, 9.0)) == 3.0
    assert tables.difference([{**rows[0], "cpu_s": None}], "cpu_s", (0.0, 1.0)) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_percentiles_are_between_and_in_order(some: list[float]) -> None:
    values = 700 * some  # as many as the rarest percentile needs
    (only,) = counted(made_run(1, 10.0, figures=figures(10.0, durations=durations(latency_s=values))))
    known = [only.value(f"latency_{name}_s") or 0.0 for name in (*metrics.PERCENTILES, "max")]
    assert known == sorted(known)
    assert min(values) <= known[0] and known[-1] == max(values)


@pytest.mark.parametrize(
    ("count", "known"), [(63, ["p50"]), (64, ["p50", "p90"]), (130, ["p50", "p90", "p95"]), (662, 4)]
)
def test_a_percentile_needs_enough_requests(count: int, known: Any) -> None:
    (only,) = counted(made_run(1, 10.0, figures=figures(10.0, durations=durations(latency_s=[1.0] * count))))
    said = [name for name in metrics.PERCENTILES if only.value(f"latency_{name}_s") is not None]
    assert said == known or len(said) == known


def judged(change: dict[str, Any], said: dict[str, Any] | None = None, control: Any = CONTROL) -> Judgement:
    given = request(0, 0.0, 1.0, **change)
    results = (answer(0, **(said or {})),) if said is None or said else ()
    texts = {"s0": Transcript(sample="s0", reference="So, it IS!", results=results)}
    return correctness.judge(texts, [given], control, SAMPLES)


def test_a_right_request() -> None:
    found = judged({})
    assert (found.requests, found.completed, found.identical, found.ratio) == (1, 1, 1, 1.0)
    assert (found.rate("wer"), found.rate("cer"), found.wrong) == (0.0, 0.0, ())


@pytest.mark.parametrize(
    ("change", "said", "reason"),
    [
        ({"status": "failed", "error": "gone"}, None, "gone"),
        ({"status": "failed"}, None, "not completed"),
        ({}, {}, "no transcript"),
        ({"finals": 2}, None, "2 final results"),
        ({"foreign": 1}, None, "of another task"),
        ({"result_duration_s": 5.0}, None, "covers 5.00 of 10.00"),
        ({"result_duration_s": None}, None, "covers 0.00"),
        ({}, {"text": "so"}, "text differs from the control: 1 words for 3, from word 2: nothing for 'it is'"),
        (
            {},
            {"text_accu": "so it was"},
            "text_accu differs from the control: 3 words for 3, from word 3: 'was' for 'is'",
        ),
        ({"sample": "unknown"}, None, "does not know"),
    ],
)
def test_every_way_to_be_wrong(change: dict[str, Any], said: dict[str, Any] | None, reason: str) -> None:
    found = judged(change, said)
    assert found.ratio == 0.0
    assert reason in found.wrong[0].reason


def test_a_server_without_text_accu_is_judged_by_its_text() -> None:
    assert judged({}, {"text_accu": ""}).ratio == 1.0


def test_without_a_control_or_a_reference() -> None:
    found = judged({}, control=None)
    assert (found.identical, found.ratio, found.completed) == (None, None, 1)
    unknown = {"s0": Transcript(sample="s0", reference=None, results=(answer(0),))}
    nothing = correctness.judge(unknown, [], CONTROL, SAMPLES)
    assert (nothing.rate("wer"), nothing.ratio) == (None, None)


def test_a_group_differs_only_in_workers_and_pool() -> None:
    same = [config(), config(workers=3), config(pool={"name": "thread"}), config(trial=2, name="x")]
    assert len({baseline.group_key(c) for c in same}) == 1
    assert {baseline.group_key(config(**{key: "other"})) for key in SWEEP_KEYS} == {baseline.group_key(config())}
    other = config(server={**config()["server"], "dispatch": "task"})
    assert baseline.group_key(other) != baseline.group_key(config())
    assert baseline.group_key(config(threads=2)) != baseline.group_key(config())


def test_the_baseline_has_the_fewest_workers_and_pool_process_first() -> None:
    made = [
        a_run(key=key, workers=workers, pool=pool, config=config(threads=threads))
        for key, workers, pool, threads in (
            ("a", 2, "process", 1), ("b", 1, "thread", 1), ("c", 1, "process", 1), ("d", None, "process", 2),
        )
    ]  # fmt: skip
    assert baseline.find(made) == {"a": "c", "b": "c", "c": "c", "d": "d"}


def test_a_sweep_is_compared_with_its_baseline() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 5.0, 180.0))
    assert two.baseline == "workers=1"
    assert [two.value(tag) for tag in ("speedup", "efficiency", "memory_growth")] == [2.0, 1.0, 1.8]
    assert (one.value("speedup"), one.value("server_efficiency"), two.value("server_efficiency")) == (None, 1.0, None)
    assert (one.verdict, two.verdict) == ("BASELINE", "FEASIBLE")
    assert aggregate.overall([one, two]) == "FEASIBLE"
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
    assert aggregate.overall([one, other]) == "INCONCLUSIVE"  # nothing with more workers was run


def test_trials_become_medians_and_maxima() -> None:
    (only,) = report(
        *(made_run(1, s, mb, trial=n) for n, (s, mb) in enumerate(((10.0, 100), (30.0, 300), (11.0, 200))))
    )
    assert (only.trials, only.value("makespan_s"), only.value("peak_memory_mb")) == (3, 11.0, 300.0)
    assert only.requests.total == 12


def test_one_trial_with_a_lost_request_leaves_no_makespan() -> None:
    found = report(made_run(1, 10.0), made_run(1, None))[0]
    assert found.value("makespan_s") is None
    two = report(made_run(1, None), made_run(2, 5.0))[1]
    assert {g.metric: g.verdict for g in two.gates}["speedup"] == "NOT_JUDGED"


def test_the_fewest_workers_that_are_as_fast() -> None:
    found = report(made_run(1, 10.0), made_run(2, 5.0), made_run(3, 4.9))
    chosen = recommend.recommend(found, 0.05)
    assert chosen
    assert chosen.workers == 2
    assert "no more than the tolerance" in chosen.reason


def test_when_nothing_pays_the_baseline_is_recommended() -> None:
    found = report(made_run(1, 10.0), made_run(2, 9.0))
    assert [c.verdict for c in found] == ["BASELINE", "NOT_FEASIBLE"]
    assert aggregate.overall(found) == "NOT_FEASIBLE"
    chosen = recommend.recommend(found, 0.05)
    assert chosen
    assert (chosen.workers, "1.11x (speedup)" in chosen.reason) == (1, True)
    alone = recommend.recommend(report(made_run(1, 10.0)), 0.05)
    assert alone
    assert "nothing with more workers was measured" in alone.reason


def test_wrong_transcripts_are_never_recommended() -> None:
    wrong = replace(RIGHT, identical=3)
    found = report(made_run(1, 10.0), made_run(2, 5.0), judged=wrong)
    assert {c.verdict for c in found} == {"NOT_FEASIBLE"}
    assert recommend.recommend(found, 0.05) is None


def test_a_sweep_of_baselines_only_decides_nothing() -> None:
    assert aggregate.overall(report(made_run(1, 10.0))) == "INCONCLUSIVE"


def test_failed_and_unknown_runs() -> None:
    failed = made_run(2, None, status="failed", error="no", figures=None)
    one, two = report(made_run(1, 10.0), failed)
    assert (two.status, two.errors, two.verdict, two.gates) == ("failed", ("no",), "NOT_FEASIBLE", ())
    assert aggregate.empty("x", "missing", "y").verdict == "INCONCLUSIVE"
    (nothing,) = aggregate.configurations([made_run(1, 10.0, control=None)], {}, LIMITS)
    assert (nothing.value("correctness"), nothing.value("server_efficiency"), nothing.verdict) == (
        None,
        None,
        "INCONCLUSIVE",
    )
    assert one.status == "ok"


def test_gates_that_cannot_be_judged_say_why() -> None:
    bare = aggregate.empty("k", "ok", "")
    said = {g.metric: (g.verdict, g.reason) for g in gates.judge(bare, ALL_LIMITS, None, None)}
    assert said["speedup"] == ("FAIL", "not all requests completed")
    assert said["correctness"] == ("NOT_JUDGED", "no control to compare with")
    assert said["latency_p95_s"] == ("NOT_JUDGED", "needs 130 requests")
    assert said["peak_memory_mb"] == ("NOT_JUDGED", "not measured")
    assert gates.judge(bare, dict.fromkeys(ALL_LIMITS), None, None) == ()
    said = {g.metric: (g.verdict, g.reason) for g in gates.judge(bare, ALL_LIMITS, "this is the baseline", None)}
    assert said["speedup"] == said["efficiency"] == ("NOT_JUDGED", "this is the baseline")


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (["PASS"], "FEASIBLE"),
        (["PASS", "FAIL", "INCONCLUSIVE"], "NOT_FEASIBLE"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_of_gates(said: list[str], verdict: str) -> None:
    assert gates.verdict([GateResult(metric="speedup", value=1, limit=1, verdict=v) for v in said]) == verdict


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "none of the known causes"),
        ({"makespan_s": None, "completed": 3}, "only 3 of 40 requests"),
        ({"worker_busy": (0.9, 0.1)}, "workers idle: they recognized during 90 %, 10 %"),
        ({"worker_busy": ()}, "none of the known causes"),
        ({"swap_in_mb": 50.0}, "50 MB read back"),
        ({"major_faults": 9000.0}, "1000 major faults per second"),
        ({"client_max_loop_lag_s": 2.0}, "client the bottleneck"),
        ({"cpu": replace(CPU, front_s=8.9)}, "front the bottleneck: it used 99 %"),
        ({"dispatch": "task", "requests": 3, "worker_busy": (0.9, 0.1)}, "server.dispatch=task"),
        ({"threads": 4, "cpu": replace(CPU, utilisation=0.97)}, "8 threads on 4 CPUs, 97 % used"),
        ({"threads": 2, "cpu": replace(CPU, system_percent=97.0)}, "4 threads on 4 CPUs, 97 % used"),
        ({"compute_p50_s": 2.0}, "2.00 times as long as in workers=1"),
    ],
)
def test_why_it_disappoints(change: dict[str, Any], said: str) -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    one = with_value(one, compute_p50_s=1.0)
    two, run = disappointing(two, **change)
    assert any(said in sentence for sentence in diagnosis.causes(two, one, run, 4))


def test_workers_idle_says_what_they_waited_for() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, worker_busy=(0.9, 0.1))
    two = msgspec.structs.replace(two, timeline=Timeline(queue_empty=0.6, client_waiting=0.7))
    said = next(s for s in diagnosis.causes(two, one, run, 4) if s.startswith("workers idle"))
    assert "no segment waited during 60 % of the time, and for 70 % the client had nothing left to send" in said
    assert "load.repeats" in said
    bounded = " ".join(diagnosis.causes(two, one, run, 4, concurrency=3))
    assert "load.concurrency=3" in bounded
    assert "load.repeats" not in bounded


@pytest.mark.parametrize("change", [{"threads": 64}, {"segments": 5}, {"dispatch": "task", "requests": 3}])
def test_counts_alone_are_no_cause(change: dict[str, Any]) -> None:
    """64 threads on 2 CPUs of which 7 % are used, or few segments for workers that are busy all the time."""
    one, two = report(made_run(1, 10.0), made_run(2, 9.0))
    two, run = disappointing(two, cpu=replace(CPU, utilisation=0.07, system_percent=7.0), **change)
    assert diagnosis.causes(two, one, run, 2) == [
        "none of the known causes shows in the data; look at segments.csv and monitor.csv of the run"
    ]


def test_what_does_well_needs_no_cause() -> None:
    one, two = report(made_run(1, 10.0), made_run(2, 5.0))
    assert diagnosis.causes(two, one, figures(5.0), 4) == []


@pytest.mark.parametrize(
    ("faster", "verdict"),
    [((5.5, 5.6, 5.4), "PASS"), ((8.3, 8.4, 8.2), "FAIL"), ((6.6, 6.8, 6.5), "INCONCLUSIVE"), ((6.0, 7.0), "PASS")],
)
def test_the_speedup_gate_follows_the_interval(faster: tuple[float, ...], verdict: str) -> None:
    _, two = report(*trials(1, 10.0, 10.1, 9.9), *trials(2, *faster))
    gate = next(g for g in two.gates if g.metric == "speedup")
    assert gate.verdict == verdict
    assert (two.metric("speedup").ci95 is None) == (len(faster) < 3)
    assert two.verdict == {"PASS": "FEASIBLE", "FAIL": "NOT_FEASIBLE"}.get(verdict, verdict)
    if verdict == "INCONCLUSIVE":
        assert "would settle it" in gate.reason


def test_drift_that_both_share_does_not_widen_the_interval() -> None:
    _, two = report(*trials(1, 10.0, 20.0, 30.0), *trials(2, 5.0, 10.0, 15.0))
    assert two.metric("speedup").ci95 == pytest.approx((2.0, 2.0))
    assert two.value("speedup") == 2.0


@pytest.mark.parametrize(
    ("degrees", "value"), [(1, 12.7062), (2, 4.3027), (10, 2.2281), (11, 2.2010), (30, 2.0423), (1000, 1.9623)]
)
def test_quantiles_of_student(degrees: int, value: float) -> None:
    assert statistics.t975(degrees) == pytest.approx(value, abs=2e-4)


def test_intervals_need_three_positive_values() -> None:
    assert statistics.interval([1.0, 2.0]) is None
    assert statistics.interval([1.0, 0.0, 2.0]) is None
    assert statistics.ratios({1: 4.0, 2: 6.0}, {2: 3.0, 3: 1.0}) == [2.0]


def test_how_many_trials_would_settle_it() -> None:
    assert statistics.trials_to_settle([1.4, 1.6, 1.55], 1.5) is None
    needed = statistics.trials_to_settle([1.5, 1.7, 1.6], 1.5)
    assert needed
    assert needed > 3


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_cover_what_they_promise(count: int) -> None:
    """1000 simulated comparisons of known ratio 1.5: 95 % of the intervals hold it, within 2 points (3 sigma)."""
    import random

    draw = random.Random(count)
    held = 0
    for _ in range(1000):
        ratios = [1.5 * draw.lognormvariate(0, 0.05) for _ in range(count)]
        low, high = statistics.interval(ratios) or (0.0, 0.0)
        held += low <= 1.5 <= high
    assert 0.93 <= held / 1000 <= 0.97


def test_a_pool_that_shares_the_model_is_named_with_what_it_saves() -> None:
    def one(pool: str, mb: float, rtfx: float) -> Configuration:
        metrics = {"peak_memory_mb": Estimate(value=mb), "throughput_rtfx": Estimate(value=rtfx)}
        return Configuration(key=f"pool={pool}", pool=pool, workers=2, threads=1, engine="e", metrics=metrics)

    found = [one("process", 2000.0, 40.0), one("prefork", 1200.0, 39.0)]
    assert pools.saved(found[0], found) is None
    assert pools.saved(found[1], found[1:]) is None
    saved = pools.saved(found[1], found)
    assert saved is not None
    assert (saved.peak_mb, saved.share, saved.throughput) == (800.0, pytest.approx(0.4), 0.975)
    assert pools.sentence(found[1], found) == (
        "pool=prefork saves 800 MB (40 %) against pool=process, at 0.97x its throughput."
    )
    found[1] = with_value(found[1], peak_memory_mb=2100.0)
    assert "costs 100 MB (5 %)" in (pools.sentence(found[1], found) or "")


@pytest.mark.parametrize(
    ("threads", "cpu_s", "says"),
    [(1, 20.0, None), (1, 30.0, "used 1.5 CPUs while threads=1"), (2, 38.0, None), (2, 20.0, "does not use them"),
     (1, 1.0, None)],
)  # fmt: skip
def test_cpu_that_contradicts_threads_is_a_warning(threads: int, cpu_s: float, says: str | None) -> None:
    run = figures(10.0, cpu=cpu(workers_s=cpu_s), worker_busy=(1.0, 1.0))
    said = pools.wrong_threads("k", 2, threads, 4, run)
    assert said is None if says is None else says in (said or "")
    assert pools.wrong_threads("k", 2, 1, 4, replace(run, worker_busy=())) is None
    assert pools.wrong_threads("k", 2, 2, 2, replace(run, cpu=cpu(workers_s=20.0))) is None  # no more CPUs to use


@pytest.mark.parametrize(
    ("said", "heard", "wer", "cer"),
    [
        ("我们去公园。", "我们 去公司", 0.2, 0.2),  # each character is a word; spaces and marks are neither
        ("我们，今天", "我们今天", 0.0, 0.0),
        ("打开 hello world", "打开hello word", 0.25, 1 / 13),
        ("the cat", "the dog", 0.5, 3 / 7),
    ],
)
def test_chinese_is_counted_by_characters(said: str, heard: str, wer: float, cer: float) -> None:
    texts = {"a": Transcript(reference=said, results=(Answer(task_id="1", text=heard, text_accu=heard),))}
    judged = correctness.judge(texts, [], None, [])
    assert (judged.rate("wer"), judged.rate("cer")) == (pytest.approx(wer), pytest.approx(cer))


def gate_of(configuration: Configuration, name: str) -> tuple[str, str]:
    found = gates_of(configuration)[name]
    return found.verdict, found.reason or ""


def test_one_pair_of_trials_decides_nothing() -> None:
    _, two = counted(made_run(1, 10.0), made_run(2, 3.0))
    assert (two.metric("speedup").n, two.verdict) == (1, "INCONCLUSIVE")
    for name in ("speedup", "memory_growth"):
        assert gate_of(two, name) == ("INCONCLUSIVE", "1 pair of trials decides nothing; trials=3 would settle it")
    assert aggregate.overall([_, two]) == "INCONCLUSIVE"
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
    further = plan.further([_, two], 0.05, 10)
    assert further == [("workers=1", 4), ("workers=2", 4)]  # trials=auto goes on
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
    runs = trials(1, 10.0, 20.0, 21.0)
    runs = [again(run, fingerprint={"code": "x", "models": m}) for run, m in zip(runs, "abb", strict=True)]
    (only,) = counted(*runs)
    assert (only.trials, only.value("makespan_s")) == (2, 20.5)
    assert only.left_out == (LeftOut(trial=1, num=0, why="made with other models"),)


@given(st.lists(st.floats(10, 20000), min_size=1, max_size=6), st.floats(10, 20000))
def test_peak_memory_is_judged_as_a_maximum(peaks: list[float], limit: float) -> None:
    runs = [made_run(1, 10.0, mb, trial=at) for at, mb in enumerate(peaks)]
    (only,) = counted(*runs, limits={"peak_memory_mb": limit})
    gate = only.gates[0]
    assert (gate.value, gate.ci95) == (max(peaks), None)
    assert gate.verdict == ("FAIL" if any(mb > limit for mb in peaks) else "PASS")
    assert "more trials can only raise it" in gate.reason


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
    twos = [made_run(2, 5.0, mb, trial=n) for n, mb in enumerate((200.0, 300.0, 201.0))]
    two = counted(*ones, *twos)[1]
    assert (two.value("memory_growth"), two.value("marginal_memory_mb")) == (2.0, 101.0)
    low, high = two.metric("memory_growth").ci95
    assert low <= 2.0 <= high


@given(
    st.floats(0.05, 1.0), st.floats(0.0, 3.0), st.floats(0.001, 5.0),
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=2),
)  # fmt: skip
def test_no_share_of_cpu_time_exceeds_what_was_there(
    interval: float, start: float, length: float, busy: list[tuple[int, float]]
) -> None:
    """Two CPUs, a process on each from some tick on: whatever the window, they used no more than two."""
    rows = [
        process(tick * interval, "worker", pid, rate * (tick - born) * interval, 100)
        for tick in range(40)
        for pid, (born, rate) in enumerate(busy)
        if tick >= born
    ]
    rows += [system(tick * interval, 50.0) for tick in range(40)]
    requests = [request(0, start, start + length)]
    cpu = tables.figures(RUN, requests, [], rows, CLIENT).cpu
    inside = [t for t in range(40) if start <= t * interval <= start + length]
    if len(inside) < 3:
        assert (cpu.utilisation, cpu.workers_s, cpu.system_percent) == (None, None, None)
    elif cpu.utilisation is not None:
        assert 0 <= cpu.utilisation <= 1 + 1e-9
        assert cpu.workers_s <= 2 * length * (1 + 1e-9)
    assert cpu.client_s == 0.25  # it counts its own


def test_of_a_server_whose_workers_nobody_counts_the_speedup_is_known_and_the_efficiency_is_not() -> None:
    forked = made_run(None, 5.0, key="prefork", pool="prefork", config=config(pool={"name": "prefork"}))
    one, other = report(made_run(None, 10.0, key="process"), forked)
    assert (other.baseline, other.workers) == (one.key, None)
    assert (other.value("speedup"), other.metric("speedup").n, other.value("efficiency")) == (2.0, 2, None)
    assert other.metric("efficiency").values == ()


def test_a_process_whose_cpu_time_is_not_told_counts_for_nothing() -> None:
    """As of a process that ended between being seen and being asked."""
    told = [process(t, "worker", 1, 0.5 * t, 1) for t in range(4)]
    untold = [{**process(t, "worker", 2, 0.0, 1), "cpu_s": None} for t in range(4)]
    gap = [row if row["time_s"] != 2 else {**row, "cpu_s": None} for row in told]
    assert tables.cpu_seconds(told + untold, range(4), (1.0, 3.0)) == 1.0
    assert tables.cpu_seconds(gap, range(4), (1.0, 3.0)) == 1.0
    assert tables.cpu_seconds(untold, range(4), (1.0, 3.0)) == 0.0


def test_of_a_table_that_was_thinned_out_the_client_tells_when_the_load_began_and_ended() -> None:
    """The first and the last request are not among the rows that were kept."""
    kept = [request(5, 3.0, 4.0, count=9)]
    client = msgspec.structs.replace(CLIENT, thinned=True, start_s=1.0, end_s=6.0)
    f = tables.figures(RUN, kept, [], [], client, SegmentCounts(ok=30, retries=2, every=4))
    assert (f.makespan_s, f.requests, f.audio_s, f.throughput_rtfx) == (5.0, 9, 90.0, 18.0)
    assert (f.segments, f.retries, f.segments_every, f.thinned) == (30, 2, 4, True)


def test_a_limit_in_the_middle_of_the_spread_is_settled_by_no_number_of_trials() -> None:
    found = report(*trials(1, 10.0, 10.0, 10.0), *trials(2, 10 / 1.4, 10 / 1.5, 1.4 * 10 / 1.5**2))
    gate = next(g for g in found[1].gates if g.metric == "speedup")
    assert (gate.verdict, gate.value, gate.trials) == ("INCONCLUSIVE", pytest.approx(1.5), None)
    assert gate.reason.endswith(" pairs holds the limit; no reasonable number of trials would settle it")
    longer = "no reasonable number of trials: another sweep with longer runs (load.repeats)"
    assert settle.settle(found, 3, False) == (None, longer)
