"""What recovers a plant and what does not, on values."""

import msgspec
import pytest

from capsexp.results.report import Configuration, Estimate, Wrong
from capsexp.selftest.judge import Judged, judge, lacking, proven
from capsexp.selftest.plant import Expected, Figure, Named, Plant
from capsexp.selftest.spelled import as_json, lines, summary
from tests.support.reports import of as report

TRIALS = Estimate(value=2.0, ci95=(1.98, 2.02), n=3, of="pairs")
SPEEDUP = Figure("speedup", 2.0, "twice as many", "speedup", "workers=2", "x", n=3)


def plant(*expected: Expected) -> Plant:
    return Plant("speeds", "two workers", "speedups", (), (1.0,), 1, expected)


def judged(expected: Expected, seen: Estimate | None, tag: str = "speedup") -> Judged:
    metrics = {} if seen is None else {tag: seen}
    return judge(plant(expected), report(Configuration(key="workers=2", metrics=metrics)), {})


def verdict(expected: Expected, seen: Estimate | None) -> str:
    (found,) = judged(expected, seen).findings
    return found.verdict


def test_a_figure_that_says_what_was_planted_recovers_it() -> None:
    assert judged(SPEEDUP, TRIALS).recovered


@pytest.mark.parametrize(("value", "low", "high"), [(1.5, 1.48, 1.52), (0.5, 0.49, 0.51), (2.2, 2.15, 2.25)])
def test_a_figure_that_is_off_is_caught(value: float, low: float, high: float) -> None:
    assert verdict(SPEEDUP, Estimate(value=value, ci95=(low, high), n=3, of="pairs")) == "off"


def test_no_interval_widens_what_is_allowed() -> None:
    assert verdict(SPEEDUP, Estimate(value=1.92, ci95=(1.7, 2.1), n=3, of="pairs")) == "within"
    assert verdict(SPEEDUP, Estimate(value=1.85, ci95=(1.7, 2.0), n=3, of="pairs")) == "off"
    leak = Figure("leak", 7200.0, "", "speedup", "workers=2", "MB/h", relative=0.06)  # the slope of one run
    assert verdict(leak, Estimate(value=7500.0, ci95=(7000.0, 7900.0), n=1)) == "within"
    assert verdict(leak, Estimate(value=8500.0, ci95=(7300.0, 9700.0), n=1)) == "off"
    assert verdict(leak, Estimate(value=7200.0, ci95=(5700.0, 8700.0), n=1)) == "vague"


def test_an_interval_so_wide_that_it_says_nothing_proves_nothing() -> None:
    assert verdict(SPEEDUP, Estimate(value=2.0, ci95=(1.2, 2.8), n=3, of="pairs")) == "vague"


def test_an_interval_over_requests_excuses_no_value_that_is_off() -> None:
    latency = Figure("latency", 2.0, "", "speedup", "workers=2", "s")
    assert verdict(latency, Estimate(value=1.7, ci95=(1.0, 2.8), n=66, of="requests")) == "off"
    assert verdict(latency, Estimate(value=1.95, ci95=(1.0, 2.8), n=66, of="requests")) == "within"


def test_a_value_without_an_interval_has_to_be_as_near_as_is_allowed() -> None:
    assert (
        verdict(Figure("peak", 100.0, "", "speedup", "workers=2", absolute=3), Estimate(value=107.9, n=3)) == "within"
    )
    assert verdict(Figure("peak", 100.0, "", "speedup", "workers=2", absolute=3), Estimate(value=108.1, n=3)) == "off"


@pytest.mark.parametrize("seen", [None, Estimate(n=3), msgspec.structs.replace(TRIALS, n=2)])
def test_what_was_not_seen_is_not_recovered(seen: Estimate | None) -> None:
    assert verdict(SPEEDUP, seen) == "not seen"
    assert not judged(SPEEDUP, seen).recovered


def test_a_configuration_that_is_not_there_shows_nothing() -> None:
    (found,) = judge(plant(SPEEDUP), report(), {}).findings
    assert found.verdict == "not seen"


def test_where_the_equipment_did_nothing_there_was_nothing_to_see() -> None:
    lost = Figure("lost", lambda report, account: account.get("cpu_s"), "", "speedup", "workers=2", least=True)
    assert verdict(lost, TRIALS) == "not seen"


def test_others_may_add_to_what_is_looked_at_from_one_side() -> None:
    lost = Figure("lost", 1.0, "", "speedup", "workers=2", relative=0.1, least=True)
    assert verdict(lost, Estimate(value=7.0, n=1)) == "within"
    assert verdict(lost, Estimate(value=0.8, n=1)) == "off"
    crowd = Figure("took", 1.0, "", "speedup", "workers=2", least=lambda report: bool(report.warnings))
    assert verdict(crowd, Estimate(value=7.0, n=1)) == "off"


def test_the_blank_is_taken_off() -> None:
    held = Figure("peak", 96.0, "", "peak_memory_mb", "holds", "MB", 0.03, beyond="blank")
    peaks = {"holds": 166.0, "blank": 70.0}
    rows = [Configuration(key=key, metrics={"peak_memory_mb": Estimate(value=mb, n=1)}) for key, mb in peaks.items()]
    assert judge(plant(held), report(*rows), {}).recovered
    assert not judge(plant(held), report(*rows[:1]), {}).recovered


def named(*samples: str) -> Judged:
    expected = Named("wrong", ("clip02.wav",), "", lambda report: [w.sample for w in report.configurations[0].wrong])
    wrong = tuple(Wrong(request=n, sample=sample, reason="") for n, sample in enumerate(samples))
    return judge(plant(expected), report(Configuration(key="workers=2", wrong=wrong)), {})


def test_whoever_is_named_has_to_be_the_one_and_no_other() -> None:
    assert named("clip02.wav").recovered
    for others in ((), ("clip03.wav",), ("clip02.wav", "clip03.wav")):
        assert not named(*others).recovered


def test_a_sweep_that_failed_proves_nothing_whatever_its_report_says() -> None:
    found = report(Configuration(key="workers=2", metrics={"speedup": TRIALS}))
    assert not judge(plant(SPEEDUP), found, {}, "exit code 1").recovered
    assert not judge(plant(SPEEDUP), None, {}).recovered


def test_nothing_that_was_looked_at_is_nothing_that_is_proven() -> None:
    assert not proven([])
    empty = judge(plant(), report(), {})
    assert lacking([empty]) == [empty]
    assert not proven([judged(SPEEDUP, TRIALS), empty])


def test_what_failed_is_told_with_what_it_means() -> None:
    off = judged(SPEEDUP, Estimate(value=0.5, ci95=(0.49, 0.51), n=3, of="pairs"))
    assert "NO" in lines(off)
    said = summary([off, judged(SPEEDUP, TRIALS)], [], 12.0)
    assert "1 of 2 figures" in said
    assert "Do not rely on\n  - speedups (plant speeds: speedup)" in said
    assert "-k speeds" in said
    assert "All 1 figure" in summary([judged(SPEEDUP, TRIALS)], [(plant(), "this system does not tell")], 12.0)


def test_the_json_says_the_same() -> None:
    found = as_json([judged(SPEEDUP, TRIALS), judged(SPEEDUP, None)], [], 12.0)
    assert not found["proven"]
    assert [one["recovered"] for one in found["plants"]] == [True, False]
    assert found["plants"][0]["doubt"] is None
    assert found["plants"][0]["findings"][0]["reported"] == 2.0
    msgspec.json.encode(found)
