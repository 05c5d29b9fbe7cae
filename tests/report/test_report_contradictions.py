"""No report contradicts itself: of sweeps that are made up, all that their reports say is held together."""

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsexp.results.report import Configuration
from tests.support.reports import a_run, changed, reported

PASSES = {"FEASIBLE", "FEASIBLE_WITH_CAVEATS", "BASELINE"}
TOLERANCE = 0.05

seconds = st.sampled_from([2.0, 2.5, 3.4, 5.0, 5.1, 6.6, 6.7, 9.0, 9.9, 10.0, 10.4, 15.0])
megabytes = st.sampled_from([100.0, 102.0, 180.0, 240.0, 260.0, 400.0, 2000.0, 6100.0, 6200.0])


ROW = st.tuples(
    st.tuples(st.integers(1, 4), st.sampled_from([1, 2]), st.sampled_from(["process", "prefork"])), seconds, megabytes,
    st.sampled_from([0.0, 0.01, 0.2]), st.sampled_from(["ok", "ok", "wrong", "failed", "refused", "disturbed", "lost"]),
    st.sampled_from([None, 0.07, 0.5, 0.95]),
)  # fmt: skip
SWEEP = st.tuples(
    st.lists(ROW, min_size=1, max_size=5, unique_by=lambda row: row[0]), st.integers(1, 4), st.integers(0, 4),
    st.sampled_from([3, "auto"]),
)  # fmt: skip


def swept(rows: list[Any], trials: int, cut: int) -> dict[str, Any]:
    """Configurations of workers, threads and pool, with trials that spread, fail, are disturbed, wrong or missing: in
    one sweep of five the last runs are missing."""
    runs, missing = [], []
    for trial in range(1, trials + 1):
        for (workers, threads, pool), base, mb, spread, fate, cpu in rows:
            key = f"workers={workers},threads={threads},pool={pool}"
            if cut == 4 and trial == trials and trials > 1:
                missing.append((key, trial))
                continue
            heard = "so it was" if fate == "wrong" else "so it is"
            run = a_run(
                workers, None if fate == "lost" else base * (1 + spread * ((trial % 3) - 1)), mb + trial, key=key,
                trial=trial, heard=heard, disturbed=100 if fate == "disturbed" and trial > 1 else 0,
                settings={"threads": threads, "pool": {"name": pool}}, cpu=cpu,
            )  # fmt: skip
            if fate in ("failed", "refused"):
                run = changed(run, status=fate, error="no")
                run.requests.clear()
            runs.append(run)
    return {"runs": runs, "missing": missing, "interrupted": bool(missing)}


def may_pass(c: Configuration) -> bool:
    """Open for want of trials only, and within its limits by its values."""
    judged = {g.verdict for g in c.gates}
    unknown = any(g.verdict == "NOT_JUDGED" and "no baseline" in (g.reason or "") for g in c.gates)
    kept = all(
        g.value is None or (g.value >= g.limit if g.metric in ("speedup", "correctness") else g.value <= g.limit)
        for g in c.gates
    )
    waits = "INCONCLUSIVE" in judged or bool(c.incomplete)
    return c.verdict == "INCONCLUSIVE" and waits and not unknown and kept


def size(c: Configuration) -> tuple[float, int, int]:
    return c.value("peak_memory_mb") or 0.0, c.workers or 1, c.threads or 1


# A smaller and faster one is open, as one of its trials was slowed, and a worse one is decided.
SLOWED = [
    ((1, 1, "process"), 10.0, 100.0, 0.0, "ok", None),
    ((2, 1, "process"), 5.0, 180.0, 0.2, "ok", None),
    ((3, 1, "process"), 5.1, 240.0, 0.0, "ok", None),
]


@pytest.mark.slow
@settings(max_examples=150)
@example((SLOWED, 3, 0, 3))
@example((SLOWED, 3, 0, "auto"))
@given(SWEEP)
def test_a_report_does_not_contradict_itself(spec: tuple[list[Any], int, int, int | str]) -> None:
    *sweep, asked = spec
    made = swept(*sweep)
    report, said = reported(*made["runs"], missing=made["missing"], interrupted=made["interrupted"], trials=asked)
    rows = {c.key: c for c in report.configurations}
    verdicts = {c.verdict for c in rows.values()}
    unfinished = made["interrupted"] or made["missing"]

    # The verdict is one of a row's.
    if report.verdict in ("FEASIBLE", "FEASIBLE_WITH_CAVEATS"):
        assert not unfinished
        assert verdicts & {"FEASIBLE", "FEASIBLE_WITH_CAVEATS"}
    if report.verdict == "INVALID":
        assert not verdicts & {"FEASIBLE", "FEASIBLE_WITH_CAVEATS"}
    for c in rows.values():
        judged = {g.verdict for g in c.gates}
        assert not (c.verdict in PASSES and judged & {"FAIL", "INCONCLUSIVE"})
        assert not (c.verdict in PASSES and c.incomplete)
        assert c.verdict != "FEASIBLE" or c.adds_workers or c.baseline != c.key

    # Counts of runs are of those that were made, or were planned, and the same wherever they stand.
    for c in rows.values():
        there = sum(run.run.key == c.key for run in made["runs"])
        for line in report.warnings:
            if count := re.match(rf"{re.escape(c.key)}: (\d+) of (\d+) runs INVALID", line):
                assert int(count[1]) <= int(count[2]) == there
            if count := re.match(rf"{re.escape(c.key)}: (\d+) of (\d+) planned runs were made", line):
                assert int(count[1]) == there < int(count[2])
        assert c.trials <= there

    # What trials=auto asks further is open, can be run, and is told as such with the line that goes on.
    open_ = {one.key: one for one in report.trials.open}
    if asked == "auto":
        for c in rows.values():
            waits = "INCONCLUSIVE" in {g.verdict for g in c.gates} and c.verdict == "INCONCLUSIVE"
            left = c.key in report.trials.unpursued
            assert not waits or c.key in open_ or left or rows[c.baseline or c.key].status != "ok"
            assert not left or waits
        assert all(rows[key].status == "ok" and rows[key].baseline in (key, *open_[key].beside) for key in open_)
        nothing = "another would change neither" in (told := report.trials.stopped or "") or "another would not" in told
        assert nothing == (not unfinished and not open_ and "INVALID" not in verdicts)
        assert (report.trials.stopped is None) == bool(unfinished)
        # What is not pursued is told, and loses to something that passes.
        for key in report.trials.unpursued:
            chosen = next(a.recommendation for a in report.advice if a.recommendation)
            assert chosen.decided or any(one.recommended for one in open_.values())
            assert chosen.key != key and rows[chosen.key].verdict in PASSES
            assert key in told or open_ or unfinished or "INVALID" in verdicts
        assert report.decide or not open_
    else:
        assert (report.trials.open, report.trials.stopped) == ((), None)

    # What trials would settle is not told as beyond any number of them.
    if report.decide and "no reasonable number" in report.decide.note:
        left = {*report.trials.unpursued, *(c.key for c in rows.values() if c.dropped)}
        waiting = [
            c for c in rows.values() if c.verdict == "INCONCLUSIVE" and c.fault.kind == "none" and c.key not in left
        ]
        counts = [[g.trials for g in c.gates if g.verdict == "INCONCLUSIVE"] for c in waiting]
        assert not [each for each in counts if each and all(each) and max(each) * len(rows) <= 200]

    for advice in report.advice:
        chosen = advice.recommendation
        if chosen is None:
            assert advice.reason
            continue
        row = rows[chosen.key]
        # Nothing that failed is recommended, and nothing undecided as if it were decided.
        assert row.status == "ok"
        assert not [g for g in row.gates if g.verdict == "FAIL"]
        if chosen.decided:
            assert not [o for o in report.trials.open if o.recommended and chosen.key in (o.key, *o.beside)]
            assert row.verdict in PASSES
            assert not unfinished
        # Nothing that passes, or may pass after more trials, dominates it: is as fast, no bigger, and clearly smaller.
        rivals = [c for c in rows.values() if c.verdict in PASSES or may_pass(c)]
        enough = (1 - TOLERANCE) * max(c.value("throughput_rtfx") for c in [row, *rivals])
        for other in rivals:
            as_fast = other.value("throughput_rtfx") >= min(enough, row.value("throughput_rtfx"))
            if as_fast and all(a <= b for a, b in zip(size(other), size(row), strict=True)):
                assert size(other)[0] >= (1 - TOLERANCE) * size(row)[0]
                assert size(other)[1:] == size(row)[1:]
        # Nor does the report say so anywhere; and it names no second one to use.
        assert not any("no faster than" in cause for cause in report.diagnosis.get(chosen.key, ()))
        for number in re.findall(r"(?:Run|With) (\d+)", chosen.next_sentence or ""):
            assert int(number) == chosen.workers
        if passing := re.search(r"(\S+) passes so far:", chosen.reason):
            assert not chosen.decided
            assert rows[passing[1]].verdict in PASSES
        # The next step, where it was measured, is what the table says of it; what lost is not advertised.
        following = chosen.next
        if following:
            alike = [
                c for c in rows.values()
                if c.workers == following.workers and c.threads == row.threads and c.pool == row.pool
            ]  # fmt: skip
            assert following.predicted == (not alike)
            if alike and alike[0].verdict not in PASSES:
                assert following.but
                assert following.but in chosen.next_sentence
            if following.gain is not None:
                assert (round(100 * following.gain) < 0) == ("slower" in chosen.next_sentence)
        # "workers=N would show" is said of what was not measured, and not of what cannot bring anything.
        if asked := re.search(r"workers=(\d+) may show", chosen.binds or ""):
            assert int(asked[1]) > max(c.workers or 0 for c in rows.values() if c.pool == row.pool and
                                       c.threads == row.threads)  # fmt: skip
        if chosen.binds.startswith("Bottleneck: the CPUs"):
            assert any((c.value("cpu_utilisation") or 0) > 0.8 for c in rows.values())

    # What is predicted was not measured, and causes give no advice of their own.
    for scaling in report.scaling:
        known = {c.workers for c in rows.values() if c.pool == scaling.pool and c.threads == scaling.threads}
        assert not known & {p.workers for p in scaling.predicted}
    for causes in report.diagnosis.values():
        assert not re.search(r"(try|use) (workers|threads|fewer)", " ".join(causes))

    # The text says the same as the values.
    decided = [a for a in report.advice if a.recommendation and a.recommendation.decided]
    assert bool(decided) == bool(re.search(r"^Recommended[^:]*: (?!nothing)", said, re.M))
    if report.verdict not in ("FEASIBLE", "FEASIBLE_WITH_CAVEATS"):
        assert not re.search(r"^Verdict: FEASIBLE", said, re.M)
    if report.decide and report.decide.command:
        assert report.decide.command in said
    # More workers are said to pay only where what is recommended has them, or does as well with fewer.
    if "more workers pay here" in said and decided:
        assert any(rows[a.recommendation.key].adds_workers for a in decided) or "does as well" in said
    if unfinished:
        assert report.verdict == "INCONCLUSIVE"
        assert report.decide.command == "python -m capsexp resume=outputs/2026-01-01/10-00-00-sweep"
