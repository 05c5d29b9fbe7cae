from dataclasses import replace
from typing import Any

import pytest

from capsexp.analysis.cpu_speed import slowest, work_us
from capsexp.monitor.probes import Watch, speed
from capsexp.report import build
from capsexp.report.exporters.html.words import sentence
from capsexp.results.read import RunFiles
from tests.support.reports import a_run, a_sweep

WINDOW = 10.0, 20.0


def rows(*times: float, begin: float = 10.0) -> list[dict[str, Any]]:
    return [{"time_s": begin + n, "work_us": time} for n, time in enumerate(times)]


def test_the_mean_is_of_the_load_alone() -> None:
    assert work_us([*rows(900.0, begin=9.0), *rows(200.0, 300.0, 400.0), *rows(900.0, begin=21.0)], WINDOW) == 300.0


@pytest.mark.parametrize("found", [[], rows(200.0, 300.0), [{"time_s": 11.0, "work_us": None}] * 9])
def test_too_few_looks_say_nothing(found: list[dict[str, Any]]) -> None:
    assert work_us(found, WINDOW) is None and work_us(rows(1.0, 1.0, 1.0), None) is None


def test_runs_of_one_configuration_are_compared_and_no_others() -> None:
    assert slowest({"a": [200.0, 210.0, 220.0], "b": [400.0, 410.0]}) is None
    assert slowest({"a": [200.0, 250.0], "b": [400.0, 800.0], "c": [9.0]}) == ("b", 2.0)
    assert slowest({}) is None and slowest({"a": [0.0, 0.0]}) is None


def timed(trial: int, work: float, disturbed: float = 0) -> RunFiles:
    return replace(a_run(1, 10.0, trial=trial, disturbed=disturbed), speed=rows(*[work] * 9, begin=0.5))


def warned(*files: RunFiles) -> list[str]:
    return [said for said in build.assemble(a_sweep(files)).warnings if "fixed work" in said]


def test_a_report_says_that_the_cpus_themselves_were_slower_and_of_which_runs() -> None:
    [said] = warned(timed(1, 200.0), timed(2, 300.0), timed(3, 220.0))
    assert said.startswith("workers=1: the same fixed work took the CPU 1.50 times as long in one run as in another")
    assert "1.50" in sentence(said).zh != said
    assert not warned(timed(1, 200.0), timed(2, 220.0))
    assert not warned(timed(1, 200.0), timed(2, 300.0, disturbed=99))  # it was left out for what disturbed it


def test_the_work_is_timed_by_the_cpu_time_that_it_takes() -> None:
    source = speed.start(Watch({}, None))
    [first], [second] = source.look(0.0, []), source.look(1.0, [])
    assert 0 < min(first["work_us"], second["work_us"]) < 100_000
    source.close()
