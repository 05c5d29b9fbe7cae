"""What users are promised: which requests are beyond a limit, and when a limit is kept, on planted values."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import slo
from capsexp.analysis.capacity import Stretch
from capsexp.analysis.latency import NOTHING, Experience, felt
from capsexp.analysis.slo import Limit, judge, limits, settled, stretches
from capsexp.results.report import SloResult
from capsexp.results.run import ClientFacts, Unfinished
from capsexp.results.verdicts import Verdict
from tests.support.values import HOG, counted, figures, made_run

SECOND = {"stop_to_text_p95_s": 1.0}


def one(at: float, waited: float, user: int = 0, kind: str | None = None, **more: Any) -> Experience:
    """10 s of speech."""
    given = {"spoken": True, "turnaround_s": 10 + waited, "stop_to_text_s": waited, **more}
    return Experience(kind, user, at, 10.0, **given)


def said(*waits: float, kind: str | None = None) -> list[Experience]:
    """Each of another user."""
    return [one(float(at), waited, at, kind) for at, waited in enumerate(waits)]


def test_a_percentile_allows_the_share_that_is_beyond_it() -> None:
    tags = [Limit(f"lag_{stat}_s", 1.0).allowed for stat in ("p50", "p90", "p95", "p99")]
    assert tags == [0.5, 0.1, 0.05, 0.01]
    assert Limit("late_share", 0.2).allowed == 0.2


def test_limits_are_those_that_are_set_of_all_and_of_each_class() -> None:
    mic = {"stop_to_text_p95_s": 1.0, "lag_p95_s": None}
    found = limits({"name": "x", "lag_p90_s": None, "late_share": 0.1, "classes": {"mic": mic, "file": {}}})
    assert [limit.name for limit in found] == ["late_share", "mic: stop_to_text_p95_s"]
    assert limits({}) == ()


def test_what_a_request_felt_of_a_limit() -> None:
    spoken, file = one(0, 4.0, lag_s=3.0), one(0, math.inf, spoken=False, stop_to_text_s=None, turnaround_s=12.0)
    felt = {tag: (Limit(tag, 1.0).felt(spoken), Limit(tag, 1.0).felt(file)) for tag in (
        "stop_to_text_p95_s", "turnaround_p95_s", "lag_p95_s", "late_share",
    )}  # fmt: skip
    assert felt == {
        "stop_to_text_p95_s": (4.0, None), "turnaround_p95_s": (14.0, 12.0), "lag_p95_s": (3.0, None),
        "late_share": (0.4, 1.2),
    }  # fmt: skip
    late = Limit("late_share", 0.05)
    assert late.beyond(1.2) and not late.beyond(0.4) and late.beyond(math.inf)
    nothing = Experience(None, 0, 0.0, 0.0, True, 1.0, 0.5)
    assert late.felt(nothing) == 0.5  # nothing was said, and half a second is no long time


def test_the_first_request_of_a_user_who_has_several_found_nobody_there() -> None:
    run = [one(8, 1.0, 1), one(0, 9.0, 0), one(1, 9.0, 1), one(7, 2.0, 0), one(2, 3.0, 2), one(3, 5.0, 0, "file")]
    assert [each.stop_to_text_s for each in settled(run)] == [3.0, 5.0, 2.0, 1.0]


def test_a_run_is_stretches_in_the_order_of_time() -> None:
    run = said(*[0.5] * 12, *[2.0] * 4)
    found = stretches(list(reversed(run)), Limit("stop_to_text_p95_s", 1.0))
    assert found == (*[Stretch(2, 0)] * 6, *[Stretch(2, 2)] * 2)
    assert stretches(run, Limit("stop_to_text_p95_s", 1.0, "mic")) == ()


def test_a_limit_is_kept_missed_or_open_as_far_as_the_requests_tell() -> None:
    [kept] = judge([said(*[0.5] * 200)], SECOND)
    assert (kept.verdict, kept.value, kept.requests, kept.late) == ("PASS", 0.5, 200, 0)
    [missed] = judge([said(*[0.5, 2.0] * 100)], SECOND)
    assert (missed.verdict, missed.value, missed.late) == ("FAIL", 2.0, 100)
    [open_] = judge([said(*[0.5] * 20)], SECOND)
    assert (open_.verdict, open_.value) == ("INCONCLUSIVE", None)
    assert open_.reason == "0 of 20 requests exceeded it: 0.0 to 16.8 % (at most 5 % may)"
    [lost] = judge([said(*[0.5] * 100, *[math.inf] * 100)], SECOND)
    assert (lost.verdict, lost.value) == ("FAIL", None)
    [unasked] = judge([said(*[0.5] * 100)], {"classes": {"mic": SECOND}})
    assert (unasked.verdict, unasked.name, unasked.reason) == (
        "NOT_JUDGED",
        "mic: stop_to_text_p95_s",
        "no request was measured for it",
    )


def test_looking_again_takes_more_to_decide() -> None:
    runs = [said(*[0.5] * 43)] * 2  # 86 that are in time: enough once, and not the second of many looks
    assert [judge(runs, SECOND, looks)[0].verdict for looks in (False, True)] == ["PASS", "INCONCLUSIVE"]
    assert judge(runs * 3, SECOND, True)[0].verdict == "PASS"


def test_a_late_share_has_the_share_as_its_value() -> None:
    [found] = judge([said(*[11.0] * 50, *[1.0] * 50)], {"late_share": 0.1})
    assert (found.verdict, found.value) == ("FAIL", 0.5)


def result(verdict: str) -> SloResult:
    return SloResult(name="x", metric="lag_p95_s", limit=1.0, allowed=0.05, verdict=verdict)


@given(st.lists(st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE", "NOT_JUDGED"])))
def test_one_missed_limit_misses_the_slo_and_one_open_leaves_it_open(verdicts: list[str]) -> None:
    found = slo.verdict([result(verdict) for verdict in verdicts])
    assert (found == "FAIL") == ("FAIL" in verdicts)
    assert (found == "PASS") == (set(verdicts) <= {"PASS"})
    assert len(list(slo.missed([result(verdict) for verdict in verdicts]))) == verdicts.count("FAIL")


def row(number: int, took: float | None, **more: Any) -> dict[str, Any]:
    return {
        "request": number, "duration_s": 10.0, "due_s": 0.0, "begun_s": 0.0, "stop_s": 10.0, "class": None,
        "step": None, "final_s": None if took is None else 10 + took, "status": "failed" if took is None else "ok",
        **more,
    }  # fmt: skip


def packet(request: int, due: float, at: float) -> dict[str, Any]:
    return {"request": request, "kind": "result", "audio_s": due, "due_s": due, "at_s": at, "late_s": None}


def test_each_request_has_felt_what_its_rows_say() -> None:
    rows = [row(0, 0.5, user=3), row(1, None), row(2, 1.0, stop_s=None, **{"class": "file"})]
    packets = [packet(0, 4.0, 6.0), packet(0, 8.0, 9.0), packet(1, 4.0, 6.0)]
    first, second, third = felt(rows, packets, ClientFacts(timed=True)).each
    assert (first.user, first.stop_to_text_s, first.turnaround_s, first.lag_s) == (3, 0.5, 10.5, 2.0)
    assert (second.user, second.stop_to_text_s, second.turnaround_s, second.lag_s) == (1, *[math.inf] * 3)
    assert (third.kind, third.spoken, third.stop_to_text_s, third.turnaround_s, third.lag_s) == (
        "file", False, None, 11.0, None,
    )  # fmt: skip


def test_who_still_waited_when_a_load_was_ended_early_felt_that_or_more() -> None:
    spoken = Unfinished(kind="mic", user=2, duration_s=10.0, due_s=0.0, stop_s=10.0, until_s=14.0)
    burst = Unfinished(user=1, duration_s=10.0, due_s=0.0, until_s=14.0)
    both = felt([], [], ClientFacts(timed=True, gave_up=True, unfinished=(spoken, burst))).each
    assert [(one.kind, one.stop_to_text_s, one.turnaround_s, one.censored) for one in both] == [
        ("mic", 4.0, 14.0, True), (None, None, 14.0, True),
    ]  # fmt: skip
    limit = Limit("stop_to_text_p95_s", 1.0)
    assert stretches(both, limit) == (Stretch(1, 1),)
    assert stretches(both, replace(limit, value=5.0)) == ()  # nobody knows


@pytest.mark.parametrize(
    ("waits", "disturbed", "verdict"),
    [
        ([0.5] * 200, (), Verdict.BASELINE), ([2.0] * 200, (), Verdict.NOT_FEASIBLE),
        ([0.5] * 5, (), Verdict.INCONCLUSIVE),
        ([2.0] * 200, HOG, Verdict.INVALID),
    ],
)  # fmt: skip
def test_a_configuration_that_breaks_a_promise_is_not_feasible(
    waits: list[float], disturbed: Any, verdict: str
) -> None:
    own = figures(20.0, felt=replace(NOTHING, each=tuple(said(*waits))))
    run = made_run(1, 20.0, figures=own, disturbed=disturbed)
    [found] = counted(run, promised=SECOND)
    assert found.verdict == verdict
