"""Simulated servers against what queueing theory and plain reckoning say of them."""

from __future__ import annotations

import math
from statistics import mean

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from capsexp.config.server import DISPATCH, SCHEDULES
from capsexp.load import Clip, Given, LoadConfig, Turn, plan
from capsexp.load.arrivals import all as all_at_once
from capsexp.load.arrivals import closed, dictation, rate
from capsexp.load.seeds import Seeds
from capsexp.protocol import RATE
from capsexp.segments import Cut, Cutter
from capsexp.simulation import Outage, Outcome, Server, simulate
from capsexp.simulation.server import GatewayQueue, Service, pieces, samples_of

MINUTES = (Clip("a", 2.0), Clip("b", 20.0), Clip("c", 61.0))
SHORT = (Clip("short", 5.0),)


def takes(seconds: float) -> Service:
    return lambda audio_s, new_s, chance: seconds


def of_new(share: float) -> Service:
    return lambda audio_s, new_s, chance: share * new_s


def at(load: LoadConfig, server: Server, clips: tuple[Clip, ...] = SHORT, seed: int = 0) -> Outcome:
    return simulate(server, clips, plan(load, Given(clips, Seeds(arrivals=seed, think=seed))), load, seed)


def erlang_c(workers: int, offered: float) -> float:
    """The share of arrivals that wait in M/M/c (Erlang, 1917)."""
    last = offered**workers / math.factorial(workers) * workers / (workers - offered)
    return last / (sum(offered**k / math.factorial(k) for k in range(workers)) + last)


def test_arrivals_by_chance_wait_as_long_as_erlang_says() -> None:
    load = rate.Settings(rate=3.2, duration_s=6_000, timeout=1e9)
    found = at(load, Server(4, lambda audio_s, new_s, chance: chance.expovariate(1.0)))
    expected = erlang_c(4, 3.2) / (4 - 3.2)
    assert mean(found.queue_wait_s) == pytest.approx(expected, rel=0.15)
    assert found.worker_use == pytest.approx(0.8, rel=0.02)


def test_one_worker_of_fixed_time_keeps_them_waiting_as_pollaczek_and_khinchine_say() -> None:
    load = rate.Settings(rate=0.7, duration_s=20_000, timeout=1e9)
    found = at(load, Server(1, takes(1.0)))
    assert mean(found.queue_wait_s) == pytest.approx(0.7 / (2 * (1 - 0.7)), rel=0.1)


def test_a_burst_takes_what_its_work_takes() -> None:
    load = all_at_once.Settings(repeats=6)
    assert at(load, Server(3, takes(2.0))).makespan_s == pytest.approx(4.0)
    assert at(load, Server(4, takes(2.0))).makespan_s == pytest.approx(4.0)  # six of them on four
    assert at(load, Server(6, takes(2.0), ingest_s=0.1, delivery_s=0.2)).makespan_s == pytest.approx(2.3)


def test_so_many_at_a_time_and_the_next_when_one_has_its_text() -> None:
    load = closed.Settings(repeats=6, concurrency=2)
    found = at(load, Server(6, takes(1.0), delivery_s=0.5))
    assert found.makespan_s == pytest.approx(4.5)
    assert [r.start_s for r in found.requests] == pytest.approx([0, 0, 1.5, 1.5, 3, 3])


def test_who_dictates_is_heard_when_the_last_packet_was_due() -> None:
    load = dictation.Settings(users=1, turns=3, think_s=2.0)
    found = at(load, Server(1, takes(0.5), gateway_s=0.001, delivery_s=0.1))
    assert found.times("stop_to_text") == pytest.approx([0.6 + 0.05 * 0.001] * 3)
    assert found.times("latency") == pytest.approx(found.times("stop_to_text"))
    first, second = found.requests[:2]
    assert first.final_s is not None and second.due_s > first.final_s  # and after a thought


def test_a_long_dictation_is_begun_while_it_is_spoken() -> None:
    clips = (Clip("long", 40.0),)
    load = dictation.Settings(users=1, turns=1, think_s=0.0)
    found = at(load, Server(1, of_new(0.1)), clips)
    # 15 + 2 x 2 s are needed for the first segment, 15 more for the second; the rest, of which 2 s were heard before.
    assert found.times("stop_to_text") == pytest.approx([0.1 * (40 - 30 - 2)])


def test_workers_beside_each_other_are_slower() -> None:
    load = all_at_once.Settings(repeats=4)
    alone, both = (at(load, Server(2, takes(1.0), slowdown=(1.0, 1.0, slow))) for slow in (1.0, 1.5))
    assert alone.makespan_s == pytest.approx(2.0)
    # The first begins while it is alone, and keeps its time; then there are always two at work.
    assert both.makespan_s is not None and 2.5 <= both.makespan_s <= 3.5


def test_a_gateway_that_has_no_time_left_is_what_binds() -> None:
    load = dictation.Settings(users=20, turns=5, think_s=1.0)
    fine, late = (at(load, Server(20, takes(0.1), gateway_s=cost)) for cost in (0.01, 0.1))
    assert max(fine.times("stop_to_text")) < 0.11
    assert late.gateway_use > 0.9
    assert max(late.times("stop_to_text")) > 1.0


def test_the_gateway_queue_keeps_account_of_its_work() -> None:
    queue = GatewayQueue(0.5)
    assert queue.take(0.0, 4.0, spoken=False) == pytest.approx(2.0)
    assert queue.take(1.0, 2.0, spoken=False) == pytest.approx(2.0)
    queue.speak(3.0, +3)  # 1.5 s of work each second
    assert queue.take(5.0, 0.0, spoken=True) == pytest.approx(1.0)
    queue.speak(5.0, -3)
    assert queue.take(7.0, 0.0, spoken=True) == 0.0
    assert queue.busy_s == pytest.approx(3.0 + 3.0)


def test_a_dead_worker_costs_time_and_nothing_else() -> None:
    load = all_at_once.Settings(repeats=10)
    whole = at(load, Server(2, takes(1.0)))
    gone = at(load, Server(2, takes(1.0), outages=(Outage(0, 1.5),)))
    back = at(load, Server(2, takes(1.0), outages=(Outage(0, 1.5, 3.0),)))
    assert whole.makespan_s == pytest.approx(5.0)
    assert gone.again == back.again == 1
    assert all(len(found.done) == 10 for found in (gone, back))
    assert back.makespan_s is not None and gone.makespan_s is not None
    assert 5.0 < back.makespan_s < gone.makespan_s == pytest.approx(9.0)


@pytest.mark.parametrize("dispatch", DISPATCH[:3])
def test_workers_that_are_gone_for_good_leave_their_work_to_others(dispatch: str) -> None:
    load = all_at_once.Settings(repeats=9)
    found = at(load, Server(3, of_new(0.1), dispatch=dispatch, outages=(Outage(1, 0.05), Outage(2, 0.1))), MINUTES)
    assert len(found.done) == 27


def test_what_is_not_done_in_time_has_no_text() -> None:
    load = all_at_once.Settings(repeats=4)
    found = simulate(Server(1, takes(1.0)), SHORT, plan(load, Given(SHORT, Seeds())) * 4, load, until_s=2.5)
    assert len(found.done) == 2
    assert found.makespan_s is None and found.throughput_rtfx is None
    assert found.metric("turnaround_p95_s") == math.inf


@given(
    workers=st.integers(1, 5),
    dispatch=st.sampled_from(DISPATCH[:3]),
    schedule=st.sampled_from(SCHEDULES),
    max_queue=st.integers(0, 3),
    repeats=st.integers(1, 4),
    spoken=st.booleans(),
)
def test_every_request_ends_after_all_its_work_and_workers_do_no_more_than_that(
    workers: int, dispatch: str, schedule: str, max_queue: int, repeats: int, spoken: bool
) -> None:
    load = all_at_once.Settings(repeats=repeats, pacing="realtime" if spoken else "burst")
    server = Server(
        workers, of_new(0.25), dispatch=dispatch, schedule=schedule, max_queue=max_queue, gateway_s=1e-3
    )  # fmt: skip
    found = at(load, server, MINUTES)
    work = 0.25 * repeats * sum(clip.duration_s for clip in MINUTES)
    assert sum(found.busy_s) == pytest.approx(work)
    assert found.makespan_s is not None and found.makespan_s >= work / workers - 1e-9
    assert all(r.final_s is not None and r.final_s >= 0.25 * (r.duration_s - 60) for r in found.requests)
    assert found.gateway_s == pytest.approx(1e-3 * work / 0.25)


@given(
    seconds=st.floats(0, 100),
    duration=st.floats(0.5, 20),
    overlap=st.floats(0, 5),
    size=st.integers(RATE // 50, 20 * RATE),
)
def test_pieces_are_the_servers_own_segments_and_are_there_as_soon_as_its_are(
    seconds: float, duration: float, overlap: float, size: int
) -> None:
    cut, whole = Cut.of(duration, overlap), samples_of(seconds)
    cutter, found = Cutter(cut), []
    for start in range(0, max(1, whole), size):
        end = min(start + size, whole)
        for one in cutter.feed(np.zeros(end - start, np.float32), end == whole):
            found.append((one.audio_s, one.new_s, end))
    expected = [(p.audio_s, p.new_s, min(-(-p.needed // size) * size, whole)) for p in pieces(whole, cut)]
    assert found == expected


def test_what_a_segment_takes_depends_on_no_number_of_workers() -> None:
    load = all_at_once.Settings(repeats=20)
    work = [
        sum(at(load, Server(n, lambda audio_s, new_s, chance: chance.random()), seed=3).busy_s) for n in (1, 2, 7)
    ]  # fmt: skip
    assert work == pytest.approx([work[0]] * 3)


def test_the_same_arguments_give_the_same_outcome() -> None:
    load = dictation.Settings(users=7, turns=4)
    one, other = (at(load, Server(2, lambda a, n, c: n * c.random()), MINUTES, seed=5) for _ in range(2))
    assert one == other
    assert one != at(load, Server(2, lambda a, n, c: n * c.random()), MINUTES, seed=6)


def test_a_turn_without_places_of_its_class_waits_for_nobody() -> None:
    turns = [Turn(kind="file", user=0, places=1), Turn(kind="file", user=1, places=1), Turn(kind="mic", user=2)]
    found = simulate(Server(3, takes(1.0)), SHORT, turns, LoadConfig())
    assert [r.final_s for r in found.requests] == pytest.approx([1.0, 2.0, 1.0])
