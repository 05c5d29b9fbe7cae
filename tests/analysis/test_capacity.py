"""The search for a capacity: what passes, what fails, what is tried next, and whether the band holds the truth."""

import random
from dataclasses import replace
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsexp.analysis.capacity import TEXTS, Band, Probe, Rule, Stretch, band, bounds, decide, next_load
from capsexp.results.verdicts import Reading

PASS, FAIL, OPEN = Reading.PASS, Reading.FAIL, Reading.INCONCLUSIVE
SLO = "stop_to_text_p95_s"
RULE = Rule({SLO: 0.05})


def probe(load: int, *late: int, of: int = 50, trials: int = 1, wrong: int = 0) -> Probe:
    return Probe(load, trials, {SLO: tuple(Stretch(of, count) for count in late)}, wrong)


GOOD, BAD = (0, 0, 0, 0), (50, 50, 50, 50)


def test_a_load_passes_or_fails_when_chance_cannot_have_made_it() -> None:
    assert decide(probe(4, *GOOD), RULE) == PASS
    assert decide(probe(4, *BAD), RULE) == FAIL
    assert decide(probe(4, 0, of=20), RULE) == OPEN  # 20 requests in time say nothing of 1 in 20
    assert decide(probe(4, 2, 3, 2, 3), RULE) == OPEN  # just at the limit
    assert decide(probe(4, *GOOD, wrong=1), RULE) == FAIL  # in time, and not right


@given(st.integers(1, 400), st.integers(0, 400))
def test_the_bounds_are_the_exact_ones_of_a_proportion(requests: int, late: int) -> None:
    late = min(late, requests)
    low, high = bounds([Stretch(requests, late)], 0.05)
    assert 0 <= low <= late / requests <= high <= 1
    if late < requests:  # as few would be seen once in twenty
        at_most = sum(comb(requests, k) * high**k * (1 - high) ** (requests - k) for k in range(late + 1))
        assert at_most == pytest.approx(0.05, rel=1e-4)
    if late:
        at_least = 1 - sum(comb(requests, k) * low**k * (1 - low) ** (requests - k) for k in range(late))
        assert at_least == pytest.approx(0.05, rel=1e-4)


def test_requests_that_are_late_together_are_worth_fewer() -> None:
    apart, together = bounds([Stretch(50, 5)] * 8, 0.05), bounds([Stretch(50, 40), *[Stretch(50, 0)] * 7], 0.05)
    assert together[0] < apart[0] and together[1] > apart[1]
    assert bounds([Stretch(50, 20), Stretch(50, 0)], 0.05) == bounds([Stretch(50, 10)] * 2, 0.05)  # too few to tell


def test_each_look_has_less_of_the_risk() -> None:
    """A probe that just passes at its first look would not with the same requests at its third."""
    just = probe(4, 0, 0, 0, 0, of=22)
    assert decide(just, RULE) == PASS and decide(replace(just, trials=3), RULE) == OPEN
    assert decide(just + just + just, RULE) == PASS


def tried(*loads: tuple[int, str]) -> list[Probe]:
    made = {PASS: GOOD, FAIL: BAD, OPEN: (2, 3, 2, 3)}
    return [
        replace(probe(load, *made[verdict]), trials=RULE.looks if verdict == OPEN else 2) for load, verdict in loads
    ]


@pytest.mark.parametrize(
    ("loads", "following"),
    [
        ([], 1), ([(1, PASS)], 2), ([(1, PASS), (2, PASS)], 4),  # doubling
        ([(1, PASS), (2, PASS), (4, PASS), (8, FAIL)], 6),  # bisection
        ([(4, PASS), (6, FAIL), (8, FAIL)], 5), ([(4, PASS), (5, FAIL)], None),
        ([(1, FAIL)], None),  # not even one
        ([(8, PASS), (12, OPEN), (16, FAIL)], 14), ([(8, PASS), (12, OPEN), (14, FAIL)], 10),
        ([(8, PASS), (10, OPEN), (12, OPEN), (13, FAIL)], 9),  # what is between two open ones tells nothing
        ([(8, PASS), (9, OPEN), (12, OPEN), (13, FAIL)], None),
        ([(8, PASS), (16, OPEN)], 32),  # what is open bounds nothing
        ([(4096, PASS)], None), ([(2048, PASS), (4096, OPEN)], 3072), ([(3000, PASS)], 4096),
    ],
)  # fmt: skip
def test_what_is_tried_next(loads: list[tuple[int, str]], following: int | None) -> None:
    assert next_load(tried(*loads), RULE) == following


def test_what_is_open_is_tried_again_and_what_passed_is_confirmed() -> None:
    open_ = [probe(2, *GOOD), probe(4, 2, 3, 2, 3, trials=5), probe(8, *BAD)]
    assert next_load(open_, RULE) == 4
    found = [probe(4, *GOOD, trials=1), probe(5, *BAD)]
    assert next_load(found, RULE) == 4 and not band(found, RULE).resolved
    assert next_load([found[0] + found[0], found[1]], RULE) is None


def test_the_band_is_the_last_that_passed_the_first_that_failed_and_what_binds() -> None:
    assert band(tried((4, PASS), (5, FAIL)), RULE) == Band(4, 5, SLO, True)
    assert band(tried((1, FAIL)), RULE) == Band(0, 1, SLO, True)
    assert band(tried((8, PASS), (9, OPEN), (10, FAIL)), RULE) == Band(8, 10, SLO, False)
    assert band(tried((4096, PASS)), RULE) == Band(4096, None, None, False)
    assert band(tried((4, PASS), (8, FAIL), (16, PASS)), RULE).feasible_max == 4  # luck beyond what failed
    wrong = [*tried((4, PASS)), probe(5, *GOOD, trials=2, wrong=1)]
    assert band(wrong, RULE) == Band(4, 5, TEXTS, True)
    wide = replace(RULE, precision=0.25)
    assert band(tried((8, PASS), (10, FAIL)), wide) == Band(8, 10, SLO, True)


def test_of_several_slos_the_one_that_is_missed_by_most_binds() -> None:
    both = Rule({"within 1 s": 0.05, "within 5 s": 0.05})

    def probed(load: int, strict: int, mild: int) -> Probe:
        return Probe(load, 2, {"within 1 s": (Stretch(50, strict),) * 4, "within 5 s": (Stretch(50, mild),) * 4})

    assert band([probed(4, 0, 0), probed(5, 50, 0)], both) == Band(4, 5, "within 1 s", True)
    assert band([probed(4, 0, 0), probed(5, 10, 50)], both).binding == "within 5 s"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 10_000))
def test_the_search_ends_and_holds_a_truth_that_is_plain(truth: int, seed: int) -> None:
    """A server of which nobody is late up to there, and half are beyond."""
    chance, probes = random.Random(seed), dict[int, Probe]()
    rule = Rule({SLO: 0.05}, most=256)
    for _ in range(60):
        load = next_load(list(probes.values()), rule)
        if load is None:
            break
        late = [sum(chance.random() < 0.5 for _ in range(25)) if load > truth else 0 for _ in range(8)]
        found = probe(load, *late, of=25)
        probes[load] = probes[load] + found if load in probes else found
    found_band = band(list(probes.values()), rule)
    assert next_load(list(probes.values()), rule) is None
    assert found_band.feasible_max == min(truth, 256)
    assert found_band.infeasible_min == (truth + 1 if truth < 256 else None)
