"""A search for a capacity: which runs it begins with and adds, what it refuses, and one that is made."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from capsexp.analysis.capacity_search import most_late
from capsexp.config import to_dict
from capsexp.errors import ConfigError
from capsexp.experiment import further
from capsexp.experiment.further import Further, foretold
from capsexp.experiment.sweep import add, each_differs, plan
from capsexp.report.build import assemble
from capsexp.results.report import Capacity, CapacityProbe
from capsexp.results.tables import read_rows
from capsexp.results.verdicts import Reading
from capsexp.resume import _together
from tests.support.bench import Bench
from tests.support.harmed import trials
from tests.support.reports import a_run, a_sweep, reported

ASKED = ["experiment=capacity", "engine=null", "workers=1,2"]


def planned(*more: str) -> Any:
    return plan([*ASKED, *more], None, "config")


def test_a_search_begins_with_the_load_that_is_set_once_for_each_configuration() -> None:
    sweep = planned("load.users=6")
    assert [run.key for run in sweep.planned] == ["workers=1,load.users=6", "workers=2,load.users=6"]
    load = sweep.planned[0].config.load
    # 120 requests beside the first of each of 6 users; it ends when twice as many are late as no rest could save.
    assert (load.users, load.turns, load.give_up_s, load.give_up_late) == (6, 21, 1.0, 26)
    assert sweep.search["over"] == "load.users"
    assert foretold(sweep).startswith("; then further values of load.users")
    each_differs(sweep.planned)


def test_another_load_is_another_key_and_as_long_as_its_decision_needs() -> None:
    sweep = planned()
    [one] = add(sweep, [("workers=2,load.users=16", 1)], None, "config")
    assert (one.key, one.dir, one.config.workers) == (
        "workers=2,load.users=16", "2-workers=2,load.users=16,trial=1", 2,
    )  # fmt: skip
    assert (one.config.load.users, one.config.load.turns) == (16, 9)
    [again] = add(sweep, [("workers=2,load.users=16", 2)], None, "config")
    assert (again.config.load, again.trial) == (one.config.load, 2)
    assert _together(["load.users=6", *ASKED], sweep) == ["load.users=6", *ASKED]  # what was found is not asked for


def test_requests_per_second_and_a_class_of_a_mixed_load_are_searched_too() -> None:
    given = ["load=rate", "load.pacing=realtime", "search.step=0.5", "load.rate=1.3", "workers=1"]
    rate = plan([*ASKED[:2], *given], None, "config")
    assert (rate.planned[0].key, rate.planned[0].config.load.duration_s) == ("load.rate=1.5", 80.0)
    mixed = plan([*ASKED[:2], "load=mixed", "slo=mixed", "workers=1"], None, "config")
    [one] = mixed.planned
    assert one.key == "load.classes.mic.users=4" and one.config.load.classes["mic"]["turns"] == 31
    [more] = add(mixed, [("load.classes.mic.users=8", 1)], None, "config")
    assert more.config.load.classes["mic"]["users"] == 8
    calls = "+load.classes.calls={name: rate, rate: 1.3, pacing: realtime}"  # whose duration_s is the default
    some = ["load=mixed", "load.classes.mic=null", calls, "search.step=0.5", "workers=1"]
    parts = plan([*ASKED[:2], *some], None, "config")
    [first] = parts.planned
    [more] = add(parts, [("load.classes.calls.rate=2.5", 1)], None, "config")
    assert (first.key, more.key) == ("load.classes.calls.rate=1.5", "load.classes.calls.rate=2.5")
    assert [(run.config.load.classes["calls"]["rate"], run.config.load.give_up_class) for run in (first, more)] == [
        (1.5, "calls"), (2.5, "calls"),
    ]  # fmt: skip


def test_a_run_ends_early_by_as_many_late_ones_as_break_it_of_all_that_there_will_be() -> None:
    many = planned("load.users=300").planned[0].config.load  # 4 turns each beside the first
    assert (many.turns, many.give_up_late) == (5, most_late(1200, 0.05, 0.025))
    [often] = add(planned("load=rate", "load.pacing=realtime"), [("workers=1,load.rate=30", 1)], None, "config")
    assert (often.config.load.duration_s, often.config.load.give_up_late) == (10.0, most_late(300, 0.05, 0.025))


@pytest.mark.parametrize(
    ("promised", "ends"),
    [
        (["slo=mixed"], (26, 1.0, "mic")),
        (["slo=mixed", "slo.classes.file.turnaround_p95_s=60"], (26, 1.0, "mic")),
        (["slo.stop_to_text_p95_s=2"], (26, 2.0, "mic")),  # a file in a burst has no such moment
        (["slo.stop_to_text_p95_s=null", "slo.turnaround_p95_s=9"], (0, 1.0, None)),  # files are among them: how many?
        (["slo.stop_to_text_p95_s=null", "slo.late_share=0.05"], (0, 1.0, None)),
    ],
)
def test_only_the_class_that_grows_ends_a_run_early(promised: list[str], ends: tuple[int, float, str | None]) -> None:
    load = planned("load=mixed", *promised).planned[0].config.load
    assert (load.give_up_late, load.give_up_s, load.give_up_class) == ends


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["slo=none"], "no SLO is set; choose one, e.g. slo=dictation"),
        (["load=all"], "load=all has no size that can be searched; take load=dictation, mixed or rate"),
        (["load=rate", "load.unit=rtfx"], "load=rate has no size"),
        (["load=rate"], r"no request of load=rate counts for the limit stop_to_text_p95_s; leave it out"),
        (["slo=mixed"], r"no request of load=dictation counts for the limit mic: stop_to_text_p95_s"),
        (["load=mixed", "+slo.classes.file={lag_p95_s: 1}"], r"load=mixed counts for the limit file: lag_p95_s"),
        (["load.users=4,8"], r"load\.users: search=capacity varies it; give one value, at which the search begins"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_starts(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(*given)


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        (["fault=kill_worker"], [True]),
        (["fault=none,kill_worker"], [True, True]),  # of the first it says nothing
        (["fault=kill_worker", "fault.stays_dead=false"], [False]),
        ([], [None]),
    ],
)
def test_a_worker_that_a_search_kills_stays_dead_unless_it_is_said_otherwise(
    given: list[str], stays: list[bool | None]
) -> None:
    sweep = plan([*ASKED[:2], "workers=3", *given], None, "config")
    assert [run.config.fault.stays_dead for run in sweep.planned] == stays
    [more] = add(sweep, [(sweep.planned[-1].key.replace("users=4", "users=8"), 1)], None, "config")
    assert (more.config.fault.stays_dead, more.config.load.users) == (stays[-1], 8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["workers=1,2"], r"fault\.stays_dead: workers=1 leaves no worker.*workers=1"),
        (["workers=2", "pool=prefork"], "with pool=prefork one worker alone cannot be killed"),
        (["workers=2", "fault.rate=1"], r"fault\.rate: with fault\.stays_dead one worker is away"),
    ],
)
def test_where_no_single_worker_can_be_kept_away_that_is_said_before_anything_starts(
    given: list[str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan([*ASKED[:2], "fault=kill_worker", *given], None, "config")
    assert plan([*ASKED[:2], "fault=none", *given], None, "config").planned


def band(key: str, following: float | None, runs: int = 1, least: float | None = None) -> Capacity:
    tried = CapacityProbe(key=f"{key},load.users=4", load=4, runs=runs, requests={}, late={}, verdict=Reading.PASS)
    return Capacity(
        key=key, name=key, slo={}, feasible_max=4, infeasible_min=least, resolved=False, probes=(tried,),
        next=following, trial=3,
    )  # fmt: skip


def test_the_configuration_of_which_the_fewest_runs_were_made_is_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(further, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: 1e9 + now))
    asked = Further(SimpleNamespace(search={"over": "load.users", "budget_s": 60.0}))  # type: ignore[arg-type]
    found, _ = reported(*trials(1, 10.0))
    both = (band("workers=1", 8.0, runs=2), band("workers=2", 16.0, least=20.0))
    assert asked.runs(msgspec.structs.replace(found, capacity=both)) == [("workers=2,load.users=16", 3)]
    assert "workers=2: load.users is at least 4, less than 20; next 16" in capsys.readouterr().err
    one = msgspec.structs.replace(found, capacity=both[:1])
    assert asked.runs(one) == [("workers=1,load.users=8", 3)]
    assert "no bound yet" in capsys.readouterr().err
    assert asked.runs(msgspec.structs.replace(found, capacity=(band("workers=1", None),))) == []
    now = 61.0
    assert asked.runs(one) == [] and asked.stopped == "search.budget_s"


def test_the_first_runs_are_part_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(further, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: 1e9 + now))
    asked = Further(SimpleNamespace(search={"over": "load.users", "budget_s": 60.0}))  # type: ignore[arg-type]
    found, _ = reported(*trials(1, 10.0))
    now = 61.0  # which the planned ones took
    assert asked.runs(msgspec.structs.replace(found, capacity=(band("workers=1", 8.0),))) == []
    assert asked.stopped == "search.budget_s"


@pytest.mark.parametrize("server", [[], ["server=external", "server.url=ws://127.0.0.1:9"]])
def test_a_first_run_that_counts_for_nothing_is_made_again_where_nothing_else_is_swept(server: list[str]) -> None:
    """With the default validity: another process made the machine swap."""
    given = ["load=rate", "load.pacing=realtime", "load.rate=4", "workers=1", *server]
    sweep = plan([*ASKED[:2], *given], None, "config")
    [first] = sweep.planned
    assert first.key == "load.rate=4"
    settings = to_dict(first.config)
    run = a_run(1, 30.0, key=first.key, config=settings, server=first.config.server.name, disturbed=100)
    files = a_sweep([run], search=sweep.search, slo=settings["slo"], validity=settings["validity"])
    report = assemble(files)
    [only] = report.capacity
    assert not report.configurations[0].validity.valid
    assert (only.key, only.next, only.trial, only.probes) == ("external" if server else "workers=1", 4, 2, ())
    wanted = Further(sweep).runs(report)
    assert wanted == [("load.rate=4", 2)]
    [again] = add(sweep, wanted, None, "config")
    assert (again.key, again.config.load) == (first.key, first.config.load)


def half_seconds(folder: Path) -> Path:
    """Three clips of noise, of 0.5 s each."""
    import soundfile

    rng = np.random.default_rng(1)
    folder.mkdir()
    for n in range(3):
        soundfile.write(folder / f"c{n}.wav", rng.normal(0, 0.1, 8000).astype(np.float32), 16000)
    return folder


@pytest.mark.slow
def test_a_search_ends_with_a_band_and_goes_on_when_it_is_resumed(bench: Bench, tmp_path: Path) -> None:
    """Two workers take 0.2 s for what is said in 0.5 s, so 10 requests per second. Of 32 users who think for 0.5 s each
    comes once in 3.2 s and waits for 2.2 s; of 8, once in 1.2 s, and waits for 0.2 s."""
    clips = half_seconds(tmp_path / "clips")
    given = (
        "experiment=capacity", "engine=null", "engine.rtf=0.4", "samples=dir", f"samples.dir={clips}", "workers=2",
        "load.think_s=0.5", "load.users=32", "search.precision=1", "search.confirm=1", "validity=off",
        "slo.stop_to_text_p95_s=0.8",
    )  # fmt: skip
    begun = bench.start(*given, f"hydra.sweep.dir={bench.out}", "search.budget_s=0", bare=True)
    assert bench.finish(begun) == 0, bench.stderr
    [first] = bench.report()["capacity"]
    assert (first["infeasible_min"], first["next"]) == (32, 16)
    run = next(bench.out.glob("0-*"))
    assert "true" in (run / "client.json").read_text()  # it ended early: 32 are far too many
    assert bench.report()["decide"]["note"].startswith("goes on with the search")
    again = bench.start(f"resume={bench.out}", "search.budget_s=null", bare=True)
    assert bench.finish(again) == 0, bench.stderr
    report = bench.report()
    [found] = report["capacity"]
    assert found["next"] is None and 1 <= found["feasible_max"] < found["infeasible_min"] <= 32
    assert found["binding"] == "stop_to_text_p95_s" and report["verdict"] == "FEASIBLE"
    assert all(c["requests"]["identical"] == c["requests"]["total"] > 0 for c in report["configurations"])


@pytest.mark.slow
def test_one_worker_of_two_carries_about_half_while_the_other_is_dead(bench: Bench, tmp_path: Path) -> None:
    """Two workers take 0.4 s for what is said in 0.5 s: 5 requests per second, with one 2.5. Of 8 users who think for
    1.5 s each comes once in 2.4 s where nobody waits: 3.3 per second."""
    clips = half_seconds(tmp_path / "clips")
    given = (
        "load=dictation", "engine=null", "engine.rtf=0.8", "samples=dir", f"samples.dir={clips}", "workers=2",
        "load.think_s=1.5", "load.users=8", "load.turns=5", "validity=off", "trials=1", "trials_max=1",
        "fault=none,kill_worker", "fault.stays_dead=true", "monitor.interval=0.1", "-m",
    )  # fmt: skip
    begun = bench.start(*given, f"hydra.sweep.dir={bench.out}", bare=True)
    assert bench.finish(begun) == 0, bench.stderr
    whole, dead = bench.report()["configurations"]
    assert dead["fault"]["injected"] == 1 and dead["fault"]["unrecovered"] == 0  # nobody was to be back
    assert all(c["requests"]["identical"] == c["requests"]["total"] == 40 for c in (whole, dead))
    run = next(bench.out.glob("1-*"))
    [deed] = read_rows(run / "faults.csv")
    by = {row["worker"] for row in read_rows(run / "segments.csv") if row["started_s"] > deed["time_s"]}
    assert by == {1 - deed["worker"]}
    ended = max(row["final_s"] for row in read_rows(run / "requests.csv"))
    back = [row["time_s"] for row in read_rows(run / "workers.csv") if row["event"] == "ready"]
    assert not [at for at in back if deed["time_s"] < at < ended]
    p50 = [c["metrics"]["stop_to_text_p50_s"]["value"] for c in (whole, dead)]
    assert p50[1] > 1.5 * p50[0]
