"""Whether a server got worse: what is called so, what is not, and how often of servers that are equal."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import change, regression
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.latency import NOTHING
from capsexp.analysis.regression import BETTER, RIGHT, RUNS, SAME, UNDECIDED, WORSE, Finding, judge, overall
from tests.support.values import HOG, durations, figures, made_run, trials

STEADY = (10.0, 10.1, 9.9, 10.05, 9.95)


def timed(*makespans: float, **more: Any) -> list[Observed]:
    return trials(1, *makespans, **more)


def slower(by: float, *makespans: float) -> tuple[float, ...]:
    return tuple(by * each for each in (makespans or STEADY))


def by_metric(found: Sequence[Finding]) -> dict[str, Finding]:
    return {one.metric: one for one in found}


def test_a_slowdown_that_matters_is_worse_and_its_reverse_better() -> None:
    [found] = [f for f in judge([timed(*STEADY)], timed(*slower(1.1))) if f.metric == "throughput_rtfx"]
    assert (found.verdict, found.key) == (WORSE, "workers=1")
    assert found.ratio == pytest.approx(1 / 1.1) and found.ci95 and found.ci95[1] < 1
    assert found.limit and found.ratio < found.limit < 1
    back = by_metric(judge([timed(*slower(1.1))], timed(*STEADY)))["throughput_rtfx"]
    assert back.verdict == BETTER and back.limit and back.limit < 1
    assert overall([found, back]) == WORSE and overall([]) == UNDECIDED


def test_memory_is_worse_when_it_is_more_and_a_little_more_does_not_matter() -> None:
    for mb, verdict in ((100.0, SAME), (102.0, SAME), (120.0, WORSE), (80.0, BETTER)):
        new = [made_run(1, s, mb, trial=n) for n, s in enumerate(STEADY, 1)]
        found = by_metric(judge([timed(*STEADY)], new))["peak_memory_mb"]
        assert (found.verdict, found.ratio) == (verdict, pytest.approx(mb / 100))


def test_what_noise_hides_is_undecided_and_says_how_many_trials_would_tell() -> None:
    noisy = (10.0, 12.0, 8.5, 11.0, 9.0)
    found = by_metric(judge([timed(*noisy)], timed(*slower(1.05, *noisy))))["throughput_rtfx"]
    assert found.verdict == UNDECIDED and found.trials and 10 < found.trials < 100
    wild = (10.0, 50.0, 2.0)
    assert by_metric(judge([timed(*wild)], timed(*wild)))["throughput_rtfx"].trials is None


def test_more_of_what_is_asked_for_is_a_smaller_change_that_matters() -> None:
    found = by_metric(judge([timed(*STEADY)], timed(*slower(1.04)), least=0.03))["throughput_rtfx"]
    assert found.verdict == WORSE
    assert by_metric(judge([timed(*STEADY)], timed(*slower(1.04))))["throughput_rtfx"].verdict == SAME


def test_a_load_that_lasts_as_long_as_it_says_is_judged_by_what_its_users_feel() -> None:
    def run(wait: float, trial: int) -> Observed:
        from dataclasses import replace

        felt = replace(NOTHING, stop_to_text_s=(wait, wait, 9.0))
        return made_run(1, 10.0, trial=trial, figures=figures(10.0, timed=True, felt=felt))

    old, new = ([run(w * (1 + n / 100), n) for n in range(1, 6)] for w in (0.5, 0.7))
    found = by_metric(judge([old], new))
    assert "throughput_rtfx" not in found and found["stop_to_text_p50_s"].verdict == WORSE
    assert found["stop_to_text_p50_s"].ratio == pytest.approx(1.4)
    waits = [
        [made_run(1, s, trial=n, figures=figures(s, durations=durations(latency_s=[w * s, w * s, 99.0])))
         for n, s in enumerate(STEADY, 1)] for w in (0.1, 0.2)
    ]  # fmt: skip
    assert by_metric(judge([waits[0]], waits[1]))["latency_p50_s"].verdict == WORSE


@pytest.mark.parametrize(
    ("old", "new", "metric", "verdict", "said"),
    [
        (timed(*STEADY), timed(10.0, 10.0), RUNS, UNDECIDED, "2 valid trials now, of 3 that are needed"),
        (timed(10.0), timed(*STEADY), RUNS, UNDECIDED, "1 valid trial in the baseline, of 3"),
        (timed(*STEADY), timed(*STEADY, disturbed=HOG), RUNS, UNDECIDED, "0 valid trials now"),
        (timed(*STEADY), [], RUNS, UNDECIDED, "it was not run now"),
        (timed(*STEADY), [made_run(1, None, figures=None, status="failed", error="it died")], RUNS, WORSE,
         "failed now: it died"),
        ([made_run(1, None, figures=None, status="failed", error="it died")], timed(*STEADY), RUNS, UNDECIDED,
         "the baseline's runs did not end well: it died"),
        (timed(*STEADY), [made_run(1, None, figures=None, status="failed", failure="harness", error="ours")], RUNS,
         UNDECIDED, "0 valid trials now"),
    ],
)  # fmt: skip
def test_what_was_not_made_is_no_figure(
    old: list[Observed], new: list[Observed], metric: str, verdict: str, said: str
) -> None:
    [found] = [f for f in judge([old], new) if f.metric == metric]
    assert found.verdict == verdict and said in found.reason


def rightly(identical: int | None, of: int, completed: int | None = None) -> list[Observed]:
    judged = Judgement(requests=of, completed=of if completed is None else completed, identical=identical)
    return timed(*STEADY[:3], judged=judged)


@pytest.mark.parametrize(
    ("old", "new", "metric", "verdict"),
    [
        (rightly(10, 10), rightly(10, 10), RIGHT, SAME),
        (rightly(100, 100), rightly(99, 100), RIGHT, WORSE),  # it was always right
        (rightly(90, 100), rightly(89, 100), RIGHT, UNDECIDED),
        (rightly(90, 100), rightly(50, 100), RIGHT, WORSE),
        (rightly(50, 100), rightly(90, 100), RIGHT, BETTER),
        (rightly(89, 100), rightly(90, 100), RIGHT, SAME),
        (rightly(None, 100), rightly(None, 100, 50), "completed", WORSE),
    ],
)
def test_a_wrong_text_is_no_noise(old: list[Observed], new: list[Observed], metric: str, verdict: str) -> None:
    assert by_metric(judge([old], new))[metric].verdict == verdict
    assert RIGHT not in by_metric(judge([rightly(0, 0)], rightly(1, 1)))


def erring(*errors: int, kind: str = "wer", of: int = 50) -> list[Observed]:
    each = {f"s{n}": {kind: (e, of)} for n, e in enumerate(errors)}
    return timed(*STEADY, judged=Judgement(requests=1, completed=1, identical=1, errors=each))


def test_error_rates_are_compared_sample_by_sample() -> None:
    before = erring(5, 1, 9, 3, 7, 2)
    same = by_metric(judge([before], before))["wer"]
    assert (same.verdict, same.ratio, same.before) == (SAME, None, pytest.approx(27 / 300))
    worse = by_metric(judge([before], erring(8, 4, 11, 6, 10, 5)))["wer"]
    assert worse.verdict == WORSE and worse.ci95 and worse.ci95[0] > 0
    assert by_metric(judge([erring(8, 4, 11, 6, 10, 5)], before))["wer"].verdict == BETTER
    unclear = by_metric(judge([before], erring(9, 0, 9, 3, 7, 2)))["wer"]
    assert (unclear.verdict, unclear.trials) == (UNDECIDED, None) and "samples" in unclear.reason
    assert by_metric(judge([erring(1, 2, 3)], erring(1, 2, 3))).keys().isdisjoint({"wer", "cer"})
    assert "wer" not in by_metric(judge([erring(*[0] * 6, of=0)], erring(*[0] * 6, of=0)))
    assert by_metric(judge([erring(*[0] * 6, kind="cer")], erring(*[0] * 6, kind="cer")))["cer"].verdict == SAME


def test_of_several_baselines_the_noise_is_that_from_one_to_the_next() -> None:
    """Two halves of a machine's day, each steady: of one baseline a difference, of several none."""
    days = [timed(*slower(by)) for by in (1.0, 1.12, 0.93, 1.07, 0.97)]
    now = timed(*slower(1.08))
    assert by_metric(judge(days[:1], now))["throughput_rtfx"].verdict == WORSE
    among = by_metric(judge(days, now))["throughput_rtfx"]
    assert among.verdict == UNDECIDED and among.trials is None and "baselines" in among.reason
    steady = [timed(*slower(by)) for by in (1.0, 1.01, 0.99, 1.005, 0.995)]
    assert by_metric(judge(steady, now))["throughput_rtfx"].verdict == WORSE
    assert by_metric(judge(steady, now))["peak_memory_mb"].verdict == SAME
    [few] = [f for f in judge([*days[:2], timed(10.0)], now) if f.metric == RUNS]
    assert "2 baselines with 3 valid trials, of 3 that are needed" in few.reason
    assert change.among("x", "throughput_rtfx", [[1.0], []], [1.0], 0.1) is None
    assert change.among("x", "throughput_rtfx", [[1.0]], [1.0], 0.1) is None


def test_many_figures_together_are_called_different_no_more_often_than_one() -> None:
    """Nine figures of equal servers, 150 times; and of servers that are all a fifth slower."""
    draw, called, missed = random.Random(1), 0, 0
    for _ in range(150):
        pairs = [[[math.exp(draw.gauss(0, 0.06)) for _ in range(5)] for _ in range(2)] for _ in range(9)]
        equal = [change.compared(str(n), "makespan_s", a, b, 0.02) for n, (a, b) in enumerate(pairs)]
        called += overall(regression.decided([c for c in equal if c])) in (WORSE, BETTER)
        slow = [change.compared(str(n), "makespan_s", a, [1.2 * s for s in b], 0.02) for n, (a, b) in enumerate(pairs)]
        missed += overall(regression.decided([c for c in slow if c])) != WORSE
    assert called <= 14  # 7 or 8 in the long run
    assert missed <= 8


positive = st.lists(st.floats(0.1, 100), min_size=3, max_size=6)


@given(positive, positive, st.floats(0.01, 0.5))
def test_a_check_the_other_way_round_says_the_opposite(old: list[float], new: list[float], least: float) -> None:
    turned = {WORSE: BETTER, BETTER: WORSE}
    one, other = (
        regression.decided([c for c in [change.compared("x", "makespan_s", a, b, least)] if c])[0]
        for a, b in ((old, new), (new, old))
    )
    if {one.verdict, other.verdict} & set(turned):
        assert other.verdict == turned[one.verdict]
    assert one.ratio and other.ratio and one.ratio * other.ratio == pytest.approx(1)
    higher = regression.decided([c for c in [change.compared("x", "throughput_rtfx", new, old, least)] if c])[0]
    assert higher.verdict == one.verdict
    assert change.compared("x", "makespan_s", old[:2], new, least) is None
