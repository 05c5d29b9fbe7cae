"""Faults as a dimension of an experiment: when they strike, what is made of it, and whole sweeps that they strike."""

import csv
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import correctness, faults, recommend, verdicts
from capsexp.analysis.aggregate import Observed
from capsexp.analysis.faults import Effect
from capsexp.analysis.figures import Figures
from capsexp.compose import compose
from capsexp.config import FaultConfig
from capsexp.engines.null import NullConfig, NullEngine
from capsexp.errors import ConfigError
from capsexp.experiment.faults import moments
from capsexp.results import recovery
from capsexp.results.report import Recovery
from tests.support import noise
from tests.support.bench import Bench
from tests.support.values import RIGHT, a_run, config, counted, gates, made_run


def test_when_faults_are_due() -> None:
    assert list(moments(FaultConfig(at_s=2.0), 1)) == [2.0]
    often = FaultConfig(at_s=1.0, rate=4.0)
    first = list(islice(moments(often, 1), 2000))
    assert first == list(islice(moments(often, 1), 2000))
    assert (
        first != list(islice(moments(often, 2), 2000)) != list(islice(moments(FaultConfig(rate=4.0, seed=9), 2), 2000))
    )
    assert first[0] == 1.0
    assert (first[-1] - first[0]) / 1999 == pytest.approx(0.25, rel=0.1)
    assert len(list(moments(FaultConfig(rate=4.0, most=7), 1))) == 7


def event(time_s: float, worker: int, pid: int, what: str) -> dict[str, Any]:
    return {"time_s": time_s, "worker": worker, "pid": pid, "event": what, "reason": None}


def deed(number: int, kind: str, time_s: float, pid: int | None, until_s: float | None = None) -> dict[str, Any]:
    return {"fault": number, "kind": kind, "time_s": time_s, "until_s": until_s, "worker": 0, "pid": pid}


RUN = a_run(window_s={"start": 2.0, "end": 10.0})
# Workers 0 and 1 share process 10, worker 2 is process 20.
BORN = [event(0.0, 0, 10, "ready"), event(0.0, 1, 10, "ready"), event(0.0, 2, 20, "ready")]
BACK = [event(5.5, 0, 11, "ready"), event(5.8, 1, 11, "ready"), event(5.2, 2, 21, "ready")]


@pytest.mark.parametrize(
    ("deeds", "events", "took"),
    [
        ([deed(1, "kill_worker", 5.0, 10)], [*BORN, *BACK], [0.8]),
        ([deed(1, "kill_worker", 5.0, 20)], [*BORN, *BACK], [0.2]),
        ([deed(1, "kill_all_workers", 5.0, 10), deed(1, "kill_all_workers", 5.1, 20)], [*BORN, *BACK], [0.8]),
        ([deed(1, "kill_worker", 5.0, 20), deed(2, "kill_worker", 5.4, 10)], [*BORN, *BACK], [0.2, 0.4]),
        ([deed(1, "freeze_worker", 5.0, 10)], [*BORN, *BACK[:1]], [None]),
        ([deed(1, "slow_worker", 5.0, 10, 6.0)], BORN, []),
        ([deed(1, "memory_limit", 5.0, 20)], [*BORN, event(5.1, 2, 20, "died"), *BACK], [0.2]),
        ([deed(1, "client_vanishes", 5.0, 99, 6.0)], BORN, []),
        ([], BORN, []),
    ],
)
def test_how_long_until_the_server_is_whole_again(deeds: Any, events: Any, took: list[float | None]) -> None:
    assert recovery.recoveries(deeds, events) == [None if t is None else pytest.approx(t) for t in took]
    assert recovery.awaited(deeds, events) == (None in took)
    assert not recovery.awaited(deeds, [])  # a server that tells nothing


def request(task: str, status: str = "ok", finals: int = 1, error: str | None = None) -> dict[str, Any]:
    return {"task_id": task, "status": status, "finals": finals, "foreign": 0, "error": error}


def segment(task: str, started: float, finished: float, retries: int = 0) -> dict[str, Any]:
    times = {"started_s": started, "finished_s": finished, "new_s": 10.0}
    return {"task_id": task, "status": "ok", "retries": retries, **times}


def test_what_faults_did() -> None:
    requests = [
        request("a"), request("b", "failed", 0, "the server answered: no"), request("c", "failed", 0, "1006"),
        request("d", finals=2), request("e"),
    ]  # fmt: skip
    segments = [segment("a", 4.0, 6.0), segment("e", 6.0, 10.0, 2), segment("fault-1", 5.0, 6.0, 5)]
    found = faults.effect(RUN, None, requests, segments, [*BORN, *BACK], [deed(1, "kill_worker", 5.0, 20)], 4)
    assert (found.injected, found.lost, found.told, found.duplicated) == (1, 2, 1, 1)
    assert (found.wrong, found.again) == (1, 2)
    # Recovered after 0.2 s, in which half a segment of 10 s in 2 s was being recognized: 5 x real time.
    assert found.throughput_rtfx == pytest.approx(5.0)
    assert faults.effect(RUN, None, requests, segments, BORN, [], None).throughput_rtfx is None
    nothing = a_run()
    found = faults.effect(nothing, None, requests, segments, BORN, [deed(1, "kill_worker", 5.0, 20)], 4)
    assert found.throughput_rtfx is None


@given(st.lists(st.tuples(st.sampled_from(["ok", "lost", "told", "twice"]), st.integers(1, 500)), max_size=20))
def test_a_row_counts_for_as_many_requests_as_it_stands_for(kinds: list[tuple[str, int]]) -> None:
    """hours= keeps those that came to the same as one row."""
    as_rows = {
        "ok": request("a"), "lost": request("b", "failed", 0, "1006"), "twice": request("c", finals=2),
        "told": request("d", "failed", 0, "the server answered: no"),
    }  # fmt: skip
    folded = [{**as_rows[kind], "count": count} for kind, count in kinds]
    unfolded = [as_rows[kind] for kind, count in kinds for _ in range(count)]
    wrong = sum(count for kind, count in kinds if kind != "ok")
    one, other = (faults.effect(RUN, None, rows, [], BORN, [], wrong) for rows in (folded, unfolded))
    assert one == other
    assert one.wrong == 0


def test_segments_of_a_table_that_was_thinned_out_count_for_those_that_are_not_there() -> None:
    thinned = Figures(retries=40, segments_every=8)
    struck = [deed(1, "slow_worker", 4.0, 10, 6.0)]
    found = faults.effect(RUN, thinned, [request("kept")], [segment("not kept", 4.0, 6.0, 1)], BORN, struck, 0)
    assert (found.again, found.throughput_rtfx) == (40, pytest.approx(8 * 10 / 2))


def test_a_server_that_is_not_ours_tells_less() -> None:
    found = faults.effect(RUN, None, [request("a")], [], [], [deed(1, "kill_worker", 5.0, 20)], None)
    assert (found.again, found.throughput_rtfx, found.wrong, found.recoveries_s) == (None, None, None, (None,))
    total = faults.summary("kill_worker", [found, ONCE])
    assert (total.injected, total.again, total.wrong, total.unrecovered) == (2, None, None, 1)


def test_speed_while_a_deed_lasts() -> None:
    failed = {**segment("a", 5.0, 6.0), "status": "failed", "finished_s": None, "started_s": None}
    # One recognized in no time inside, one outside, one across its end.
    segments = [segment("a", 5.0, 5.0), segment("a", 9.0, 9.0), segment("a", 5.0, 7.0), failed]
    slow = [deed(1, "slow_worker", 4.0, 10, 6.0), deed(2, "client_vanishes", 20.0, 99, 21.0)]
    found = faults.effect(RUN, None, [request("a")], segments, BORN, slow, 0)
    assert found.throughput_rtfx == pytest.approx((10 + 5) / 2)


def faulted(workers: int, kind: str, makespan: float, effect: Effect, wrong: int = 0) -> list[Observed]:
    """Two trials."""
    settings = config(workers=workers, fault={"name": kind})
    judged = replace(RIGHT, identical=4 - wrong)
    key = f"fault={kind},workers={workers}"
    return [
        made_run(workers, makespan, key=key, config=settings, trial=trial, effect=effect, judged=judged)
        for trial in (1, 2)
    ]


NOTHING = Effect(injected=0, lost=0, told=0, duplicated=0, wrong=0, again=0)
ONCE = replace(NOTHING, injected=1, again=1, recoveries_s=(0.5,), throughput_rtfx=5.0)
UNHARMED = [*faulted(1, "none", 10.0, NOTHING), *faulted(2, "none", 5.0, NOTHING)]


def test_a_faulted_configuration_is_judged_by_what_it_lost() -> None:
    _, two, hurt = counted(*UNHARMED, *faulted(2, "kill_worker", 7.0, ONCE))
    assert hurt.baseline == hurt.key  # none other was struck so
    assert (hurt.fault.without, hurt.fault.slowdown) == (two.key, pytest.approx(1.4))
    assert hurt.fault.recovery_s == Recovery(median=0.5, max=0.5)
    said = {name: (g.verdict, g.reason) for name, g in gates(hurt).items()}
    assert said["speedup"] == said["memory_growth"] == ("NOT_JUDGED", "faults were injected")
    assert said["correctness"][0] == said["peak_memory_mb"][0] == "PASS"
    assert hurt.verdict == "FEASIBLE"


def test_what_was_lost_under_faults_limits_the_verdict_and_recommends_nothing() -> None:
    hurt = faulted(2, "kill_worker", 4.0, ONCE, wrong=1)
    found = counted(*UNHARMED, *hurt)
    assert found[2].verdict == "NOT_FEASIBLE"
    assert verdicts.overall(found) == "FEASIBLE_WITH_CAVEATS"
    advice = recommend.recommend(found, 0.05)
    assert advice is not None
    assert advice.key == "fault=none,workers=2"  # though the other was faster
    alone = counted(*hurt)
    assert verdicts.overall(alone) == "NOT_FEASIBLE"
    assert recommend.recommend(alone, 0.05) is None


def test_as_many_as_were_wrong_are_said_to_be() -> None:
    rows = [{**request(f"t{n}", "failed", 0, "1006"), "request": n, "sample": "s"} for n in range(300)]
    found = correctness.judge({}, rows, None, [])
    (one,) = counted(made_run(1, 10.0), made_run(1, 10.0), judged=found)
    assert one.wrong_count == 600 > len(one.wrong) > 0


def test_a_fault_that_never_struck_proves_nothing() -> None:
    (one,) = counted(*faulted(2, "kill_worker", 5.0, NOTHING))
    assert one.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["fault=kill_workers"], "fault: unknown fault 'kill_workers'; did you mean 'kill_worker'"),
        (["fault=kill_worker", "server=external", "server.url=ws://x"], "would harm a server"),
        (["fault.rate=-1"], r"fault\.rate"),
        (["fault.slowdown=0.5"], r"fault\.slowdown"),
    ],
)
def test_faults_that_cannot_be(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(overrides)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_over_faults_reports_what_they_did(bench: Bench) -> None:
    kinds = ("none", "kill_all_workers", "garbage_client")
    asked = ["pool=prefork", "workers=2", "engine.rtf=0.1", "fault.at_s=0.5", f"fault={','.join(kinds)}"]
    assert bench.run(*asked, "-m") == 0, bench.stderr
    found = {c["fault"]["kind"]: c for c in bench.report()["configurations"]}
    for kind in kinds:
        effect = found[kind]["fault"]
        assert (effect["lost"], effect["duplicated"], effect["wrong"]) == (0, 0, 0)
        assert found[kind]["metrics"]["correctness"]["value"] == 1.0
        assert effect["injected"] == (kind != "none")
    killed = found["kill_all_workers"]["fault"]
    assert killed["again"] >= 2
    assert 0 < killed["recovery_s"]["max"] < 10
    assert killed["throughput_rtfx"] is not None
    assert killed["without"] == "fault=none"
    folder = bench.out / "1-fault=kill_all_workers"
    assert [row["kind"] for row in rows(folder / "faults.csv")] == ["kill_all_workers"] * 2
    died = [row for row in rows(folder / "workers.csv") if row["event"] == "died"]
    assert {row["pid"] for row in died} == {row["pid"] for row in rows(folder / "faults.csv")}
    seen = {row["role"] for row in rows(bench.out / "2-fault=garbage_client" / "monitor.csv")}
    assert seen == {"gateway", "loader", "worker", "helper", "client", "monitor", "system", "fault"}
    for name in ("report.md", "report.html"):
        assert "segments recognized again" in (bench.out / name).read_text()


def test_nothing_was_done_is_said_and_a_request_that_was_given_up_is_counted(bench: Bench) -> None:
    poison = NullEngine(NullConfig()).recognize(noise(6, 1)).tokens[0]
    asked = [
        f"engine.crash_on='{poison}'",
        "server.max_retries=1",
        "fault=kill_worker",
        "fault.at_s=60",
        "reference=off",
    ]
    assert bench.run("workers=2", *asked) == 0, bench.stderr
    (one,) = bench.report()["configurations"]
    assert (one["fault"]["injected"], one["fault"]["lost"], one["fault"]["told"]) == (0, 1, 1)
    assert any("no fault was injected, as the load ended before fault.at_s" in w for w in bench.report()["warnings"])
    (lost,) = [row for row in rows(bench.out / "0-workers=2" / "requests.csv") if row["status"] != "ok"]
    assert (lost["sample"], lost["finals"]) == ("n1.wav", "0")
    assert lost["error"].startswith("the server answered: segment 0 failed 2 times: worker ")
    failed = [row for row in rows(bench.out / "0-workers=2" / "segments.csv") if row["status"] == "failed"]
    assert [(row["segment"], row["retries"]) for row in failed] == [("0", "1")]
    assert json.loads((bench.out / "0-workers=2" / "run.json").read_text())["status"] == "ok"


def test_workers_that_die_by_themselves_are_in_the_warnings(bench: Bench) -> None:
    poison = NullEngine(NullConfig()).recognize(noise(6, 1)).tokens[0]
    assert bench.run("workers=2", f"engine.crash_on='{poison}'", "server.max_retries=1", "reference=off") == 0
    (said,) = [w for w in bench.report()["warnings"] if "had to be replaced" in w]
    assert said.startswith("workers=2: died and had to be replaced: worker ")
    died = [row for row in rows(bench.out / "0-workers=2" / "workers.csv") if row["event"] == "died"]
    assert len(died) == 2 and all(f"worker {row['worker']} ({row['reason']})" in said for row in died)
