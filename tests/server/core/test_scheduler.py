"""The scheduler under any interleaving of submissions, answers, deaths, stalls and cancellations: nothing is lost or
doubled, no queue stands still for good, and nobody starves."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from capsexp.config.server import DISPATCH, SCHEDULES
from capsexp.server.core.order import Fair, Fifo, Flow, MicFirst, order
from capsexp.server.core.queue import Work
from capsexp.server.core.scheduler import IN_FLIGHT, Admitted, Given, Scheduler


class Interleaving(RuleBasedStateMachine):
    """Workers that open, answer, die and stay away, and flows that come, send and leave, in any order."""

    @initialize(
        workers=st.integers(1, 4),
        places=st.integers(1, 6),
        dispatch=st.sampled_from(DISPATCH),
        schedule=st.sampled_from(SCHEDULES),
    )
    def begin(self, workers: int, places: int, dispatch: str, schedule: str) -> None:
        self.now = 0.0
        self.workers, self.places = workers, places
        self.scheduler: Scheduler[Work] = Scheduler(workers, places, dispatch, order(schedule, 5.0))
        self.up: set[int] = set()
        self.flows: list[Flow] = []
        self.alive: dict[Work, None] = {}  # submitted, neither over nor withdrawn
        self.withdrawn: set[Work] = set()
        self.admitted: Counter[Work] = Counter()
        self.suspects: set[Work] = set()
        for worker in range(workers):
            self.up.add(worker)
            self.scheduler.open(worker)

    def turn(self) -> None:
        for act in self.scheduler.turn(self.now):
            if isinstance(act, Admitted):
                self.admitted[act.work] += 1
            else:
                assert act.worker in self.up
                assert len(self.scheduler.flight[act.worker]) <= IN_FLIGHT
                assert act.work in self.alive, "given though nobody wants it"
                assert self.scheduler.flight[act.worker][act.number] is act.work

    def over(self, work: Work) -> None:
        self.scheduler.over(work)
        self.alive.pop(work, None)
        self.suspects.discard(work)

    @rule(mic=st.booleans(), name=st.text(max_size=2))
    def a_flow_begins(self, mic: bool, name: str) -> None:
        self.flows.append(self.scheduler.flow(name, mic))

    @precondition(lambda self: self.flows)
    @rule(data=st.data(), urgent=st.booleans(), count=st.integers(1, 4))
    def submit(self, data: st.DataObject, urgent: bool, count: int) -> None:
        flow = data.draw(st.sampled_from(self.flows))
        for _ in range(count):
            work = Work(flow, urgent and count == 1)
            self.alive[work] = None
            self.scheduler.submit(work)
            self.turn()

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.turn()

    @precondition(lambda self: any(self.scheduler.flight[w] for w in self.up))
    @rule(data=st.data(), again=st.booleans())
    def answer(self, data: st.DataObject, again: bool) -> None:
        worker = data.draw(st.sampled_from([w for w in sorted(self.up) if self.scheduler.flight[w]]))
        first = next(iter(self.scheduler.flight[worker].values()))
        work = self.scheduler.answered(worker)
        assert work is first
        if again:
            self.scheduler.again(work)
            if work not in self.alive:  # and so it is over
                self.suspects.discard(work)
        else:
            self.over(work)
        self.turn()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        work = data.draw(st.sampled_from(list(self.alive)))
        where = self.scheduler.withdraw(work)
        if where is not None:
            worker, number = where
            assert self.scheduler.flight[worker][number] is work
            assert next(iter(self.scheduler.flight[worker])) != number
        del self.alive[work]
        if not any(work in flight.values() for flight in self.scheduler.flight):  # else it may still do harm
            self.suspects.discard(work)
        self.withdrawn.add(work)
        self.turn()

    @precondition(lambda self: self.up)
    @rule(data=st.data(), suspect=st.booleans(), stalls=st.booleans())
    def die(self, data: st.DataObject, suspect: bool, stalls: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(self.up)))
        self.up.discard(worker)
        if stalls:  # it takes no more for a while, before it ends
            self.scheduler.close(worker)
            self.turn()
        works = self.scheduler.lost(worker)
        for at, work in reversed(list(enumerate(works))):
            if work not in self.alive:
                self.over(work)
            elif suspect and at == 0:
                self.scheduler.quarantine(work)
                self.suspects.add(work)
            else:
                self.scheduler.again(work)
        self.turn()

    @rule(data=st.data())
    def stay_away(self, data: st.DataObject) -> None:
        if away := sorted(set(range(self.workers)) - self.up):
            self.scheduler.down(data.draw(st.sampled_from(away)))
            self.turn()

    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        if away := sorted(set(range(self.workers)) - self.up):
            worker = data.draw(st.sampled_from(away))
            self.up.add(worker)
            self.scheduler.open(worker)
            self.turn()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        held = Counter(self.scheduler.unfinished())
        assert set(held) - self.withdrawn == set(self.alive)
        assert not held or max(held.values()) == 1
        assert not self.admitted or max(self.admitted.values()) == 1

    @invariant()
    def places_are_kept_and_used(self) -> None:
        taken = [work for work in self.alive if work.admitted]
        assert self.scheduler.places_taken == len(taken)
        if all(work.flow.worker is None for work in self.alive):  # those that have moved bring their places with them
            assert len(taken) <= self.places + IN_FLIGHT * self.workers
        for work in self.alive:
            if not work.admitted and not work.urgent and work not in self.suspects:
                assert work.queue is not None
                assert work.queue.taken >= work.queue.places

    @invariant()
    def nobody_idles_beside_what_waits(self) -> None:
        busy = {w for w in self.up if self.scheduler.flight[w]}
        given = {work for flight in self.scheduler.flight for work in flight.values()}
        waiting = [work for work in self.alive if work not in given]
        if self.suspects:
            assert any(self.scheduler.flight) or not self.up or not self.suspects - given
            return
        for work in waiting:
            bound = work.queue.worker if work.queue is not None else None
            if bound is None:
                assert busy == self.up, "a worker idles while something waits for any"
            elif bound in self.up:
                assert len(self.scheduler.flight[bound]) == IN_FLIGHT

    def teardown(self) -> None:
        """While one worker is left that answers, everything ends, whatever has become of the others."""
        if not hasattr(self, "scheduler"):
            return
        if not self.up:
            self.up.add(0)
            self.scheduler.open(0)
        for worker in set(range(self.workers)) - self.up:
            self.scheduler.down(worker)
        self.turn()
        for _ in range(2 * (len(self.scheduler.unfinished()) + 1)):
            for worker in self.up:
                if self.scheduler.flight[worker]:
                    self.over(self.scheduler.answered(worker))
                    self.turn()
        assert not self.alive
        assert not self.scheduler.unfinished()
        assert self.scheduler.places_taken == 0
        for flow in self.flows:
            self.scheduler.end(flow)
        assert self.scheduler.flows == 0


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def numbers(scheduler: Scheduler[Work], names: dict[Work, object], now: float = 0.0) -> list[object]:
    """Who is given something next, until the workers are full."""
    return [names[act.work] for act in scheduler.turn(now) if isinstance(act, Given)]


def test_a_worker_that_stays_away_takes_no_place_of_the_others() -> None:
    """With dispatch=task its segments filled all places, and nobody else was read from until it came back."""
    scheduler: Scheduler[Work] = Scheduler(2, 4, "task")
    scheduler.open(0)
    scheduler.open(1)
    stuck, sound = scheduler.flow("a"), scheduler.flow("b")
    assert (stuck.worker, sound.worker) == (0, 1)
    scheduler.close(0)
    for _ in range(10):
        scheduler.submit(Work(stuck))
    waits = Work(sound)
    scheduler.submit(waits)
    acts = scheduler.turn(0.0)
    assert Given(1, 1, waits) in acts
    assert sum(isinstance(act, Admitted) for act in acts) == 2 + 1  # its own share of the places, and the other's
    scheduler.down(0)  # and when it is not to come back soon, what it had goes to who is there
    assert any(isinstance(act, Given) and act.worker == 1 for act in scheduler.turn(0.0))
    assert scheduler.flow("c").worker == 1


@pytest.mark.parametrize("dispatch", ["segment", "naive"])
def test_any_worker_takes_any_segment(dispatch: str) -> None:
    scheduler: Scheduler[Work] = Scheduler(3, 12, dispatch)
    for worker in range(3):
        scheduler.open(worker)
    flow = scheduler.flow("a")
    works = [Work(flow) for _ in range(5)]
    for work in works:
        scheduler.submit(work)
    assert [act.worker for act in scheduler.turn(0.0) if isinstance(act, Given)] == [0, 1, 2]  # none waits behind one


def test_hash_binds_by_the_name() -> None:
    scheduler: Scheduler[Work] = Scheduler(7, 12, "hash")
    assert scheduler.flow("abc").worker == scheduler.flow("abc").worker == 891568578 % 7


def test_a_suspect_runs_alone() -> None:
    scheduler: Scheduler[Work] = Scheduler(2, 9)
    scheduler.open(0)
    scheduler.open(1)
    flow = scheduler.flow("a")
    names: dict[Work, object] = {Work(flow): n for n in range(6)}
    for work in names:
        scheduler.submit(work)
    assert numbers(scheduler, names) == [0, 1, 2, 3]
    for worker in (0, 1):
        began, waited = scheduler.lost(worker)
        scheduler.again(waited)
        scheduler.quarantine(began)
    assert numbers(scheduler, names) == []
    scheduler.open(0)
    scheduler.open(1)
    assert numbers(scheduler, names) == [0]
    scheduler.over(scheduler.answered(0))
    assert numbers(scheduler, names) == [1]
    scheduler.over(scheduler.answered(0))
    assert numbers(scheduler, names) == [3, 2, 4]  # what was begun before goes first


def pushed(mics: str, order_: MicFirst[Work] | Fair[Work] | Fifo[Work]) -> dict[Work, int]:
    made = {Work(Flow(mic=letter == "m")): number for number, letter in enumerate(mics)}
    for work in made:
        order_.push(work)
    return made


def test_a_microphone_goes_first_but_a_file_is_not_passed_over_for_long() -> None:
    queue: MicFirst[Work] = MicFirst(5.0)
    names = pushed("ffmmmmmm", queue)
    assert [names[queue.pop(now)] for now in (0.0, 1.0, 4.9, 5.0, 5.1, 10.0, 10.1, 11)] == [2, 3, 4, 0, 5, 6, 1, 7]
    with pytest.raises(KeyError):
        queue.pop(12.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), min_size=1, max_size=60), st.floats(0, 10))
def test_no_file_is_passed_over_for_longer_than_it_may_be(arrivals: list[tuple[bool, float]], most_s: float) -> None:
    """One is begun for each that comes, after a first file that waits: the worst that microphones can do to it."""
    queue, now = MicFirst[Work](most_s), 0.0
    waiting = Work(Flow(mic=False))
    queue.push(waiting)
    passed: float | None = None
    for mic, seconds in arrivals:
        now += seconds
        queue.push(Work(Flow(mic)))
        if queue.pop(now) is waiting:
            return
        passed = now if passed is None else passed
        assert now - passed < most_s or most_s == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=80))
def test_fair_passes_nobody_over_twice_for_another(steps: list[tuple[int, bool]]) -> None:
    queue, flows = Fair[Work](), [Flow() for _ in range(5)]
    waiting: list[Work] = []
    passed: dict[Flow, Counter[Flow]] = {}
    for number, push in steps:
        if push:
            waiting.append(Work(flows[number]))
            queue.push(waiting[-1])
            passed.setdefault(flows[number], Counter())
        elif waiting:
            work = queue.pop(0.0)
            assert work is next(one for one in waiting if one.flow is work.flow)  # in its order
            waiting.remove(work)
            passed.pop(work.flow)
            for others in passed.values():
                others[work.flow] += 1
                assert max(others.values()) == 1
            if any(one.flow is work.flow for one in waiting):
                passed[work.flow] = Counter()
        assert len(queue) == len(waiting) == len(list(queue))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_discarded_does_not_come(schedule: str) -> None:
    queue = order(schedule, 5.0)()
    works = [Work(Flow(mic)) for mic in (True, False, False)]
    for work in works:
        queue.push(work)
    queue.discard(works[0])
    queue.discard(works[1])
    queue.discard(Work(Flow()))
    assert list(queue) == [works[2]]
    assert queue.pop(0.0) is works[2]
    assert len(queue) == 0
    with pytest.raises(KeyError):
        queue.pop(0.0)
