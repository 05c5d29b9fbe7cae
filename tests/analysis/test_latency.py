"""What users feel, on planted values: each figure is what was planted, from when it was due."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import latency, metrics
from capsexp.analysis.figures import durations
from capsexp.analysis.latency import felt, late_p99, pooled
from capsexp.analysis.validity import reasons
from capsexp.results.run import ClientFacts
from tests.support.runs import QUIET, run
from tests.support.values import counted, figures, gates, made_run

CLIENT = ClientFacts(timed=True)


def spoken(number: int, due: float, took: float | None, **more: Any) -> dict[str, Any]:
    """10 s of speech that was due then, whose text came `took` seconds after its end."""
    final = None if took is None else due + 10 + took
    return {
        "request": number, "duration_s": 10.0, "due_s": due, "begun_s": due, "start_s": due, "stop_s": due + 10,
        "final_s": final,
        "status": "failed" if final is None else "ok", "class": None, "step": None, **more,
    }  # fmt: skip


def burst(number: int, due: float, took: float | None, **more: Any) -> dict[str, Any]:
    final = None if took is None else due + took
    return {**spoken(number, due, None), "stop_s": None, "final_s": final, "status": "ok" if took else "failed", **more}


def packet(request: int, kind: str, due: float | None, at: float, late: float | None = None) -> dict[str, Any]:
    return {"request": request, "kind": kind, "audio_s": 1.0, "due_s": due, "at_s": at, "late_s": late}


def test_stop_to_text_is_from_when_the_user_stopped_however_late_the_client_was() -> None:
    rows = [spoken(0, 0.0, 0.5), spoken(1, 5.0, 2.0, begun_s=8.0), spoken(2, 6.0, None)]
    found = felt(rows, [], CLIENT)
    assert found.stop_to_text_s == pytest.approx((0.5, 2.0))
    assert found.lateness_s == (0.0, 3.0, 0.0)
    assert (found.offered_rtfx, found.late_rtfx) == (30 / 16, 10 / 17)  # what never came is late
    assert found.parts == ()


def test_turnaround_is_one_thing_wherever_it_is_told() -> None:
    """From when a request was due, where anything says so; else from its first byte, connecting apart."""
    late = {"begun_s": 3.0, "start_s": 3.5, "sent_s": 4.0, "sample": "s"}
    rows = [burst(0, 0.0, 9.0, step=1, **late), burst(1, 2.0, 9.0, step=2, **late), burst(2, 1.0, None, step=2, **late)]
    timed, untimed = durations(rows, [], True), durations(rows, [], False)
    assert (timed.turnaround_s, timed.from_sending_s) == ((9.0, 9.0), (5.5, 7.5))
    assert (untimed.turnaround_s, untimed.from_sending_s) == ((5.5, 7.5), ())
    for found, client in ((timed, CLIENT), (untimed, ClientFacts(timed=False))):
        parts = felt(rows, [], client).parts
        assert tuple(s for part in parts for s in part.turnaround_s) == found.turnaround_s
    old = [{k: v for k, v in row.items() if k != "due_s"} for row in rows]
    assert durations(old, [], True).turnaround_s == (5.5, 7.5) and not durations(old, [], True).from_sending_s


def test_lag_is_of_texts_before_the_last_and_lateness_of_packets_the_clients_own() -> None:
    packets = [
        packet(0, "sent", 1.0, 1.5, 0.2), packet(0, "result", 1.0, 1.7), packet(0, "partial", None, 1.8),
        packet(0, "result", 10.0, 10.5),  # the last
    ]  # fmt: skip
    found = felt([spoken(0, 0.0, 0.5)], packets, CLIENT)
    assert found.lag_s == (pytest.approx(0.7),)
    assert found.lateness_s == (0.0, 0.2)


def test_texts_before_the_last_are_counted_per_second_of_audio() -> None:
    told = {"results": 3, "finals": 1, "partials": 8}
    rows = [spoken(0, 0.0, 0.5, **told), spoken(1, 0.0, 0.5, results=1, finals=1, partials=None), spoken(2, 0.0, None)]
    assert felt(rows, [], CLIENT).texts_per_s == (2 + 8) / 20
    assert felt(rows[2:], [], CLIENT).texts_per_s is None


def test_a_burst_has_no_moment_at_which_anybody_stopped() -> None:
    rows = [burst(n, 2.0 * n, 3.0 if n < 4 else 11.0) for n in range(5)]
    found = felt(rows, [], CLIENT)
    assert found.stop_to_text_s == ()
    assert found.offered_rtfx == 40 / 8  # the last one's audio comes after that time
    assert found.late_rtfx == pytest.approx(10 / 19)


def test_a_load_that_is_over_as_soon_as_it_is_done_offers_nothing() -> None:
    found = felt([burst(0, 0.0, 3.0), burst(1, 3.0, 3.0)], [], ClientFacts(timed=False))
    assert (found.offered_rtfx, found.late_rtfx, found.lateness_s) == (None, None, ())
    alone = felt([burst(0, 0.0, 3.0)], [], CLIENT)
    assert alone.offered_rtfx is None


def test_of_older_tables_nothing_is_known() -> None:
    assert felt([{"request": 0, "status": "ok"}], [], None) == latency.NOTHING == felt([], [], None)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 20)), min_size=1, max_size=30))
def test_littles_law_holds_of_any_run_and_misses_what_a_table_lost(spans: list[tuple[float, float]]) -> None:
    rows = [burst(n, due, took) for n, (due, took) in enumerate(spans)]
    moments = sorted([(due, 1) for due, _ in spans] + [(due + took, -1) for due, took in spans])
    area, now, since = 0.0, 0, 0.0
    for at, by in moments:  # as the client counts
        area, now, since = area + now * (at - since), now + by, at
    found = felt(rows, [], ClientFacts(in_flight_s=area))
    assert found.unlike_little == pytest.approx(0, abs=1e-6)
    lasted = max(due + took for due, took in spans) - min(due for due, _ in spans)
    assert found.in_flight == pytest.approx(len(spans) / lasted * sum(took for _, took in spans) / len(spans))
    wrong = felt([{**row, "final_s": row["final_s"] + 1.0} for row in rows], [], ClientFacts(in_flight_s=area))
    assert wrong.unlike_little == pytest.approx(len(spans) / area)
    for unknown in (ClientFacts(in_flight_s=area, thinned=True), ClientFacts(), None):
        assert felt(rows, [], unknown).unlike_little is None
    assert felt([*rows, burst(99, 0.0, None)], [], ClientFacts(in_flight_s=area)).unlike_little is None


def test_a_ramp_is_never_averaged_over() -> None:
    rows = [spoken(n, 10.0 * n, 0.1 if n < 4 else 9.0, step=1 if n < 4 else 2) for n in range(8)]
    one = felt(rows, [], CLIENT)
    assert [(p.step, p.requests) for p in one.parts] == [(1, 4), (2, 4)]
    slow, fast = pooled([one, one])[::-1]
    assert (fast.step, fast.requests, fast.completed) == (1, 8, 8)
    assert fast.stop_to_text_p50_s == pytest.approx(0.1) and slow.stop_to_text_p50_s == pytest.approx(9.0)
    assert fast.stop_to_text_p95_s is None  # of 8 requests
    assert fast.offered_rtfx == pytest.approx(1.0)
    many = pooled([felt([spoken(n, float(n), 0.1, step=n % 2) for n in range(130)], [], CLIENT)] * 2)
    assert [part.stop_to_text_p95_s for part in many] == pytest.approx([0.1, 0.1])


def test_classes_stand_side_by_side() -> None:
    rows = [spoken(0, 0.0, 0.5, **{"class": "mic"}), burst(1, 0.0, 30.0, **{"class": "file"})]
    mic, file = pooled([felt(rows[::-1], [], CLIENT)])  # in the order of the load's classes, whoever was done first
    assert (mic.kind, file.kind) == ("mic", "file")
    assert (mic.stop_to_text_p50_s, file.stop_to_text_p50_s, file.turnaround_p50_s) == (0.5, None, 30.0)
    assert file.offered_rtfx is None  # one request is no rate


def test_a_client_that_cannot_keep_its_schedule_makes_the_run_invalid() -> None:
    limits = {"client_late_s": 0.02}

    def codes(packets: list[dict[str, Any]], **facts: Any) -> list[tuple[str, str]]:
        known = felt([spoken(0, 0.0, 0.5)], packets, ClientFacts(timed=True, **facts))
        return [(r.code, r.reason) for r in reasons(run(), made(known), [], [], limits)]

    def made(known: latency.Felt) -> Any:
        return replace(QUIET, felt=known)

    well = [packet(0, "sent", 0.05 * n, 0.05 * n, 0.001) for n in range(199)]
    assert codes(well) == []
    stalled = [*well, *(packet(0, "sent", 0.0, 0.3, 0.3 - 0.05 * n) for n in range(5))]
    assert codes(stalled) == [("CLIENT_LATE", "the client was 198 ms late with 1 in 100 of what was due (limit 20 ms)")]
    assert late_p99(latency.NOTHING) is None
    assert codes(well, in_flight_s=10.5) == []
    ((code, said),) = codes(well, in_flight_s=8.0)
    assert code == "LITTLE" and said.startswith("requests in flight, as counted and by their times, differ by 31 %")


def test_more_workers_are_not_asked_to_shorten_a_load_that_lasts_as_long_as_it_says() -> None:
    one, two = (
        [made_run(n, 30.0, figures=figures(30.0, timed=True), trial=trial) for trial in (1, 2, 3)] for n in (1, 2)
    )
    _, more = counted(*one, *two)
    assert gates(more)["speedup"].verdict == "NOT_JUDGED"
    assert (gates(more)["speedup"].reason or "").endswith("has a fixed duration, however fast the server is")


def test_a_server_that_answers_with_fewer_partials_is_not_called_faster() -> None:
    """Its first text may be early and its lag short: two servers are compared by none of that."""
    many = [packet(0, "result", float(at), at + 0.9) for at in range(1, 10)]
    eager, lazy = (replace(QUIET, felt=felt([spoken(0, 0.0, 0.5)], own, CLIENT)) for own in (many, many[:1]))
    assert eager.felt.stop_to_text_s == lazy.felt.stop_to_text_s == (0.5,)
    assert (len(eager.felt.lag_s), len(lazy.felt.lag_s)) == (9, 1)
    both = [pair for timed in (True, False) for pair in metrics.compared(timed)]
    assert "stop_to_text_p50_s" in {metric.tag for metric, _ in both}
    assert not [metric.tag for metric, _ in both if metric.tag.startswith(("lag", "first"))]
    assert [pick(eager) for _, pick in both] == [pick(lazy) for _, pick in both]


def test_a_client_that_starts_requests_late_makes_the_run_invalid() -> None:
    rows = [{**spoken(n, 10.0 * n, 0.5), "begun_s": 10.0 * n + 0.3} for n in range(20)]
    known = replace(QUIET, felt=felt(rows, [], ClientFacts(timed=True)))
    [reason] = reasons(run(), known, [], [], {"client_late_s": 0.02})
    assert (reason.code, reason.reason[:24]) == ("CLIENT_LATE", "the client was 300 ms la")
