"""A limit, a value and its interval: PASS, FAIL, INCONCLUSIVE or NOT_JUDGED."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import aggregate, gates, settle
from capsexp.analysis.metrics import BY_TAG
from capsexp.results.report import Estimate, GateResult
from tests.support.values import LIMITS, counted, made_run, report, trials

ALL_LIMITS = {**LIMITS, "wer": 0.1, "cer": 0.1, "latency_p95_s": 1.0, "efficiency": 0.5}


def test_gates_that_cannot_be_judged_say_why() -> None:
    bare = aggregate.empty("k", "ok", "")
    said = {g.metric: (g.verdict, g.reason) for g in gates.judge(bare, ALL_LIMITS, None, None)}
    assert said["speedup"] == ("FAIL", "not all requests completed")
    assert said["correctness"] == ("NOT_JUDGED", "no reference to compare with, or none that is the same twice")
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
    ("faster", "verdict"),
    [
        ((5.5, 5.6, 5.4), "PASS"),
        ((8.3, 8.4, 8.2), "FAIL"),
        ((6.6, 6.8, 6.5), "INCONCLUSIVE"),
        ((5.5, 5.6), "PASS"),
        ((6.0, 7.0), "INCONCLUSIVE"),
        ((6.0,), "INCONCLUSIVE"),
    ],
)
def test_the_speedup_gate_follows_the_interval(faster: tuple[float, ...], verdict: str) -> None:
    _, two = report(*trials(1, 10.0, 10.1, 9.9), *trials(2, *faster))
    gate = next(g for g in two.gates if g.metric == "speedup")
    assert gate.verdict == verdict
    assert (two.metric("speedup").ci95 is None) == (len(faster) < 2)
    assert two.verdict == {"PASS": "FEASIBLE", "FAIL": "NOT_FEASIBLE"}.get(verdict, verdict)
    if verdict == "INCONCLUSIVE":
        assert "settle it" in gate.reason


@given(st.lists(st.floats(10, 20000), min_size=1, max_size=6), st.floats(10, 20000))
def test_peak_memory_is_judged_as_a_maximum(peaks: list[float], limit: float) -> None:
    runs = [made_run(1, 10.0, mb, trial=at) for at, mb in enumerate(peaks)]
    (only,) = counted(*runs, limits={"peak_memory_mb": limit})
    gate = only.gates[0]
    assert (gate.value, gate.ci95) == (max(peaks), None)
    assert gate.verdict == ("FAIL" if any(mb > limit for mb in peaks) else "PASS")
    assert "more trials can only raise it" in gate.reason


def test_an_interval_that_holds_a_limit_is_seen_to_hold_it() -> None:
    """Not `1.50 to 2.01 contains the limit 1.50`."""
    known = Estimate(value=1.7, ci95=(1.4983, 2.012), n=3, of="pairs", values=(1.6, 1.7, 1.8))
    verdict, reason, _ = gates.compare(BY_TAG["speedup"], 1.5, known)
    assert verdict == "INCONCLUSIVE" and reason and "interval 1.498 to 2.01 from 3 pairs contains the limit" in reason


def test_a_limit_in_the_middle_of_the_spread_is_settled_by_no_number_of_trials() -> None:
    found = report(*trials(1, 10.0, 10.0, 10.0), *trials(2, 10 / 1.4, 10 / 1.5, 1.4 * 10 / 1.5**2))
    gate = next(g for g in found[1].gates if g.metric == "speedup")
    assert (gate.verdict, gate.value, gate.trials) == ("INCONCLUSIVE", pytest.approx(1.5), None)
    assert gate.reason.endswith(" pairs contains the limit; no reasonable number of trials would settle it")
    longer = "no reasonable number of trials: another sweep with longer runs (load.repeats)"
    assert settle.settle(found, 3, False) == (None, longer)
    # What trials do settle is not left open for it.
    settled = report(*trials(1, 10.0, 10.0, 10.0), *trials(3, 6.6, 6.7, 6.5))[1]
    overrides, note = settle.settle([*found, settled], 3, False) or ([], "")
    assert overrides == [f"trials={next(g.trials for g in settled.gates if g.trials)}"]
    assert note.endswith(f"; {found[1].key}: only another sweep with longer runs (load.repeats)")
    timed = [msgspec.structs.replace(one, timed=True) for one in found]  # such a load refuses load.repeats
    assert settle.settle(timed, 3, False) == (None, longer.removesuffix(" (load.repeats)"))
