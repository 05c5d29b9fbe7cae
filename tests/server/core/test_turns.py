"""Whose large message comes in, under any interleaving of senders that begin, go on, stall, end and leave: never more
than there is room for, in the order they came, and everybody in the end."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from capsexp.server.core.turns import FAST, OVERDUE_S, SLOW, STALL_S, TURN_S, LetGo, LetIn, State, Turns


class Interleaving(RuleBasedStateMachine):
    @initialize(places=st.integers(1, 3))
    def begin(self, places: int) -> None:
        self.now, self.places, self.count = 0.0, places, 0
        self.turns: Turns[int] = Turns(places)
        self.waiting: list[int] = []
        self.coming: dict[int, float] = {}  # and when something came of it
        self.in_hand: set[int] = set()
        self.hurries: list[float] = []

    def turn(self, roomy: bool = True) -> None:
        for act in self.turns.turn(self.now, roomy):
            who: int = act.who  # type: ignore[assignment]
            if isinstance(act, LetGo):
                assert self.now - self.coming.pop(who) > STALL_S
                assert self.turns.state(who) is None
                continue
            assert who == self.waiting.pop(0), "not in the order they came"
            self.coming[who] = self.now
            assert self.turns.state(who) is (State.HURRIED if act.hurried else State.PLACED)
            if act.hurried:
                assert roomy
                self.hurries.append(self.now)

    @rule()
    def somebody_begins(self) -> None:
        self.count += 1
        self.turns.wants(self.count, self.now)
        self.waiting.append(self.count)
        self.turn()

    @rule(seconds=st.sampled_from([0.01, TURN_S, 1.0, OVERDUE_S, STALL_S]), roomy=st.booleans())
    def time_passes(self, seconds: float, roomy: bool) -> None:
        self.now += seconds
        self.turn(roomy)

    @precondition(lambda self: self.coming)
    @rule(data=st.data(), size=st.sampled_from([1, FAST]))
    def something_comes(self, data: st.DataObject, size: int) -> None:
        who = data.draw(st.sampled_from(sorted(self.coming)))
        self.turns.received(who, size, self.now)
        self.coming[who] = self.now

    @precondition(lambda self: self.coming)
    @rule(data=st.data())
    def a_message_is_whole(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.coming)))
        del self.coming[who]
        self.in_hand.add(who)
        self.turns.came(who)
        self.turn()

    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        everybody = sorted({*self.waiting, *self.coming, *self.in_hand})
        who = data.draw(st.sampled_from(everybody)) if everybody else 0
        self.turns.leaves(who)
        if who in self.waiting:
            self.waiting.remove(who)
        self.coming.pop(who, None)
        self.in_hand.discard(who)
        self.turn()

    @invariant()
    def no_more_than_there_is_room_for(self) -> None:
        states = [self.turns.state(who) for who in {*self.coming, *self.in_hand}]
        assert states.count(State.PLACED) <= self.places
        assert states.count(State.SLOW) <= SLOW * self.places
        assert not self.waiting or states.count(State.PLACED) == self.places
        assert all(self.turns.state(who) is State.WAITING for who in self.waiting)
        # One at a time is hurried, or one in OVERDUE_S of those that do not come.
        still = [who for who in self.coming if self.turns.state(who) is State.HURRIED]
        assert len(still) <= 1 + self.now / OVERDUE_S

    @invariant()
    def somebody_looks_while_anybody_waits(self) -> None:
        due = self.turns.due()
        assert (due is None) == (not self.waiting)

    def teardown(self) -> None:
        """Nothing comes, and nobody leaves: all that wait are let in all the same, each after its time."""
        if not hasattr(self, "turns"):
            return
        for _ in range(1000):
            due = self.turns.due()
            if due is None:
                break
            self.now = max(self.now + 0.001, due)
            self.turn()
        assert not self.waiting


TestInterleaving = Interleaving.TestCase


def let_in(turns: Turns[str], now: float) -> list[tuple[object, bool]]:
    return [(act.who, act.hurried) for act in turns.turn(now) if isinstance(act, LetIn)]


def test_a_slow_sender_passes_its_place_on_and_a_fast_one_keeps_it() -> None:
    turns: Turns[str] = Turns(1)
    turns.wants("fast", 0.0)
    turns.wants("slow", 0.0)
    turns.wants("third", 0.0)
    assert let_in(turns, 0.0) == [("fast", False)]
    turns.received("fast", FAST, TURN_S / 2)
    assert let_in(turns, TURN_S) == []
    turns.came("fast")
    assert let_in(turns, TURN_S) == []  # it is in hand
    turns.leaves("fast")
    assert let_in(turns, TURN_S) == [("slow", False)]
    turns.received("slow", FAST - 1, TURN_S)
    assert let_in(turns, 2 * TURN_S) == [("third", False)]
    assert turns.state("slow") is State.SLOW


def test_who_has_waited_long_comes_in_without_a_place_where_there_is_memory() -> None:
    turns: Turns[str] = Turns(1)
    for who in ("first", "second", "third"):
        turns.wants(who, 0.0)
    assert let_in(turns, 0.0) == [("first", False)]
    turns.came("first")
    assert turns.turn(OVERDUE_S, roomy=False) == []
    assert let_in(turns, OVERDUE_S) == [("second", True)]
    assert let_in(turns, OVERDUE_S + 1) == []  # one after the other
    turns.came("second")
    assert let_in(turns, OVERDUE_S + 1) == [("third", True)]


def test_too_many_slow_senders_lose_the_one_of_which_nothing_comes() -> None:
    turns: Turns[str] = Turns(1)
    slow = [f"slow {number}" for number in range(SLOW + 1)]
    for number, who in enumerate(slow):
        turns.wants(who, number)
        turns.turn(float(number))
    last = SLOW + 1.0
    turns.wants("waits", last)
    assert let_in(turns, last) == []  # as many are slow as may be
    later = last + STALL_S
    for who in slow:
        if who != "slow 1":
            turns.received(who, 1, later)
    assert LetGo("slow 1") in turns.turn(later)
    assert let_in(turns, later + TURN_S) == [("waits", False)] or turns.state("waits") is State.HURRIED
