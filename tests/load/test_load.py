"""When requests begin and how their audio is sent: the same for the same seeds, and what was asked for."""

import math
from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import getitem
from statistics import mean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsexp.compose import compose
from capsexp.errors import ConfigError
from capsexp.load import LOADS, Clip, Given, Plan, Turn, plan, shortest_s
from capsexp.load.pacing import BURST, REALTIME, Lateness, packets
from capsexp.load.seeds import Seeds, spread

CLIPS = tuple(Clip(f"s{n}", 2.0 + n) for n in range(5))
SEEDS = st.integers(0, 2**32)


def planned(name: str, clips: tuple[Clip, ...] = CLIPS, text: str = "", trial: int = 1, **own: Any) -> Plan:
    load = LOADS.settings(name)(**{"timeout": 1e6, **own})
    assert list(load.problems()) == []
    return plan(load, Given(clips, Seeds.of(load, trial), text))


def by_user(turns: tuple[Turn, ...]) -> dict[int, list[Turn]]:
    found: dict[int, list[Turn]] = defaultdict(list)
    for turn in turns:
        found[turn.user].append(turn)
    return found


def test_ours() -> None:
    assert LOADS.ours() == ["all", "closed", "dictation", "mixed", "rate", "schedule", "stages"]
    assert [name for name in LOADS.ours() if LOADS.settings(name).counted] == ["all", "closed"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("all", "repeats"), ("closed", "repeats"), ("dictation", "turns"), ("rate", "duration_s"), ("stages", "step_s"),
        ("mixed", "classes.mic.turns"), ("schedule", None),
    ],
)  # fmt: skip
def test_what_makes_a_load_longer_is_a_setting_that_it_takes(name: str, key: str | None) -> None:
    own: dict[str, Any] = vars(LOADS.settings(name)())
    found = LOADS.settings(name).longer(own, 3.0)
    assert (found and found[0]) == key
    if found is not None:
        *group, last = found[0].split(".")
        changed = deepcopy(own)
        reduce(getitem, group, changed)[last] = found[1]
        turns = [by_user(planned(**given)) for given in (own, changed)]
        asked, more = (sum(len(each) for each in users.values() if each[0].kind != "file") for users in turns)
        assert 2 * asked < more < 4 * asked


@given(st.sampled_from(["all", "closed"]), st.integers(1, 4), SEEDS, st.integers(1, 3))
def test_every_sample_so_often_and_at_once(name: str, repeats: int, seed: int, trial: int) -> None:
    found = planned(name, repeats=repeats, seed=seed, trial=trial)
    assert sorted(turn.clip for turn in found) == sorted(list(range(5)) * repeats)
    assert {turn.wait_s for turn in found} == {None}
    assert len(by_user(found)) == 5 * repeats  # nobody waits for anybody, but for a place
    assert {turn.places for turn in found} == {4 if name == "closed" else 0}
    assert found == planned(name, repeats=repeats, seed=seed, trial=trial)


def test_the_order_of_before_there_were_other_loads() -> None:
    """Of a seed and a trial; a resumed sweep sends what it sent."""
    assert [turn.clip for turn in planned("all", repeats="auto")] == [0, 1, 2, 3, 4]
    assert [turn.clip for turn in planned("all", repeats=1, seed=7, trial=2)] == [3, 0, 4, 2, 1]
    assert planned("all", repeats=2, seed=6, trial=3) == planned("all", repeats=2, seed=8)


@pytest.mark.parametrize(
    ("process", "cv", "spread_of_gaps"),
    [("constant", 1.0, 0.0), ("poisson", 3.0, 1.0), ("gamma", 0.5, 0.5), ("gamma", 2.0, 2.0)],
)
def test_arrivals_have_the_rate_and_the_spread_that_were_asked_for(
    process: str, cv: float, spread_of_gaps: float
) -> None:
    times = [turn.wait_s for turn in planned("rate", rate=5.0, duration_s=2000.0, process=process, cv=cv)]
    gaps = [b - a for a, b in pairwise([0.0, *times])]
    assert mean(gaps) == pytest.approx(0.2, rel=0.05)
    assert pstdev(gaps) / mean(gaps) == pytest.approx(spread_of_gaps, abs=0.12)
    assert times == sorted(times) and times[-1] < 2000


@given(SEEDS, st.floats(0.5, 20.0))
def test_offered_rtfx_is_audio_per_second(seed: int, rtfx: float) -> None:
    found = planned("rate", rate=rtfx, unit="rtfx", process="constant", duration_s=200.0, seed=seed)
    audio = sum(CLIPS[turn.clip].duration_s for turn in found)
    assert audio / 200 == pytest.approx(rtfx, abs=2 * max(clip.duration_s for clip in CLIPS) * 5 / 200)


@given(SEEDS, SEEDS, SEEDS)
def test_each_chance_has_a_seed_of_its_own(order: int, arrival: int, think: int) -> None:
    one = planned("rate", seed=order, arrival_seed=arrival, think_seed=think, rate=1.0, duration_s=30)
    same_times = planned("rate", seed=order + 1, arrival_seed=arrival, think_seed=think + 1, rate=1.0, duration_s=30)
    assert [turn.wait_s for turn in one] == [turn.wait_s for turn in same_times]
    same_order = planned("rate", seed=order, arrival_seed=arrival + 1, rate=1.0, duration_s=30)
    assert all(a.clip == b.clip for a, b in zip(one, same_order, strict=False))
    assert [turn.wait_s for turn in one] != [turn.wait_s for turn in same_order]
    talk = [planned("dictation", seed=order, arrival_seed=arrival, think_seed=t) for t in (think, think + 1)]
    assert [t.clip for t in talk[0]] == [t.clip for t in talk[1]] and talk[0] != talk[1]
    firsts = [[turns[0] for turns in by_user(found).values()] for found in talk]
    assert firsts[0] == firsts[1]


@given(st.lists(st.floats(0.2, 20.0), min_size=1, max_size=5), st.floats(5.0, 60.0), SEEDS)
def test_a_ramp_goes_step_by_step(rates: list[float], step_s: float, seed: int) -> None:
    own = {"step_s": step_s, "arrival_seed": seed, "process": "constant"}
    if not any(rate * step_s > 1 for rate in rates):
        with pytest.raises(ConfigError, match=r"^load=stages: nothing arrives"):
            planned("stages", rates=rates, **own)
        return
    found = planned("stages", rates=rates, **own)
    for turn in found:
        assert turn.step is not None and (turn.step - 1) * step_s <= turn.wait_s < turn.step * step_s + 1e-9
    for step, rate in enumerate(rates, start=1):
        assert sum(turn.step == step for turn in found) == pytest.approx(rate * step_s, abs=1.01)


def test_another_rate_before_it_changes_no_time_of_a_step() -> None:
    one, other = (planned("stages", rates=[rate, 4.0], step_s=10.0) for rate in (1.0, 2.0))
    assert [t.wait_s for t in one if t.step == 2] == [t.wait_s for t in other if t.step == 2]


ROWS = st.lists(st.tuples(st.floats(-1e4, 1e4), st.sampled_from([clip.name for clip in CLIPS])), min_size=1)


@given(ROWS, st.floats(0.1, 10.0))
def test_a_recorded_day_comes_again_at_another_speed(rows: list[tuple[float, str]], speed: float) -> None:
    text = "sample,due_s,more\n" + "".join(f"{name},{at!r},x\n" for at, name in rows)
    found = planned("schedule", text=text, speed=speed, csv="x")
    first = min(at for at, _ in rows)
    assert [t.wait_s for t in found] == pytest.approx(sorted((at - first) / speed for at, _ in rows), abs=1e-6)
    assert sorted(CLIPS[t.clip].name for t in found) == sorted(name for _, name in rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "load.csv: no row says when a request is due"),
        ("due_s,sample\n,s1\n", "load.csv: no row says when a request is due"),
        ("due_s,sample\n1,s1\nsoon,s2\n", "load.csv: line 3: due_s is 'soon'"),
        ("due_s,sample\nnan,s1\n", "load.csv: line 2: due_s is 'nan'"),
        ("due_s,sample\n1,s77\n", "load.csv: no sample is named 's77'; valid: s0"),
        ("due_s,sample\n1,s1\n3000000,s1\n", "load.csv: the last request is due after 3e"),
        ("due_s\n" + "1" * 200_000, "load.csv: field larger than field limit"),
    ],
)  # fmt: skip
def test_a_table_that_is_none(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        planned("schedule", text=text, csv="x")
    assert str(told.value).startswith(said)


def test_samples_that_a_table_does_not_name_are_taken_in_turn() -> None:
    assert [turn.clip for turn in planned("schedule", text="due_s\n1\n3\n2\n", csv="x")] == [0, 1, 2]


@given(st.integers(1, 40), st.integers(1, 5), st.floats(0, 20), SEEDS, SEEDS)
def test_one_more_user_changes_none_of_the_others(users: int, turns: int, think: float, seed: int, order: int) -> None:
    own = {"turns": turns, "think_s": think, "think_seed": seed, "seed": order}
    few, more = (by_user(planned("dictation", users=n, **own)) for n in (users, users + 1))
    assert {user: more[user] for user in few} == few and len(more) == users + 1
    assert all(len(one) == turns and {t.pacing for t in one} == {REALTIME} for one in more.values())


def test_users_begin_spread_over_a_turn_and_think_as_long_as_was_said() -> None:
    found = by_user(planned("dictation", users=64, turns=50, think_s=4.0))
    turn_s = mean(clip.duration_s for clip in CLIPS) + 4.0
    firsts = sorted(one[0].wait_s for one in found.values())
    assert max(b - a for a, b in pairwise([*firsts, firsts[0] + turn_s])) <= 2.01 * turn_s / 64
    assert mean(t.wait_s for one in found.values() for t in one[1:]) == pytest.approx(4.0, rel=0.05)
    assert len({tuple(t.clip for t in one[:3]) for one in found.values()}) == 5  # not all of them the same at once


def test_a_load_that_cannot_end_in_time() -> None:
    with pytest.raises(ConfigError, match=r"^load\.turns: 4 turns take \d+ s or more, no less than load\.timeout=9; "):
        plan(LOADS.settings("dictation")(timeout=9.0), Given(CLIPS))


MIX = {
    "mic": {"name": "dictation", "users": 2, "turns": 3, "up_to_s": 4},
    "file": {"name": "closed", "concurrency": 1, "repeats": 2, "from_s": 4.5},
}


def test_classes_have_their_own_loads_samples_and_places() -> None:
    found = planned("mixed", classes=MIX)
    mic, file = ([turn for turn in found if turn.kind == kind] for kind in ("mic", "file"))
    assert {turn.clip for turn in mic} == {0, 1, 2} and {turn.pacing for turn in mic} == {REALTIME}
    assert sorted(turn.clip for turn in file) == [3, 3, 4, 4] and {turn.pacing for turn in file} == {BURST}
    assert {turn.places for turn in mic} == {0} and {turn.places for turn in file} == {1}
    assert not {turn.user for turn in mic} & {turn.user for turn in file}
    alone = planned("mixed", classes={"mic": MIX["mic"]})
    assert [t for t in alone if t.kind == "mic"] == mic  # whatever else there is
    one, other = (planned("mixed", classes={name: MIX["mic"]}, seed=1) for name in ("a", "b"))
    assert [t.clip for t in one] != [t.clip for t in other]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["load.pacing=fast"], "load.pacing: unknown value 'fast'; valid: burst, realtime"),
        (["load=closed", "load.concurrency=0"], "load.concurrency: 0 is below 1; load=closed has at least 1 request"),
        (["load=rate", "load.repeats=2"], "load.repeats: load=rate says itself how many"),
        (["load=rate", "load.concurrency=2"], "load.concurrency: 2 is above 0; with load=rate"),
        (["load=rate", "load.process=poison"], "load.process: unknown value 'poison'; did you mean 'poisson'?"),
        (["load=rate", "load.unit=x"], "load.unit: unknown value 'x'; valid: requests, rtfx"),
        (["load=rate", "load.rate=0"], "load.rate: 0.0 is not above 0"),
        (["load=rate", "load.duration_s=700"], "load.duration_s: 700 s is no less than load.timeout=600"),
        (["load=rate", "hours=1"], "hours: load=rate has a duration of its own"),
        (["load=stages", "load.rates=[]"], "load.rates: give the rate of each step"),
        (["load=stages", "load.rates=[0]"], "load.rates: 0.0 is not above 0"),
        (["load=stages", "load.step_s=300"], "load.step_s: all steps take 900 s"),
        (["load=schedule"], "load.csv: give the table"),
        (["load=schedule", "load.csv=x", "load.concurrency=1"], "load.concurrency: 1 is above 0; with load=schedule"),
        (["load=dictation", "load.users=0"], "load.users: 0 is below 1"),
        (["load=dictation", "load.concurrency=3"], "load.concurrency: 3 is above 0; load=dictation has load.users"),
        (["load=dictation", "load.user=3"], "load.user: unknown key; did you mean 'load.users'?"),
        (["load=mixed", "load.classes.mic=null", "load.classes.file=null"], "load.classes: there is none"),
        (["load=mixed", "load.concurrency=3"], "load.concurrency: 3 is above 0; with load=mixed"),
        (["load=mixed", "load.classes.mic.users=0"], "load.classes.mic.users: 0 is below 1"),
        (["load=mixed", "load.classes.mic.users=x"], "load.classes.mic.users: "),
        (["load=mixed", "load.classes.mic.user=1"], "load.classes.mic.user: unknown key; did you mean 'users'?"),
        (["load=mixed", "+load.classes.mic.seed=1"], "load.classes.mic.seed: unknown key; it is the whole load's"),
        (["load=mixed", "load.classes.mic.from_s=x"], "load.classes.mic: from_s and up_to_s are seconds"),
        (["load=mixed", "load.classes.mic=3"], "load.classes.mic.name: say which load it is"),
        (["load=mixed", "load.classes.mic.name=mixed"], "load.classes.mic.name: load=mixed cannot be a class"),
        (["load=mixed", "load.classes.mic={name: schedule}"], "load.classes.mic.name: load=schedule cannot be a class"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        compose(given)
    assert str(told.value).startswith(said) and "\n" not in str(told.value)


def test_what_only_the_samples_tell() -> None:
    with pytest.raises(ConfigError, match=r"^load=rate: nothing arrives in that time"):
        planned("rate", rate=0.01, duration_s=1.0, process="constant")
    with pytest.raises(ConfigError, match=r"^load\.unit: samples without audio make no rtfx"):
        planned("rate", unit="rtfx", clips=(Clip("a", 0.0),))
    with pytest.raises(ConfigError, match=r"^load\.classes\.mic: no sample lasts between 0 and 1 s"):
        planned("mixed", classes={"mic": {**MIX["mic"], "up_to_s": 1}})


@given(st.integers(0, 5000), st.integers(1, 700))
def test_packets_hold_all_of_the_audio_when_it_was_spoken(samples: int, size: int) -> None:
    for pacing in (BURST, REALTIME):
        found = list(packets(samples, size, 1000, pacing))
        assert (found[0].start, found[-1].end) == (0, samples)
        assert all(one.end == two.start and one.end - one.start == size for one, two in pairwise(found))
        assert all(p.due_s is None if pacing == BURST else p.due_s == p.end / 1000 for p in found)


SENDS = st.lists(st.tuples(st.floats(0, 0.3), st.sampled_from([0.0, 0.0002, 0.02, 0.4])), min_size=1, max_size=30)


@given(SENDS)
def test_what_the_connection_does_not_take_is_no_lateness_of_ours(sends: list[tuple[float, float]]) -> None:
    """A client that takes up each packet as soon as it is due and the one before is gone."""
    for stall in (False, True):
        late, now, held = Lateness(), 0.0, 0.0
        found = []
        for number, (slow, took) in enumerate(sends):
            due = 0.05 * (number + 1)
            began = max(now, due) + (slow if stall else 0.0)
            now = began + took
            held += took
            found.append((slow, late.of(due, began, now)))
        if not stall:
            assert max(own for _, own in found) <= 0.0002 * len(sends) + 1e-9
        else:
            assert all(own >= slow - 0.0002 * len(sends) - 1e-9 for slow, own in found)


def test_a_packet_that_waits_behind_our_own_is_late_by_us() -> None:
    late = Lateness()
    assert late.of(1.0, 1.5, 1.5) == 0.5  # we stood still
    assert late.of(1.05, 1.5, 1.5) == pytest.approx(0.45)  # and this one waited behind it
    assert late.of(1.6, 1.6, 2.0) == 0.0  # the connection was full
    assert late.of(1.65, 2.0, 2.0) == 0.0
    assert late.of(2.1, 2.4, 2.6) == pytest.approx(0.3)  # both: it would have been free at 2.3
    assert late.of(2.15, 2.6, 2.6) == pytest.approx(0.3)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_points_are_spread_however_many_there_are(count: int) -> None:
    points = sorted(spread(n) for n in range(count + 1))
    assert all(0 <= p < 1 for p in points) and len(set(points)) == count + 1
    widest = max(b - a for a, b in pairwise([*points, 1 + points[0]]))
    assert widest <= 2 ** -math.floor(math.log2(count + 1))


def test_nothing_of_ours_reads_a_clock_or_a_file() -> None:
    load = LOADS.settings("mixed")(classes=MIX)
    assert plan(load, Given(CLIPS)) == plan(replace(load), Given(CLIPS))


def test_a_load_lasts_at_least_as_long_as_its_busiest_user_waits_and_speaks() -> None:
    speaks = Turn(clip=0, wait_s=1.0, pacing=REALTIME)  # 2 s
    turns = (
        speaks,
        replace(speaks, clip=1, wait_s=2.0),
        replace(speaks, user=1, clip=4),
        Turn(kind="file", wait_s=5.0),
    )
    assert shortest_s(turns, CLIPS) == (1 + 2) + (2 + 3)
    assert shortest_s((), CLIPS) == 0
    two_at_once = planned("closed", pacing=REALTIME, concurrency=2)
    assert shortest_s(two_at_once, CLIPS) == sum(clip.duration_s for clip in CLIPS) / 2
    arrivals = planned("rate", rate=2.0, duration_s=30.0)
    assert 25 < shortest_s(arrivals, CLIPS) <= 30
