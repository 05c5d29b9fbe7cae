"""The supervisor over workers that answer, raise, die, stand still and do not come back, in any interleaving: nothing
is lost or doubled, who is innocent is not given up, and once workers behave everything ends."""

from __future__ import annotations

import itertools
from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from capsexp.config.server import DISPATCH, SCHEDULES
from capsexp.server.core.life import ALIVE, Broken, Died, GivesUp, Kill, RetriedWork, Start, State, Waits
from capsexp.server.core.order import Flow, order
from capsexp.server.core.scheduler import Admitted, Given, Scheduler
from capsexp.server.core.supervisor import ASLEEP_S, GIVE_UP, LOADS, MOST_BACKOFF_S, START_S, Supervisor

PATIENCE_S, LOAD_S = 10.0, 60.0


class World:
    """Workers in a process each, or all in one, that do what they are told to; what came of each job."""

    def __init__(self, workers: int, retries: int, shared: bool, dispatch: str = "segment", schedule: str = "fifo"):
        self.now, self.shared, self.starts = 0.0, shared, 0
        self.no_room = self.cannot_load = False
        scheduler: Scheduler[RetriedWork] = Scheduler(workers, 4 * workers, dispatch, order(schedule, 5.0))
        self.supervisor: Supervisor[RetriedWork] = Supervisor(scheduler, retries, lambda job: PATIENCE_S, LOAD_S)
        self.retries = retries
        self.alive: set[int] = set()  # their processes
        self.loading: set[int] = set()
        self.wanted: dict[RetriedWork, None] = {}
        self.done: Counter[RetriedWork] = Counter()
        self.given_up: Counter[RetriedWork] = Counter()
        for worker in range(workers):
            self.start(worker)
            self.ready(worker)
        self.supervisor.begun = True

    @property
    def scheduler(self) -> Scheduler[RetriedWork]:
        return self.supervisor.scheduler

    def start(self, worker: int) -> None:
        if self.no_room:
            self.supervisor.refused(worker, "no room", True, self.now)
            return
        self.starts += 1
        self.alive.add(worker)
        self.loading.add(worker)
        self.supervisor.started(worker, self.now, "one" if self.shared else worker)

    def ready(self, worker: int) -> None:
        self.loading.discard(worker)
        self.supervisor.ready(worker, self.now)
        self.go_on()

    def go_on(self) -> None:
        while acts := self.supervisor.turn(self.now):
            for act in acts:
                if isinstance(act, Start):
                    assert act.worker not in self.alive
                    self.start(act.worker)
                elif isinstance(act, Kill):
                    self.end(act.worker, "killed")
                elif isinstance(act, GivesUp):
                    self.given_up[act.work] += 1
                    assert act.work.failures > self.retries
                    self.wanted.pop(act.work, None)
                elif isinstance(act, Given):
                    assert act.worker in self.alive - self.loading
                else:
                    assert isinstance(act, (Admitted, Died, Waits, Broken))

    def submit(self, flow: Flow) -> RetriedWork:
        job = RetriedWork(flow)
        self.wanted[job] = None
        self.scheduler.submit(job)
        self.go_on()
        return job

    def answer(self, worker: int) -> None:
        job = self.supervisor.answered(worker, self.now)
        if self.wanted.pop(job, 0) is None:
            self.done[job] += 1
        self.go_on()

    def end(self, worker: int, how: str) -> None:
        """Its process ends, with all that are in it."""
        for one in sorted(self.alive) if self.shared else [worker]:
            if one in self.alive:
                self.alive.discard(one)
                self.loading.discard(one)
                self.supervisor.ended(one, how, self.now)

    def passes(self, seconds: float) -> None:
        """As the shell does: a look at the clock whenever one is due."""
        until = self.now + seconds
        while (due := self.supervisor.due) is not None and due <= until:
            self.now = max(self.now, due)
            self.supervisor.tick(self.now)
            self.go_on()
        self.now = until

    def behaves(self) -> None:
        """From now on everybody loads and answers."""
        self.no_room = False
        for _ in range(10 * (len(self.wanted) + 3) * (len(self.scheduler.flight) + 1)):
            for worker in sorted(self.loading):
                self.ready(worker)
            for worker in sorted(self.alive):
                if self.scheduler.flight[worker]:
                    self.answer(worker)
            everybody = len(self.alive) == len(self.scheduler.flight)
            if everybody and not self.wanted and not any(self.scheduler.flight):  # a worker may have what was withdrawn
                return
            self.passes(MOST_BACKOFF_S / 10)


class AnyInterleaving(RuleBasedStateMachine):
    @initialize(
        workers=st.integers(1, 3), retries=st.integers(0, 2), shared=st.booleans(),
        dispatch=st.sampled_from(DISPATCH), schedule=st.sampled_from(SCHEDULES),
    )  # fmt: skip
    def begin(self, workers: int, retries: int, shared: bool, dispatch: str, schedule: str) -> None:
        self.world = World(workers, retries, shared, dispatch, schedule)
        self.flows = [self.world.scheduler.flow(str(n), mic=n == 0) for n in range(3)]

    @rule(flow=st.integers(0, 2), count=st.integers(1, 4))
    def submit(self, flow: int, count: int) -> None:
        for _ in range(count):
            if self.world.supervisor.broken is None:
                self.world.submit(self.flows[flow])

    def one_of(self, data: st.DataObject, those: set[int]) -> int | None:
        return data.draw(st.sampled_from(sorted(those))) if those else None

    def busy(self) -> set[int]:
        return {worker for worker in self.world.alive if self.world.scheduler.flight[worker]}

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        if (worker := self.one_of(data, self.busy())) is not None:
            self.world.answer(worker)

    @rule(data=st.data())
    def raise_or_lie(self, data: st.DataObject) -> None:
        if (worker := self.one_of(data, self.busy())) is not None:
            self.world.supervisor.failed(worker, "boom")
            self.world.go_on()

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        if (worker := self.one_of(data, self.world.alive)) is not None:
            self.world.end(worker, "exit code -9")
            self.world.go_on()

    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        if (worker := self.one_of(data, self.world.loading)) is not None:
            self.world.ready(worker)

    @rule(no_room=st.booleans())
    def room(self, no_room: bool) -> None:
        self.world.no_room = no_room

    @rule(seconds=st.floats(0, 3 * PATIENCE_S))
    def time_passes(self, seconds: float) -> None:
        self.world.passes(seconds)

    @precondition(lambda self: self.world.wanted)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(list(self.world.wanted)))
        del self.world.wanted[job]
        self.world.scheduler.withdraw(job)
        self.world.go_on()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        world = self.world
        held = Counter(world.scheduler.unfinished())
        assert set(world.wanted) <= set(held)
        assert max([*held.values(), *world.done.values(), *world.given_up.values()], default=1) == 1
        assert not set(world.done) & set(world.given_up)

    @invariant()
    def states_say_what_is(self) -> None:
        for worker, life in enumerate(self.world.supervisor.lives):
            assert (life.state in ALIVE) == (worker in self.world.alive)
            if life.state is State.BUSY:
                assert self.world.scheduler.flight[worker]
            if life.state in (State.STARTING, State.BUSY, State.BACK_OFF):
                assert life.due is not None  # nobody is waited for for ever

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None or world.supervisor.broken is not None:
            return
        world.behaves()
        assert not world.wanted
        assert not world.scheduler.unfinished()
        assert world.scheduler.places_taken == 0


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_kills_whoever_has_it_fails_alone(shared: bool, workers: int) -> None:
    world, flow = World(workers, 1, shared), Flow()
    jobs = [world.submit(flow) for _ in range(12)]
    poison = jobs[4]
    for _ in range(200):
        for worker in sorted(world.loading):
            world.ready(worker)
        for worker in sorted(world.alive):
            flight = world.scheduler.flight[worker]
            if worker not in world.alive or not flight:
                continue
            if next(iter(flight.values())) is poison:
                world.end(worker, "exit code -11")
                world.go_on()
            else:
                world.answer(worker)
        world.passes(0.1)
    assert list(world.given_up) == [poison]
    assert set(world.done) == set(jobs) - {poison}


def test_a_worker_that_does_not_load_is_started_later_and_later() -> None:
    world = World(2, 2, False)
    starts: list[float] = []
    world.end(0, "exit code -9")
    world.go_on()
    for _ in range(8):
        starts.append(world.now)
        world.end(0, "exit code 3")  # while it loads
        world.go_on()
        assert world.supervisor.lives[0].state is State.BACK_OFF
        world.passes((world.supervisor.due or 0) - world.now)
    waits = [b - a for a, b in itertools.pairwise(starts)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert world.supervisor.broken is None  # the other one is there
    world.ready(0)
    assert world.supervisor.lives[0].state is State.READY


def test_nobody_who_can_load_is_the_end() -> None:
    world = World(2, 2, False)
    job = world.submit(Flow())
    for _ in range(GIVE_UP + 1):
        for worker in (0, 1):
            world.end(worker, "exit code 3")
        world.go_on()
        world.passes(START_S - 1)
    assert world.supervisor.broken == f"every worker ended {GIVE_UP} times in a row while loading: exit code 3"
    assert world.scheduler.unfinished() == [job]  # the shell's to fail


def test_that_there_is_no_room_is_no_end() -> None:
    world = World(2, 2, False)
    job = world.submit(Flow())
    world.no_room = True
    for worker in (0, 1):
        world.end(worker, "exit code -9")
    world.go_on()
    world.passes(1000)
    assert world.supervisor.broken is None
    world.behaves()
    assert world.done[job] == 1


def test_who_stands_still_is_replaced_but_not_when_we_were_stopped_as_well() -> None:
    world = World(1, 2, False)
    job = world.submit(Flow())
    late = PATIENCE_S + ASLEEP_S + 0.1
    world.now = late
    world.supervisor.tick(world.now)
    assert world.supervisor.due == late + PATIENCE_S  # once more
    world.passes(PATIENCE_S)
    assert job.failures == 1
    assert world.supervisor.lives[0].state is State.STARTING
    world.behaves()
    assert world.done[job] == 1


def test_a_replacement_may_load_a_few_times_as_long_as_the_first_did() -> None:
    world = World(1, 2, False)
    world.end(0, "exit code -9")
    world.go_on()
    assert world.supervisor.due == world.now + START_S  # nobody took any time
    world.passes(2.0)
    world.ready(0)
    world.end(0, "exit code -9")
    world.go_on()
    assert world.supervisor.due == world.now + START_S + LOADS * 2.0
    world.passes(START_S + LOADS * 2.0)
    assert world.supervisor.lives[0].state is State.BACK_OFF
    assert "not ready within 15 s" in world.supervisor.lives[0].reason
