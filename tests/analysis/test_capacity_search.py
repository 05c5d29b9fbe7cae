"""A search for a capacity by runs of planted waits: what is tried next, the band, and what else real time may mean."""

import math
from dataclasses import replace
from typing import Any

import pytest

from capsexp.analysis import verdicts
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.capacity_search import Settings, most_late, searches, split
from capsexp.analysis.correctness import Judgement
from capsexp.analysis.faults import Effect
from capsexp.analysis.latency import NOTHING, Experience
from capsexp.config import Config, to_dict
from capsexp.results.report import Capacity
from capsexp.results.verdicts import Verdict
from tests.support.values import HOG, config, counted, figures, made_run

PROMISED = {"stop_to_text_p95_s": 1.0}
SEARCH = {"over": "load.users", "step": 1, "risk": 0.025, "looks": 6, "most": 64, "precision": 0.0, "confirm": 2}
SETTINGS = Settings.of(SEARCH, PROMISED, trials_max=10)


def told(users: int, waited: float, requests: int = 200) -> tuple[Experience, ...]:
    """Users who speak for 5 s and think for 3 s, all of whom wait so long."""
    every, turns = 8.0 + waited, max(5, requests // users)
    return tuple(
        Experience(None, user, user * every / users + turn * every, 5.0, True, 5.0 + waited, waited)
        for user in range(users)
        for turn in range(turns)
    )


def run(users: int, waited: float, num: int = 0, trial: int = 1, workers: int = 2, **more: Any) -> Observed:
    felt = more.pop("felt", replace(NOTHING, each=told(users, waited)))
    key = more.pop("key", f"workers={workers},load.users={users}")
    more.setdefault("figures", figures(30.0, mb=100.0 * users, felt=felt))
    more.setdefault("judged", Judgement(requests=4, completed=4, identical=4))
    return made_run(workers, 30.0, key=key, num=num, trial=trial, **more)


def found(*runs: Observed, settings: Settings = SETTINGS) -> Capacity:
    made = [replace(one, run=_numbered(one, num)) for num, one in enumerate(runs)]
    [only] = searches(made, counted(*made), settings)
    return only


def _numbered(one: Observed, num: int) -> Any:
    import msgspec

    return msgspec.structs.replace(one.run, num=num)


def test_a_key_without_its_load() -> None:
    assert split("workers=2,load.users=8", "load.users") == ("workers=2", "8")
    assert split("load.users=8", "load.users") == ("", "8")
    assert split("workers=2", "load.users") == ("", "")


def test_it_doubles_then_bisects_and_confirms() -> None:
    asked = [found(run(4, 0.2)), found(run(4, 0.2), run(8, 0.5)), found(run(4, 0.2), run(8, 0.5), run(16, 3.0))]
    assert [one.next for one in asked] == [8, 16, 12]
    narrow = [run(8, 0.5), run(9, 3.0)]
    assert (found(*narrow).next, found(*narrow).trial, found(*narrow).resolved) == (8, 2, False)
    done = found(*narrow, run(8, 0.5, trial=2))
    assert (done.next, done.resolved) == (None, True)
    assert (done.feasible_max, done.infeasible_min, done.binding) == (8, 9, "stop_to_text_p95_s")
    assert (done.key, done.workers, done.per_worker, done.peak_memory_mb) == ("workers=2", 2, 4, 800.0)
    assert done.slo == PROMISED
    [limit] = PROMISED
    assert [(p.load, p.runs, p.requests, p.late, p.verdict) for p in done.probes] == [
        (8, 2, {limit: 384}, {limit: 0}, "PASS"), (9, 1, {limit: 189}, {limit: 189}, "FAIL"),
    ]  # fmt: skip


def test_it_begins_with_the_load_that_was_set_and_goes_down_from_what_failed() -> None:
    assert found(run(12, 3.0)).next == 6
    assert found(run(1, 3.0)).next is None
    none = found(run(1, 3.0))
    assert (none.feasible_max, none.infeasible_min, none.per_worker, none.peak_memory_mb) == (0, 1, None, None)


def test_the_same_load_is_run_again_where_it_is_open_or_was_disturbed() -> None:
    mixed = tuple(replace(one, stop_to_text_s=2.0) if one.user == 0 else one for one in told(20, 0.5))
    one = found(run(20, 0.0, felt=replace(NOTHING, each=mixed)))
    assert (one.next, one.trial, one.probes[0].verdict) == (20, 2, "INCONCLUSIVE")
    harmed = found(run(4, 0.2, disturbed=HOG))
    assert (harmed.next, harmed.trial, harmed.probes, harmed.stopped) == (4, 2, (), None)
    never = found(*(run(4, 0.2, trial=n, disturbed=HOG) for n in (1, 2, 3)))
    assert never.next is None and (never.stopped or "").startswith(
        "the last 3 runs of workers=2,load.users=4 do not count"
    )
    every_other = [run(20, 0.0, felt=replace(NOTHING, each=mixed), trial=n, disturbed=HOG * (n % 2)) for n in range(10)]
    often = found(*every_other)
    assert often.next is None
    assert "load.users=20 was run 10 times, and 5 of these do not count" in (often.stopped or "")


def test_the_largest_load_is_confirmed_as_often_as_is_asked() -> None:
    thorough = Settings.of({**SEARCH, "confirm": 20}, PROMISED, trials_max=10)
    runs = [run(8, 0.5, trial=n) for n in range(1, 20)]
    asked = found(*runs, run(9, 3.0), settings=thorough)
    assert (asked.next, asked.trial, asked.stopped) == (8, 20, None)
    assert found(*runs, run(8, 0.5, trial=20), run(9, 3.0), settings=thorough).resolved


def test_what_no_request_tells_of_stays_open_and_ends_the_search() -> None:
    silent = Settings.of(SEARCH, {"lag_p95_s": 1.0}, trials_max=10)
    one = found(run(4, 0.2), settings=silent)
    assert (one.probes[0].verdict, one.next, one.feasible_max, one.infeasible_min) == ("INCONCLUSIVE", None, 0, None)
    assert (one.stopped or "").startswith("no request counts for lag_p95_s; leave it out")
    wrong = run(4, 0.2, judged=Judgement(requests=4, completed=4, identical=3, wrong_count=1))
    assert (found(wrong, settings=silent).next, found(wrong, settings=silent).infeasible_min) == (2, 4)


def test_a_configuration_beside_which_nothing_is_swept_is_shown_by_what_is_known_of_it() -> None:
    ours = found(run(4, 0.2, key="load.users=4"))
    assert (ours.name, ours.key) == ("", "workers=2")
    server = {**to_dict(Config())["server"], "name": "external"}
    theirs = found(run(4, 0.2, key="load.users=4", config=config(server=server)))
    assert (theirs.name, theirs.key) == ("", "external")
    assert found(run(4, 0.2)).name == "workers=2"


def test_a_wrong_text_or_a_server_that_breaks_down_is_too_much() -> None:
    wrong = found(run(4, 0.2, judged=Judgement(requests=4, completed=4, identical=3, wrong_count=1)))
    assert (wrong.infeasible_min, wrong.binding) == (4, "correctness")
    broken = found(run(4, 0.2, figures=None, judged=None, status="failed"))
    assert (broken.infeasible_min, broken.binding) == (4, "correctness")
    assert broken.probes[0].requests == {"stop_to_text_p95_s": 0}
    ours = found(run(4, 0.2, figures=None, judged=None, status="failed", failure="harness"))
    assert (ours.infeasible_min, ours.next) == (None, 4)


def test_a_load_that_cannot_be_made_is_tried_once() -> None:
    said = {"status": "failed", "failure": "settings", "error": "the client ended with code 2: no such table"}
    one = found(run(4, 0.2, figures=None, judged=None, **said))
    assert (one.next, one.infeasible_min) == (None, None)
    assert one.stopped == (
        "workers=2,load.users=4 cannot be run as it is set: the client ended with code 2: no such table"
    )


def test_what_a_run_that_ended_early_had_not_answered_is_late_once_it_is_sure() -> None:
    done, cut = told(4, 3.0, 40), Experience(None, 0, 500.0, 5.0, True, 7.0, 2.0, censored=True)
    young = replace(cut, stop_to_text_s=0.5)
    one = found(run(4, 0.0, felt=replace(NOTHING, each=(*done, cut, young))))
    assert (one.probes[0].requests, one.probes[0].late) == (
        {"stop_to_text_p95_s": 37}, {"stop_to_text_p95_s": 37},
    )  # fmt: skip


def test_of_each_class_the_requests_are_its_own() -> None:
    spoken = tuple(replace(one, kind="mic") for one in told(4, 0.2))
    files = tuple(Experience("file", 100 + n, float(n), 20.0, False, 30.0) for n in range(20))
    promised = {"classes": {"mic": {"stop_to_text_p95_s": 1.0}, "file": {"late_share": 0.2}}}
    own = run(4, 0.0, felt=replace(NOTHING, each=(*spoken, *files)))
    [probe] = found(own, settings=Settings.of(SEARCH, promised, trials_max=10)).probes
    assert probe.requests == {"mic: stop_to_text_p95_s": 196, "file: late_share": 20}
    assert probe.late == {"mic: stop_to_text_p95_s": 0, "file: late_share": 20}


def test_the_same_runs_answer_what_else_real_time_may_mean() -> None:
    runs = [run(4, 0.3), run(8, 0.8), run(12, 1.5), run(16, 4.0), run(32, 8.0)]
    bands = {one.name: (one.feasible_max, one.infeasible_min) for one in found(*runs).meanings}
    assert list(bands) == [
        "text within 0.5 s", "text within 1 s", "text within 2 s", "text within 5 s", "lag that does not grow",
        "text in as long as it lasts",
    ]  # fmt: skip
    assert bands["text within 0.5 s"] == (4, 8) and bands["text within 2 s"] == (12, 16)
    assert bands["text within 5 s"] == bands["text in as long as it lasts"] == (16, 32)
    # 32 users who ask once in 16 s: as many as 16 who do not wait, once in 8 s.
    most, least = bands["lag that does not grow"]
    assert 14 <= (most or 0) <= 18 and least == (most or 0) + 1
    idle = found(run(4, 0.3)).meanings
    assert [one.infeasible_min for one in idle if one.name == "lag that does not grow"] == [None]


def test_a_burst_tells_nothing_of_who_speaks() -> None:
    each = tuple(Experience(None, n, float(n), 5.0, False, 2.0) for n in range(200))
    settings = Settings.of({**SEARCH, "over": "load.rate", "step": 0.5}, {"turnaround_p95_s": 3.0}, 10)
    one = found(run(1, 0.0, key="load.rate=1.5", felt=replace(NOTHING, each=each)), settings=settings)
    assert (one.key, one.next, one.feasible_max, one.per_worker) == ("workers=2", 3.0, 1.5, 0.75)
    assert [meaning.name for meaning in one.meanings] == ["text in as long as it lasts"]


def test_each_configuration_has_a_band_and_what_is_no_load_of_the_search_none() -> None:
    runs = [run(4, 0.2), run(4, 0.2, workers=1, num=1), run(4, 0.2, key="workers=3", num=2)]
    assert [one.key for one in searches(runs, counted(*runs), SETTINGS)] == ["workers=2", "workers=1"]


def test_so_many_late_ones_that_no_rest_saves_the_run() -> None:
    assert most_late(120, 0.05, 0.025) == 2 * 13
    assert most_late(20, 0.5, 0.025) == 20
    assert most_late(20, 0.5, 1e-6) == 20  # one run can break it no more than that
    assert most_late(1200, 0.05, 0.025) == 2 * 78


def band(most: float | None, least: float | None) -> Capacity:
    return Capacity(key="x", slo={}, feasible_max=most, infeasible_min=least, resolved=True)


@pytest.mark.parametrize(
    ("bands", "unfinished", "verdict"),
    [
        ([band(4, 5), band(0, 1)], False, Verdict.FEASIBLE), ([band(0, 1)], False, Verdict.NOT_FEASIBLE),
        ([band(0, None)], False, Verdict.INCONCLUSIVE), ([], False, Verdict.INCONCLUSIVE),
        ([band(4, 5)], True, Verdict.INCONCLUSIVE),
    ],
)  # fmt: skip
def test_a_search_is_feasible_where_anything_is_carried(bands: list[Capacity], unfinished: bool, verdict: str) -> None:
    assert verdicts.of_search(bands, unfinished) == verdict


def test_what_never_came_is_late_whatever_is_meant() -> None:
    lost = tuple(replace(one, turnaround_s=math.inf, stop_to_text_s=math.inf) for one in told(4, 0.2))
    assert {one.infeasible_min for one in found(run(4, 0.0, felt=replace(NOTHING, each=lost))).meanings} == {4}


def test_a_run_whose_fault_struck_nobody_tells_nothing_of_the_capacity_without_a_worker() -> None:
    harm = {**to_dict(Config())["fault"], "name": "kill_worker", "stays_dead": True}
    struck, spared = (
        run(4, 0.2, trial=trial, config=config(fault=harm), effect=Effect(injected=injected))
        for trial, injected in ((1, 1), (2, 0))
    )
    assert (found(struck).probes[0].runs, found(struck).fault) == (1, "a dead worker")
    assert (found(spared).probes, found(spared).next) == ((), 4)
    assert found(struck, spared).probes[0].runs == 1
    assert found(run(4, 0.2)).fault == "none"
