"""Each disturbance gives its reason, from recorded rows; an INVALID run decides nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import figures as tables
from capsexp.analysis import timeline, validity, verdicts
from capsexp.results.report import Reason, Timeline
from capsexp.results.run import ClientFacts
from capsexp.results.verdicts import Verdict
from tests.support.runs import DEFAULT, QUIET, request, run
from tests.support.values import HOG, counted, cpu, gates, made_run, trials


def monitor(cpu_percent: float = 50.0, ours: float = 1.0, mhz: Any = None, **more: Any) -> list[dict[str, Any]]:
    """Ticks every half second of a run in which our one process uses `ours` CPUs of two."""
    rows: list[dict[str, Any]] = []
    for tick in range(21):
        at = tick / 2
        rows.append({"time_s": at, "role": "worker", "pid": 1, "cpu_s": ours * at})
        rows.append(
            {
                "time_s": at, "role": "system", "pid": None, "cpu_s": None,
                "cpu_percent": cpu_percent if tick else None,
                "steal_percent": 0.0, "cpu_mhz": mhz(tick) if mhz else None, **more,
            }
        )  # fmt: skip
    return rows


def segments(first: float) -> list[dict[str, Any]]:
    return [
        {"worker": 0, "status": "ok", "audio_s": 10.0, "compute_s": 1.0 if n else first, "started_s": n}
        for n in range(8)
    ]


@pytest.mark.parametrize(
    ("changed", "rows", "done", "code"),
    [
        ({}, monitor(), segments(1.0), []),
        ({"cpu": cpu(client_s=9.9)}, monitor(), [], ["CLIENT_CPU"]),
        ({"client_max_loop_lag_s": 2.0}, monitor(), [], ["CLIENT_LAG"]),
        ({"major_faults": 5000}, monitor(), [], ["PAGING"]),
        ({"swap_in_mb": 100.0}, monitor(), [], ["PAGING"]),
        ({}, monitor(steal_percent=30.0), [], ["STEAL"]),
        ({}, monitor(cpu_percent=100.0), [], ["OTHER_CPU"]),
        ({}, monitor(cpu_percent=100.0, ours=2.0), [], []),
        ({}, monitor(mhz=lambda tick: 3000), [], []),
        ({}, monitor(mhz=lambda tick: 3000 if tick < 10 else 1500), [], ["FREQUENCY"]),
        ({}, [r for r in monitor() if not 2 < r["time_s"] < 7], [], ["MONITOR_GAP"]),
        ({}, [r for r in monitor() if r["time_s"] % 4 == 0], [], []),  # a table that was thinned out
        ({}, monitor(), segments(9.0), ["WARMUP"]),
    ],
)
def test_each_disturbance_has_its_code(changed: Any, rows: Any, done: Any, code: list[str]) -> None:
    figures = replace(QUIET, **changed)
    assert [f.code for f in validity.reasons(run(), figures, done, rows, DEFAULT)] == code
    assert validity.reasons(run(), figures, done, rows, {}) == ()


def test_what_is_not_known_is_no_reason() -> None:
    assert validity.reasons(run(), None, segments(9.0), monitor(), DEFAULT) == ()
    assert validity.reasons(run(window_s={"start": 5.0, "end": 5.0}), QUIET, [], monitor(), DEFAULT) == ()
    # A few ticks say nothing of a share of CPU time.
    late = [row for row in monitor(cpu_percent=100.0) if row["time_s"] > 9]
    assert validity.reasons(run(), QUIET, [], late, {"other_cpu": 0.25}) == ()
    # The end of a file is short: what each segment costs weighs more in it, and says nothing of a warm-up.
    short = [{"worker": 0, "status": "ok", "audio_s": 1.0, "compute_s": 5.0, "started_s": -1.0}]
    assert validity.reasons(run(), QUIET, [*short, *segments(1.0)], monitor(), DEFAULT) == ()


def ticks(column: str, *values: float | None) -> list[dict[str, Any]]:
    """Rows of the system, one a second from 0 on, that tell nothing but `column`, and those of our idle process."""
    nothing = {"cpu_s": None, "cpu_percent": None, "cpu_mhz": None}
    system = [{"time_s": at, "role": "system", "pid": None, **nothing, column: v} for at, v in enumerate(values)]
    return [*system, *({"time_s": row["time_s"], "role": "worker", "pid": 1, "cpu_s": 0.0} for row in system)]


@pytest.mark.parametrize(
    ("percents", "said"),
    [
        ([None] * 11, []),  # nothing is known
        ([None, *[90.0] * 10], ["other processes used 90 % of all CPUs (limit 25 %)"]),
        # A tick that does not tell counts neither as busy nor as idle: 90 % of nine ticks.
        ([None, *[90.0] * 4, None, *[90.0] * 5], ["other processes used 90 % of all CPUs (limit 25 %)"]),
        ([None, *[0.0, 100.0] * 5], ["other processes used 50 % of all CPUs (limit 25 %)"]),
        ([None, *[20.0] * 10], []),
    ],
)
def test_a_table_of_before_there_were_sums(percents: list[float | None], said: list[str]) -> None:
    """Shares of the time since the tick before, without a word of stolen time."""
    found = validity.reasons(
        run(), QUIET, [], ticks("cpu_percent", *percents), {"other_cpu": 0.25, "steal_percent": 5.0}
    )
    assert [f.reason for f in found] == said


def test_sums_without_those_that_they_are_shares_of_say_nothing() -> None:
    busy = ticks("busy_s", *(2.0 * at for at in range(11)))
    assert validity.reasons(run(), QUIET, [], busy, {"other_cpu": 0.25}) == ()
    still = [{**row, "busy_s": 7.0, "idle_s": 3.0} for row in busy]  # counters that stand still
    assert validity.reasons(run(), QUIET, [], still, {"other_cpu": 0.25}) == ()
    told = [{**row, "idle_s": 0.0} for row in busy]
    assert [f.code for f in validity.reasons(run(), QUIET, [], told, {"other_cpu": 0.25})] == ["OTHER_CPU"]


@pytest.mark.parametrize(
    ("config", "repeats", "what"),
    [
        ({"hours": 2.0, "load": {"repeats": 1}}, None, "hours=2.62"),
        ({"load": {"repeats": "auto", "min_s": 10.0}}, 3, "load.min_s=14"),  # it was decided from that
        ({"load": {"repeats": "auto", "min_s": 10.0}}, 1, "load.repeats=2"),
        ({"load": {"repeats": 2}}, 2, "load.repeats=3"),
        ({}, None, "load.repeats=2"),
        ({"load": {"name": "all", "repeats": 2, "pacing": "realtime", "concurrency": 2}}, 2, "load.repeats=3"),
        ({"load": {"name": "dictation", "repeats": "auto", "turns": 4}}, None, "load.turns=6"),
        ({"load": {"name": "rate", "repeats": "auto", "duration_s": 10.0}}, None, "load.duration_s=14"),
        ({"load": {"name": "stages", "step_s": 5.0}}, None, "load.step_s=7"),
        ({"load": {"name": "mixed", "classes": {"gone": None, "mic": {"name": "dictation", "turns": 4}}}}, None,
         "load.classes.mic.turns=6"),
    ],
)  # fmt: skip
def test_a_load_that_is_too_short_says_what_makes_it_longer(config: Any, repeats: int | None, what: str) -> None:
    short = run(config, repeats=repeats)
    words = f"the load took 10.00 s (limit 10.5 s); long enough is about {what}"
    said = Reason(code=validity.TOO_SHORT, reason=words, remedy=what)
    assert validity.reasons(short, QUIET, [], [], {"min_s": 10.5}) == (said,)
    assert validity.reasons(short, QUIET, [], [], {"min_s": 10.0}) == ()


def test_a_load_that_was_given_up_is_not_too_short() -> None:
    """So many requests were late that the rest could not save it: a fast server shows that soon."""
    short = run(window_s={"start": 0.0, "end": 2.0})
    requests = [request(0, 0.0, 2.0)]
    codes = []
    for gave_up in (False, True):
        figures = tables.figures(short, requests, [], [], ClientFacts(timed=True, gave_up=gave_up))
        codes.append([reason.code for reason in validity.reasons(short, figures, [], [], {"min_s": 5.0})])
    assert codes == [[validity.TOO_SHORT], []]


@pytest.mark.parametrize(
    "load",
    [
        {"name": "schedule", "csv": "day.csv"}, {"name": "dictation"}, {"name": "mixed", "classes": "?"},
        {"name": "all", "repeats": 1, "pacing": "realtime"},  # more of them would be spoken at the same time
    ],
)  # fmt: skip
def test_a_load_that_no_key_makes_longer_names_none(load: Any) -> None:
    [found] = validity.reasons(run({"load": load}), QUIET, [], [], {"min_s": 10.5})
    assert found.remedy is None and found.reason.endswith("(limit 10.5 s); long enough is 1.3 times that")


@given(st.lists(st.booleans(), min_size=21, max_size=21), st.floats(0, 1), st.floats(0, 1))
def test_a_thinned_table_says_the_same_of_other_processes(kept: list[bool], ours: float, others: float) -> None:
    """Others are busy in the ticks that a table keeps (where memory peaks), and in no others: percentages of those
    ticks alone would be wrong."""
    rows, busy = [], 0.0
    for tick in range(21):
        # All that others use falls into ticks that are kept.
        busy += 0.5 * ours + (0.5 * others if kept[tick] else 0.0)
        seconds = {"busy_s": busy, "idle_s": tick - busy, "steal_s": 0.0}
        percent = 100 * (ours + others) / 2 if tick else None
        system = {"role": "system", "pid": None, "cpu_s": None, "cpu_percent": percent, "steal_percent": 0.0}
        rows.append({"time_s": tick / 2, **system, **seconds})
        rows.append({"time_s": tick / 2, "role": "worker", "pid": 1, "cpu_s": ours * tick / 2})
    thin = [row for row in rows if kept[int(2 * row["time_s"])] or row["time_s"] in (0.0, 5.0, 10.0)]
    whole, thinned = (validity.reasons(run(), QUIET, [], table, {"other_cpu": 0.25}) for table in (rows, thin))
    if len({row["time_s"] for row in thin}) > 3:
        assert thinned == whole


def test_a_disturbed_trial_is_left_out_and_makes_a_caveat() -> None:
    runs = [*trials(1, 10.0, 10.0, 10.0), *trials(2, 5.0, 5.0), made_run(2, 50.0, trial=3, disturbed=HOG)]
    found = counted(*runs)[1]
    assert (found.value("speedup"), found.trials, found.verdict) == (2.0, 2, Verdict.CAVEATS)
    assert found.validity.invalid == 1
    again = counted(*runs, made_run(2, 5.0, trial=3))[1]
    assert again.metric("speedup").values == (2.0, 2.0, 2.0)


def test_when_every_run_is_disturbed_the_figures_are_shown_and_decide_nothing() -> None:
    one, two = counted(made_run(1, 10.0), made_run(2, 5.0, disturbed=HOG))
    assert (two.value("speedup"), two.verdict) == (2.0, Verdict.INVALID)
    assert {name: gate.verdict for name, gate in gates(two).items()} == {
        "speedup": "NOT_JUDGED", "memory_growth": "NOT_JUDGED", "peak_memory_mb": "NOT_JUDGED", "correctness": "PASS",
    }  # fmt: skip
    assert verdicts.overall([one, two]) == Verdict.INVALID
    one, two = counted(made_run(1, 10.0, disturbed=HOG), made_run(2, 5.0))
    assert two.verdict == Verdict.INVALID  # what it is compared with is unknown
    assert "OTHER_CPU" in str(verdicts.invalid(one))
    alone = counted(made_run(1, 10.0, disturbed=HOG))  # a baseline, and that disturbed
    assert verdicts.overall(alone) == Verdict.INVALID


def test_shares_of_the_time() -> None:
    requests = [{"start_s": 0.0, "sent_s": 2.0}]
    rows = [{"status": "ok", "queued_s": 1.0, "started_s": 3.0}, {"status": "ok", "queued_s": 2.0, "started_s": 6.0}]
    assert timeline.shares(run(), QUIET, requests, rows) == Timeline(
        workers_busy=(0.9,), queue_empty=0.5, gateway_busy=0.1, client_busy=0.05, client_waiting=0.8
    )
    assert timeline.shares(run(), None, requests, rows) is None
    seldom = timeline.shares(run({"monitor": {"interval": 3.0}}), QUIET, requests, rows)
    assert seldom and seldom.gateway_busy is None
    assert timeline.covered([(0.0, 4.0), (1.0, 2.0)], (0.0, 10.0)) == 4.0  # one within another counts once
