"""How much a server carries, in each form of the report."""

import csv as table
from xml.etree import ElementTree as Tree

import msgspec

from capsexp.report import capacities
from capsexp.report.exporters import csv, html, junit, markdown, prometheus, text
from capsexp.results.report import Capacity, CapacityProbe, Meaning, Report, SloResult
from capsexp.results.verdicts import Reading, Verdict
from tests.support.harmed import trials
from tests.support.reports import reported

TRIED = CapacityProbe(
    key="workers=2,load.users=17", load=17, runs=2, requests={"stop_to_text_p95_s": 200},
    late={"stop_to_text_p95_s": 4}, verdict=Reading.PASS,
)  # fmt: skip
MEANT = (
    Meaning(name="text within 2 s", feasible_max=20, infeasible_min=24, resolved=False),
    Meaning(name="lag that does not grow", feasible_max=22, infeasible_min=None, resolved=False),
)
FOUND = Capacity(
    key="workers=2", slo={"stop_to_text_p95_s": 1.0}, feasible_max=17, infeasible_min=18, resolved=True,
    binding="stop_to_text_p95_s", workers=2, per_worker=8.5, peak_memory_mb=340.0, probes=(TRIED,), meanings=MEANT,
)  # fmt: skip


def report(*found: Capacity, verdict: Verdict = Verdict.FEASIBLE) -> Report:
    made, _ = reported(*trials(2, 10.0))
    return msgspec.structs.replace(made, capacity=found, verdict=verdict, unfinished=False, advice=())


def test_the_band_is_said_with_users_per_worker_and_memory_for_each() -> None:
    said = text.render(report(FOUND))
    assert "Question: How many users can this server serve at once" in said
    assert "Verdict: FEASIBLE: the SLO is kept for the number of users below." in said
    assert (
        "Capacity: workers=2 can serve 17 users, 8.5 for each worker, 20 MB for each; 18 users are too many "
        "(stop_to_text_p95_s)."
    ) in said
    assert "17 to 18" in said and "20 to 24" in said and "from 22" in said
    page = markdown.render(report(FOUND))
    for heading in ("## Capacity", "## The meaning of real time", "## Loads that were tried"):
        assert heading in page
    assert "4 (2.0 %)" in page
    shown = html.render(report(FOUND))
    assert 'id="meanings"' in shown and 'id="probes"' in shown and "试过的负载" in shown


def changed(**values: object) -> str:
    return text.render(report(msgspec.structs.replace(FOUND, **values)))


def test_what_is_open_or_never_broke_is_said_as_that() -> None:
    assert "18 users are too many (stop_to_text_p95_s); in between is undecided." in changed(resolved=False)
    assert "can serve 17 users, 8.5 for each worker, 20 MB for each; no load tried was too much." in changed(
        infeasible_min=None
    )
    none = changed(feasible_max=0, infeasible_min=1, per_worker=None, peak_memory_mb=None)
    assert "workers=2 can serve none of the loads tried; 1 user is too many" in none
    unknown = changed(feasible_max=0, infeasible_min=None, per_worker=None, peak_memory_mb=None, stopped="disturbed")
    assert "Capacity: unknown for workers=2." in unknown
    assert "the search for workers=2 stopped: disturbed." in unknown
    rate = changed(over="load.rate", feasible_max=1.5, infeasible_min=2.0, workers=1)
    assert "can serve 1.5 requests per second" in rate and "2 requests per second are too many" in rate


def test_what_is_carried_with_a_dead_worker_is_what_can_be_promised() -> None:
    said = changed(fault="a dead worker")
    assert "can serve 17 users with one of its workers dead, which is what can be promised, 8.5 for each worker" in said
    assert "can serve 17 users with fault=slow_worker, 8.5" in changed(fault="slow_worker")


def test_of_each_limit_the_share_is_of_the_requests_that_tell_of_it() -> None:
    requests = {"mic: stop_to_text_p95_s": 40, "file: late_share": 200, "lag_p95_s": 0}
    both = msgspec.structs.replace(TRIED, requests=requests, late={**requests, "file: late_share": 4})
    [row] = capacities.probe_rows(report(msgspec.structs.replace(FOUND, probes=(both,))))
    assert row[3:5] == ["40, 200, 0", "40 (100.0 %), 4 (2.0 %), -"]


def test_a_report_without_a_search_has_no_band() -> None:
    made = report()
    assert "Capacity:" not in text.render(made) and "## Capacity" not in markdown.render(made)


def of_junit(*found: Capacity) -> list[tuple[str | None, str, str]]:
    """The suites of bands: what came of each, and what is said."""
    suites = Tree.fromstring(junit.render(report(*found))).findall("testsuite")
    bands = [suite for suite in suites if (suite.get("name") or "").startswith("capacity of ")]
    return [(s.get("name"), s[0][0].tag, s[0][0].get("message") or s[0][0].text or "") for s in bands]


def test_a_band_is_a_suite_of_junit_that_fails_where_nothing_is_carried() -> None:
    nothing = msgspec.structs.replace(FOUND, key="workers=1", feasible_max=0, infeasible_min=1)
    unknown = msgspec.structs.replace(nothing, key="workers=4", infeasible_min=None, stopped="disturbed")
    one, two, four = of_junit(FOUND, nothing, unknown)
    assert one[:2] == ("capacity of workers=2", "system-out") and "can serve 17 users" in one[2]
    assert two[:2] == ("capacity of workers=1", "failure") and "1 user is too many" in two[2]
    assert four[1] == "skipped" and "search for workers=4 stopped: disturbed" in four[2]
    assert not of_junit()


def test_a_load_that_a_search_found_too_much_fails_no_case_of_junit() -> None:
    broken = SloResult(name="x", metric="turnaround_p95_s", limit=1.0, allowed=0.05, verdict=Reading.FAIL)
    made = report(FOUND)
    tried = tuple(msgspec.structs.replace(c, slo=(broken,)) for c in made.configurations)
    assert "slo x" not in junit.render(msgspec.structs.replace(made, configurations=tried))
    assert "slo x" in junit.render(msgspec.structs.replace(made, configurations=tried, capacity=()))


def test_the_ends_of_each_band_are_rows_of_csv_and_gauges_of_prometheus() -> None:
    rows = [r for r in table.DictReader(csv.render(report(FOUND)).splitlines()) if r["metric"].startswith("capacity_")]
    told = {(row["slo"], row["metric"]): (row["unit"], float(row["value"])) for row in rows}
    assert {row["configuration"] for row in rows} == {"workers=2"} and len(told) == len(rows)
    promised = "stop_to_text_p95_s 1.0"
    assert told[promised, "capacity_feasible_max"] == ("users", 17)
    assert told[promised, "capacity_infeasible_min"] == ("users", 18)
    assert told[promised, "capacity_per_worker"] == ("users", 8.5)
    assert told["text within 2 s", "capacity_resolved"] == ("0 or 1", 0)
    assert ("lag that does not grow", "capacity_infeasible_min") not in told  # nothing broke it
    said = prometheus.render(report(FOUND))
    where = 'sweep="sweep",configuration="workers=2",over="load.users",meaning='
    assert f'capsexp_capacity_feasible_max{{{where}"slo"}} 17.0\n' in said.replace("} 17\n", "} 17.0\n")
    assert f'capsexp_capacity_infeasible_min{{{where}"text within 2 s"}} 24' in said
    assert f'capsexp_capacity_infeasible_min{{{where}"lag that' not in said
    assert said.count("# TYPE capsexp_capacity_feasible_max gauge") == 1
