"""How much a server carries, in each form of the report."""

import msgspec

from capsexp.report import capacities
from capsexp.report.exporters import html, markdown, text
from capsexp.results.report import Capacity, CapacityProbe, Meaning, Report
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


def test_of_each_limit_the_share_is_of_the_requests_that_tell_of_it() -> None:
    requests = {"mic: stop_to_text_p95_s": 40, "file: late_share": 200, "lag_p95_s": 0}
    both = msgspec.structs.replace(TRIED, requests=requests, late={**requests, "file: late_share": 4})
    [row] = capacities.probe_rows(report(msgspec.structs.replace(FOUND, probes=(both,))))
    assert row[3:5] == ["40, 200, 0", "40 (100.0 %), 4 (2.0 %), -"]


def test_a_report_without_a_search_has_no_band() -> None:
    made = report()
    assert "Capacity:" not in text.render(made) and "## Capacity" not in markdown.render(made)
