"""load.repeats=auto: runs are long enough to be judged, all that is compared sends the same, and it is said before."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import trials, validity
from capsexp.compose import compose
from capsexp.config import Config, LoadConfig, ServerConfig
from capsexp.counts import counted
from capsexp.engines.null import NullConfig
from capsexp.errors import ConfigError
from capsexp.experiment.repeats import Pace, foretold, key, measured, settle
from capsexp.replay import line
from capsexp.results.report import Configuration, Reason, RunValidity, Validity
from capsexp.results.sweep import Repeats, read_plan
from tests.support import SLOW, values
from tests.support.bench import Bench
from tests.support.runs import DEFAULT, QUIET, run


def config(workers: Any = 1, load: LoadConfig | None = None, **more: Any) -> Config:
    return Config(workers=workers, engine=NullConfig(), load=load or LoadConfig(), **more)


references = st.builds(
    Pace, st.floats(0.001, 1000), st.floats(0, 4000), st.integers(1, 4), st.integers(1, 50), st.floats(0.1, 3600)
)  # seconds, CPU seconds, threads, samples, seconds of audio


@given(references, st.lists(st.integers(1, 16), min_size=1, max_size=4), st.integers(1, 64), st.floats(0.1, 60))
def test_the_fastest_takes_min_s_and_no_other_sends_less(
    reference: Pace, workers: list[int], cpus: int, min_s: float
) -> None:
    planned = [config(n, LoadConfig(min_s=min_s)) for n in workers]
    decided: dict[str, Repeats] = {}
    said: list[str] = []
    loads = [settle(c, reference, decided, planned, cpus, said.append) for c in planned]
    (repeats,) = {load.repeats for load in loads}
    assert len({load.concurrency for load in loads}) == len(decided) == len(said) == 1
    assert f"every sample {counted(repeats, 'time')} (" in said[0]
    rounds = [reference.round_s(c, cpus) for c in planned]
    assert repeats == 1 or max(rounds) * repeats <= 600 / 2  # of load.timeout
    if repeats < 600 / 2 / max(rounds) - 1:
        assert min(rounds) * repeats >= 0.999 * min_s
        assert repeats == 1 or min(rounds) * (repeats - 1) < 1.001 * min_s


def test_how_many_run_at_once_is_seen_from_the_cpu_they_use() -> None:
    busy, waiting = Pace(10.0, 10.0, 1, 4, 40.0), Pace(10.0, 0.1, 1, 4, 40.0)
    assert busy.round_s(config(8), cpus=2) == pytest.approx(5.0)
    assert waiting.round_s(config(8), cpus=2) == pytest.approx(1.25)
    wide = Pace(10.0, 20.0, 2, 4, 40.0)  # one process of two threads
    assert wide.round_s(config(1, threads=2), cpus=2) == pytest.approx(10.0)
    assert wide.round_s(config(1), cpus=2) == pytest.approx(10.0)


def test_what_is_decided_for_some_samples_is_not_for_others() -> None:
    decided: dict[str, Repeats] = {}
    first = config(load=LoadConfig(seg_duration=5.0))
    for one in (first, config()):
        settle(one, Pace(1.0, 1.0, 1, 4, 40.0), decided, [first, config()], 2, lambda line: None)
    assert len(decided) == 2


def test_numbers_that_were_given_are_kept_and_hours_cycle_anyway() -> None:
    reference, decided = Pace(1.0, 1.0, 1, 4, 40.0), dict[str, Repeats]()
    for load, hours in ((LoadConfig(repeats=3), None), (LoadConfig(), 1.0)):
        one = config(load=load, hours=hours)
        assert settle(one, reference, decided, [one], 2, pytest.fail) == load
    one = config(load=LoadConfig(concurrency=3))
    assert settle(one, reference, decided, [one], 2, lambda line: None).concurrency == 3


def test_without_a_reference_it_is_said_that_every_sample_is_sent_once() -> None:
    said: list[str] = []
    load = settle(config(), None, {}, [config()], 2, said.append)
    assert (load.repeats, len(said)) == (1, 1)
    assert "reference=off" in said[0] and "once" in said[0]


def test_a_load_that_cannot_be_done_in_time_is_foretold() -> None:
    slow = Pace(400.0, 400.0, 1, 4, 40.0)
    load = LoadConfig(repeats=2)
    warning = foretold(config(1, load), load, slow, 2)
    assert warning is not None and "about 800 s" in warning and "load.timeout=1200" in warning
    assert foretold(config(2, load), load, slow, 2) is None
    assert foretold(config(1, load, hours=1.0), load, slow, 2) is None  # each request has that time


@pytest.mark.parametrize("wrong", ["0", "-1", "1.5", "true", "often", "null"])
def test_what_is_no_number_of_repeats(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"load\.repeats"):
        compose([f"load.repeats={wrong}"])


def too_short(settings: Any = None, **more: Any) -> tuple[Reason, ...]:
    short = run(settings, **{"window_s": {"start": 0.0, "end": 0.3}, **more})
    return tuple(r for r in validity.reasons(short, QUIET, [], [], DEFAULT) if r.code == "TOO_SHORT")


def test_a_run_that_is_too_short_is_invalid_with_its_remedy_and_not_repeated() -> None:
    (found,) = too_short()
    assert found.reason == "the load took 0.30 s (limit 5 s); long enough is about load.repeats=21"
    settings = {"load": {"repeats": "auto", "min_s": 10.0}}
    assert too_short(settings, repeats=20)[0].remedy == "load.min_s=209"
    assert too_short(settings, repeats=1)[0].remedy == "load.repeats=21"  # what decided was no reference
    assert too_short({**settings, "hours": 0.0001})[0].remedy == "hours=0.00208"
    assert not too_short(status="interrupted")  # that is no length at all
    assert not validity.reasons(run(), QUIET, [], [], {"min_s": 5.0})

    def repeated(reason: Reason) -> list[tuple[str, int]]:
        runs = (RunValidity(num=0, trial=1, valid=False, reasons=(reason,)),)
        return trials.repeats([Configuration(key="workers=2", validity=Validity(invalid=1, runs=runs))], 10)

    assert repeated(found) == []
    assert repeated(Reason(code="OTHER_CPU", reason="hog")) == [("workers=2", 1)]


@pytest.mark.parametrize(
    ("server", "took", "repeats"),
    [
        (ServerConfig("external", url="ws://x:1"), 2.0, 50),  # five workers, where one was reckoned with
        (ServerConfig("command", cmd="s.py {port}"), 2.0, 50),
        (ServerConfig("command", cmd="s.py {port} {workers}"), 2.0, 10),  # it has as many as it was told
        (ServerConfig("local"), 2.0, 10),
        (ServerConfig("external", url="ws://x:1"), 7.0, 10),
        (ServerConfig("external", url="ws://x:1"), None, 10),
        (ServerConfig("external", url="ws://x:1"), 0.002, 50_000),
    ],
)
def test_the_first_run_of_a_server_with_untold_workers_says_how_long_it_takes(
    server: ServerConfig, took: float | None, repeats: int
) -> None:
    one = config(server=server)
    decided = {key(one): Repeats(repeats=10, concurrency=4)}
    said = measured(one, decided, took)
    assert decided == {key(one): Repeats(repeats=repeats, concurrency=4)}
    assert (said is None) == (repeats == 10)
    if said is not None:
        assert f"the run is repeated with every sample sent {repeats} times, about 10 s" in said


def test_what_one_worker_would_take_is_no_forecast_for_a_server_with_untold_workers() -> None:
    slow, load = Pace(40.0, 40.0, 1, 4, 400.0), LoadConfig(repeats=50)
    assert foretold(config(), load, slow, 2)
    assert foretold(config(server=ServerConfig("external", url="ws://x:1")), load, slow, 2) is None
    asked = config(load=load, server=ServerConfig("external", url="ws://x:1"))
    assert foretold(asked, load, slow, 2)  # a number that somebody gave, and nothing better to go by


def test_trials_auto_does_not_go_on_with_runs_that_are_too_short() -> None:
    short = (Reason(code="TOO_SHORT", reason=""),)
    found = values.counted(*(values.made_run(w, s, disturbed=short) for w, s in ((1, 10.0), (2, 5.0))))
    asked = trials.questions(found, {}, 0.05, None)
    assert (asked, trials.repeats(found, 10)) == ((), [])
    said = trials.outcome(found, asked, 10)
    assert said == "trials=auto stopped at 1 trial: runs are too short, and repeats would be, too"


def runs(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/run.json"))]


def test_runs_of_a_sweep_last_long_enough_and_are_resumed_as_they_were(bench: Bench) -> None:
    given = ("load.repeats=auto", "load.min_s=1.5", "engine.rtf=0.02", "workers=1,2")
    assert bench.run(*given, "-m") == 0, bench.stderr
    assert bench.stderr.count("load.repeats=auto: every sample") == 1
    made = runs(bench.out)
    (repeats,) = {r["repeats"] for r in made}
    # 41 s of audio, 0.82 s for one worker: four rounds are the least that keeps two workers at it for 1.5 s.
    assert 4 <= repeats <= 4 + SLOW
    assert [bench.figures(r).requests for r in made] == [4 * repeats] * 2
    assert all((bench.figures(r).makespan_s or 0) > 1.0 for r in made)
    replay = yaml.safe_load((next(bench.out.glob("0-*")) / "replay.yaml").read_text())
    assert replay["load"]["repeats"] == repeats
    asked = read_plan(bench.out)
    assert asked.repeats
    said = line(asked, bench.out, ["workers=1"])
    assert f"load.repeats={repeats}" in said  # the last word: what is given first was `auto`
    # Going on adds to what is there, with the same requests.
    assert bench.finish(bench.start(f"resume={bench.out}", "workers=1,2,3", "-m", bare=True)) == 0, bench.stderr
    assert "load.repeats=auto: every sample" not in bench.stderr
    assert {r["repeats"] for r in runs(bench.out)} == {repeats}
    assert len(runs(bench.out)) == 3
