"""Independent random streams: for the order of samples, the arrival times and the think times. Each is drawn from its
own, so that another order changes no times, and one more user changes none of the others'."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seeds:
    """`order`: 0 keeps the samples as they are listed. `whose`: of the parts of a load, each of which has its own."""

    order: int = 0
    arrivals: int = 0
    think: int = 0
    whose: str = ""

    @classmethod
    def of(cls, load: Any, trial: int) -> Seeds:
        """Each trial has its own, the same for all configurations, so that luck favours none of them."""
        more = trial - 1
        return cls(load.seed + more if load.seed else 0, load.arrival_seed + more, load.think_seed + more)

    def arrival(self, *of: object) -> random.Random:
        return _stream("arrivals", self.arrivals, self.whose, *of)

    def thought(self, *of: object) -> random.Random:
        return _stream("think", self.think, self.whose, *of)

    def shuffled(self, count: int, *of: object) -> list[int]:
        """The places of so many samples in their order."""
        places = list(range(count))
        if self.order:
            # Of nobody it is the order that runs had before there were parts and users.
            alone = not (of or self.whose)
            chance = random.Random(self.order) if alone else _stream("order", self.order, self.whose, *of)
            chance.shuffle(places)
        return places

    def cycle(self, count: int, *of: object) -> Iterator[int]:
        """The places without an end, shuffled anew each time round."""
        turn = 0
        while True:
            yield from self.shuffled(count, *of, turn)
            turn += 1


def _stream(*of: object) -> random.Random:
    return random.Random(" ".join(map(str, of)))  # of a text: the same on every machine and version


def spread(place: int) -> float:
    """Point `place` (from 0) of the van der Corput sequence in base 2, whose points spread evenly over [0, 1) however
    many are taken."""
    found, share = 0.0, 0.5
    while place:
        found, place, share = found + share * (place & 1), place >> 1, share / 2
    return found
