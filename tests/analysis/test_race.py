"""Racing over the configurations of a sweep: who is out and since when, and what is run next. From values."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.analysis import blocks, race, recommend, settle, trials, verdicts
from capsexp.analysis.aggregate import Observed, configurations
from capsexp.results.report import Configuration, TrialsAsked
from capsexp.results.verdicts import Verdict
from tests.support import values
from tests.support.values import HOG, LIMITS, REFERENCES, RIGHT, made_run

TOLERANCE, MOST = 0.05, 10


class Sweep:
    """Runs as they come in: `makespans[workers]` of each trial, None where it has none."""

    def __init__(self, limits: Any = LIMITS, **makespans: tuple[float | None, ...]) -> None:
        self.runs: list[Observed] = []
        self.limits = limits
        for name, each in makespans.items():
            self.add(name, *each)

    def add(self, name: str, *makespans: float | None, **more: Any) -> None:
        for trial, makespan in enumerate(makespans, start=1):
            if makespan is not None:
                self.runs.append(made_run(int(name[1:]), makespan, trial=trial, **more))

    @property
    def configs(self) -> dict[str, Any]:
        return {one.run.key: one.run.config for one in self.runs}

    def raced(self) -> list[Configuration]:
        made = [replace(one, judged=one.judged or RIGHT) for one in self.runs]
        found = configurations(made, REFERENCES, self.limits, looks=True)
        speeds = blocks.speeds_of(made)
        return race.raced(found, self.configs, speeds, TOLERANCE, self.limits.get("speedup"), MOST)

    def out(self) -> dict[str, Any]:
        return {c.key: c.dropped for c in self.raced() if c.dropped}

    def next(self, wanted: int = 3) -> list[str]:
        found, speeds = self.raced(), blocks.speeds_of(self.runs)
        choices = recommend.choices(found, self.configs, TOLERANCE)
        asked = race.questions(found, self.configs, speeds, choices, TOLERANCE, wanted)
        assert all(one.race and "in the race, with " in one.why for one in asked)
        return [key for key, _ in trials.further(found, asked, MOST)]


def test_speeds_are_those_of_the_average_trial_whoever_was_in_which() -> None:
    speed, trial = {"a": 1.0, "b": 2.0, "c": 3.0}, {1: 1.0, 2: 1.3, 3: 0.8}
    made = {"a": (1, 2, 3), "b": (1, 3), "c": (2,)}
    found = blocks.fit({key: {t: speed[key] * trial[t] for t in of} for key, of in made.items()})
    average = math.exp(np.mean(np.log([*trial.values()])))
    for key in speed:
        value, ci95 = found.speed(key)
        assert value == pytest.approx(speed[key] * average)
        assert ci95 is not None and ci95[0] <= value * (1 + 1e-9) and ci95[1] >= value * (1 - 1e-9)
    assert found.degrees == 1 and found.noise == pytest.approx(0.0, abs=1e-9)
    assert found.log("d") == -math.inf
    assert found.ratio("a", "d", 0.95) is None


def test_one_run_of_each_tells_no_noise() -> None:
    found = blocks.fit({"a": {1: 1.0}, "b": {1: 2.0}, "c": {}})
    assert (found.keys, found.degrees) == (("a", "b"), 0)
    assert found.surely("b", "a", 0.5) == -math.inf
    assert found.ratio("b", "a", 0.95) is None
    assert found.speed("b") == (pytest.approx(2.0), None)
    assert blocks.fit({}).keys == ()


@given(st.integers(0, 10**6))
def test_its_intervals_hold_the_truth_as_often_as_they_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = 0
    for _ in range(20):
        shift = random.normal(0, 0.1, 3)
        runs = {k: {t: 2.0**k * math.exp(shift[t] + random.normal(0, 0.03)) for t in range(3)} for k in range(5)}
        del runs[0][1], runs[0][2]
        found = blocks.fit({str(key): own for key, own in runs.items()})
        gain = found.ratio("1", "0", 0.95)
        assert gain is not None
        held += gain[0] <= 2 <= gain[1]
    assert held >= 12  # of 20, where 19 are expected: less than one in a million


SLOW = {"w1": (10.0, 10.1), "w2": (5.0, 5.05), "w3": (4.95, 5.0), "w4": (9.0, 9.1), "w5": (8.0,), "w6": (20.0,)}


def test_who_surely_gains_too_little_is_out_after_one_run_and_has_failed() -> None:
    out = Sweep(**SLOW).out()
    assert {key: (one.trials, one.by) for key, one in out.items()} == {
        "workers=4": (2, None), "workers=5": (1, None), "workers=6": (1, None)
    }  # fmt: skip
    assert out["workers=6"].why.startswith("certainly gains less than 1.5x over workers=1: 0.")
    found = {c.key: c for c in Sweep(**SLOW).raced()}
    assert found["workers=6"].verdict == Verdict.NOT_FEASIBLE
    assert found["workers=2"].dropped is None


def test_who_is_surely_slower_than_another_is_out_and_not_judged() -> None:
    runs = {"w1": (30.0, 30.2), "w2": (10.0, 10.1), "w3": (5.0, 5.05), "w4": (5.02, 5.0), "w5": (9.0,)}
    sweep = Sweep(**runs)
    out = sweep.out()
    assert {key: (one.trials, one.by) for key, one in out.items()} == {
        "workers=2": (2, "workers=4"), "workers=5": (1, "workers=4")
    }  # fmt: skip
    assert out["workers=5"].why.startswith("certainly slower than workers=4, by ")
    found = sweep.raced()
    by_key = {c.key: c for c in found}
    assert by_key["workers=1"].dropped is None  # others are compared with it
    chosen = recommend.recommend(found, TOLERANCE)
    assert chosen and chosen.key == "workers=3" and not any("workers=2" in line for line in chosen.open)
    choices = recommend.choices(found, sweep.configs, TOLERANCE)
    assert not {"workers=2", "workers=5"} & {one.key for one in trials.questions(found, choices, TOLERANCE, 0.001)}
    assert settle.settle(found, 3, False, TrialsAsked(asked="auto", max=MOST)) is not None
    said = race.outcome(found)
    assert said and said.startswith("search=race dropped 2 of 5 configurations after 3 runs of them; ")


def test_what_was_dropped_for_another_decides_no_verdict() -> None:
    sweep = Sweep(w1=(30.0, 30.2, 30.1), w2=(10.0, 10.1), w3=(5.0, 5.05, 5.02))
    found = sweep.raced()
    assert [c.key for c in found if c.dropped] == ["workers=2"]
    assert verdicts.overall(found) == next(c.verdict for c in found if c.key == "workers=3") == Verdict.FEASIBLE


def test_who_was_beaten_by_one_that_then_fails_is_back() -> None:
    runs = {"w1": (30.0, 30.2), "w2": (10.0, 10.1), "w3": (5.0, 5.05)}
    assert "workers=2" in Sweep(**runs).out()
    sweep = Sweep(**runs)
    sweep.runs = [one for one in sweep.runs if one.run.workers != 3]
    sweep.add("w3", 5.0, 5.05, mb=9000.0)
    out = sweep.out()
    assert (list(out) == ["workers=3"] and out["workers=3"].why == "does not pass (memory_growth, peak_memory_mb)") or (
        out["workers=3"].why == "does not pass (peak_memory_mb)"
    )
    assert race.outcome(Sweep(w1=(10.0,)).raced()) is None


def test_a_run_that_failed_is_out_and_one_that_was_disturbed_is_not() -> None:
    sweep = Sweep(w1=(10.0, 10.1), w2=(5.0, 5.05))
    sweep.runs.append(made_run(3, None, figures=None, status="failed", error="it died"))
    sweep.runs.append(made_run(4, None, figures=None, status="refused", error="no room"))
    sweep.runs.append(made_run(5, 40.0, disturbed=HOG))
    out = sweep.out()
    assert {key: one.why for key, one in out.items()} == {
        "workers=3": "its run failed", "workers=4": "it was refused"
    }  # fmt: skip


def test_the_second_round_is_of_those_that_lead() -> None:
    one_each = Sweep(**{f"w{n}": (20.0 / n,) for n in range(1, 13)})
    assert one_each.next() == ["workers=1", "workers=9", "workers=10", "workers=11", "workers=12"]
    assert Sweep(w1=(10.0,), w2=(5.0,)).next() == ["workers=1", "workers=2"]


def test_later_rounds_are_of_what_may_still_be_the_one_to_run() -> None:
    sweep = Sweep(w1=(30.0, 30.2), w2=(15.0,), w3=(5.0, 5.05), w4=(5.02, 5.0), w5=(4.9,))
    assert sweep.next() == ["workers=1", "workers=3", "workers=4", "workers=5"] or "workers=2" not in sweep.next()
    assert sweep.next(wanted=2) == ["workers=5"]  # the others have had theirs
    assert Sweep(w1=(30.0,) * 3, w2=(15.0,) * 3).next() == []


def test_whom_nothing_can_bring_before_the_chosen_one_is_run_no_more() -> None:
    """As fast within one in a thousand, and bigger."""
    steady = {"w1": (20.0, 20.001), "w2": (5.0, 5.001), "w3": (5.001, 5.0)}
    assert Sweep(**steady).next() == ["workers=1", "workers=2"]
    noisy = {"w1": (20.0, 21.0), "w2": (5.0, 5.5), "w3": (5.3, 5.0)}
    assert "workers=3" in Sweep(**noisy).next()


def test_while_nothing_can_be_chosen_all_that_is_left_is_run() -> None:
    limits = {**LIMITS, "throughput_rtfx": 1e6}
    sweep = Sweep(limits, w1=(20.0, 20.1), w2=(10.0, 10.1))
    assert recommend.choices(sweep.raced(), sweep.configs, TOLERANCE) == {}


def test_in_a_race_verdicts_are_asked_of_the_one_to_run_and_gains_by_all_runs() -> None:
    sweep = Sweep(w1=(20.0, 20.2, 19.9), w2=(10.0, 12.5, 10.1), w3=(9.9, 10.0, 9.8), w4=(9.7, 9.9, 9.8))
    found, speeds = sweep.raced(), blocks.speeds_of(sweep.runs)
    choices = recommend.choices(found, sweep.configs, TOLERANCE)
    gains = race.gains(found, sweep.configs, speeds)
    raced = trials.questions(found, choices, TOLERANCE, None, gains)
    alone = trials.questions(found, choices, TOLERANCE, None)
    chosen = choices["workers=2"].chosen.key
    assert {one.key for one in raced if "speedup: " in one.why} <= {chosen}
    assert {one.key for one in alone if "speedup: " in one.why} >= {"workers=2"} - {chosen}
    assert all("workers=1" not in one.beside for one in raced if " times as fast as " in one.why)


def test_faults_and_loads_that_last_as_long_as_they_say_do_not_race() -> None:
    sweep = Sweep(w1=(30.0, 30.2), w3=(5.0, 5.05))
    tree = values.config(workers=2, fault={**values.config()["fault"], "name": "kill_worker"})
    sweep.add("w2", 25.0, 25.1, key="harmed", config=tree)
    assert "harmed" not in sweep.out()
    assert "harmed" in sweep.next()


def test_whose_requests_were_not_all_completed_is_out() -> None:
    sweep = Sweep(w1=(30.0, 30.2), w2=(5.0, 5.05))
    sweep.add("w3", 4.0)
    sweep.runs.append(made_run(3, None, trial=2))
    out = sweep.out()
    assert {key: one.why for key, one in out.items()} == {"workers=3": "does not pass (speedup)"}
