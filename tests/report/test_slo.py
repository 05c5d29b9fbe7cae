"""What users were promised, in each form of the report."""

import csv as table
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as Tree

import msgspec

from capsexp.analysis import recommend
from capsexp.live.standing import standings
from capsexp.report.build import assemble
from capsexp.report.exporters import csv, html, junit, markdown, prometheus, text
from capsexp.results.read import RunFiles
from capsexp.results.report import Report
from tests.support.reports import a_run, a_sweep

PROMISED = {"stop_to_text_p95_s": None, "classes": {"mic": {"stop_to_text_p95_s": 1.0}, "file": {"late_share": 0.05}}}


def asked(number: int, kind: str, waited: float) -> dict[str, Any]:
    """One of 10 s that was due when the one before it was done."""
    due = 30.0 * number
    return {
        "request": number, "task_id": f"t{number}", "sample": "s0", "duration_s": 10.0, "start_s": due,
        "sent_s": due + 10, "first_result_s": due + 10, "final_s": due + 10 + waited, "results": 1, "finals": 1,
        "foreign": 0, "result_duration_s": 10.0, "status": "ok", "error": None, "due_s": due, "begun_s": due,
        "stop_s": due + 10, "user": number, "class": kind, "step": None,
    }  # fmt: skip


def made(workers: int, mic: float) -> RunFiles:
    run = a_run(workers, 3000.0)
    requests = [asked(number, "mic", mic) for number in range(200)] + [asked(n, "file", 2.0) for n in range(200, 400)]
    return replace(run, requests=requests)


def report() -> Report:
    return assemble(a_sweep([made(1, 3.0), made(2, 0.5)], slo=PROMISED))


def test_each_limit_of_each_class_has_a_row_and_a_verdict() -> None:
    found = report()
    one, two = found.configurations
    assert [(r.name, r.verdict, r.late, r.requests) for r in one.slo] == [
        ("mic: stop_to_text_p95_s", "FAIL", 200, 200), ("file: late_share", "PASS", 0, 200),
    ]  # fmt: skip
    assert one.verdict == "NOT_FEASIBLE" and [r.verdict for r in two.slo] == ["PASS", "PASS"]
    assert found.slo == PROMISED
    said = text.render(found)
    assert "SLO with workers=1: mic: stop_to_text_p95_s is not kept." in said
    assert "SLO with workers=2: mic: stop_to_text_p95_s, file: late_share is kept." in said
    page = markdown.render(found)
    assert "## SLO: what users were promised" in page
    row = next(line for line in page.splitlines() if "workers=1" in line and "late_share" in line)
    assert "0.0 %" in row and "<= 5.0 %" in row.replace("&lt;", "<") and "PASS" in row
    assert 'id="slo"' in html.render(found) and "3.00 s" in html.render(found)


def test_what_misses_the_slo_is_not_recommended() -> None:
    """Though its gates pass, and nothing else does."""
    both = assemble(a_sweep([made(1, 3.0), made(2, 3.0)], slo=PROMISED)).configurations
    for found in (report().configurations[:1], both):
        passing = [msgspec.structs.replace(c, gates=(), adds_workers=False) for c in found]
        assert recommend.recommend(passing, 0.05) is None
        assert [one.said for one in standings(passing)] == ["fails: mic: stop_to_text_p95_s"] * len(passing)


def test_nothing_is_said_of_promises_that_nobody_made() -> None:
    found = assemble(a_sweep([made(1, 3.0)]))
    assert found.slo == {} and not found.configurations[0].slo
    assert "SLO" not in text.render(found) + markdown.render(found) and 'id="slo"' not in html.render(found)


def test_an_open_promise_is_said_to_be_open() -> None:
    few = made(1, 0.5)
    found = assemble(a_sweep([replace(few, requests=few.requests[:20])], slo=PROMISED))
    assert "SLO with workers=1: mic: stop_to_text_p95_s, file: late_share is not decided." in text.render(found)


def test_a_promise_that_is_broken_fails_its_case_of_junit_and_an_open_one_is_skipped() -> None:
    def outcomes(found: Report) -> dict[tuple[str | None, str | None], str]:
        root = Tree.fromstring(junit.render(found))
        cases = ((suite.get("name"), each) for suite in root for each in suite)
        return {(suite, case.get("name")): case[0].tag for suite, case in cases if "slo" in case.get("name", "")}

    assert outcomes(report()) == {
        ("workers=1", "slo mic: stop_to_text_p95_s"): "failure", ("workers=1", "slo file: late_share"): "system-out",
        ("workers=2", "slo mic: stop_to_text_p95_s"): "system-out", ("workers=2", "slo file: late_share"): "system-out",
    }  # fmt: skip
    assert "3, at most 1 was promised: 200 of 200 requests exceeded it" in junit.render(report())
    few = made(1, 0.5)
    open_ = assemble(a_sweep([replace(few, requests=few.requests[:20])], slo=PROMISED))
    assert set(outcomes(open_).values()) == {"skipped"}


def test_each_limit_has_rows_of_its_own_in_csv_beside_those_of_metrics() -> None:
    rows = list(table.DictReader(csv.render(report()).splitlines()))
    own = {(row["configuration"], row["slo"], row["metric"]): row for row in rows if row["slo"]}
    assert len(own) == 8
    share = own["workers=1", "mic: stop_to_text_p95_s", "slo_late_share"]
    assert (share["class"], share["limit"], share["allowed"], share["reading"]) == ("mic", "1.0", "0.05", "FAIL")
    assert float(share["value"]) == 1.0 and float(share["ci95_low"]) > 0.98 and share["n"] == "200"
    felt = own["workers=2", "mic: stop_to_text_p95_s", "slo_value"]
    assert (float(felt["value"]), felt["unit"], felt["reading"]) == (0.5, "s", "PASS")
    others = [row for row in rows if not row["slo"]]
    assert {"makespan_s", "correctness"} <= {row["metric"] for row in others} and not any(r["limit"] for r in others)
    assert not {row["metric"] for row in others} & {row["metric"] for row in own.values()}  # nothing counted twice


def test_prometheus_is_told_which_promises_are_kept_and_by_how_much() -> None:
    said = prometheus.render(report())
    where = 'sweep="sweep",configuration="workers=1",limit="mic: stop_to_text_p95_s"'
    assert f"capsexp_slo_kept{{{where}}} 0\n" in said and f"capsexp_slo_late_share{{{where}}} 1.0\n" in said
    assert f"capsexp_slo_kept{{{where.replace('=1', '=2')}}} 1\n" in said
    assert f"capsexp_slo_late_share_allowed{{{where}}} 0.05\n" in said
    [low] = re.findall(rf"capsexp_slo_late_share_ci95_low{re.escape('{' + where + '}')} (.*)", said)
    assert 0.98 < float(low) < 1
    few = made(1, 0.5)
    open_ = prometheus.render(assemble(a_sweep([replace(few, requests=few.requests[:20])], slo=PROMISED)))
    assert "capsexp_slo_kept" not in open_ and "capsexp_slo_late_share{" in open_
    assert "slo" not in prometheus.render(assemble(a_sweep([made(1, 3.0)])))
