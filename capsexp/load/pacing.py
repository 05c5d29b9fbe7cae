"""How fast a request's audio is sent. `burst`: as the connection takes it. `realtime`: as it is spoken, a packet when
its last sample would have been heard, by an absolute schedule, so that a late packet delays no other. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BURST, REALTIME = PACINGS = ("burst", "realtime")
HELD_S = 0.001  # a call that only hands over a packet takes less


@dataclass(frozen=True)
class Packet:
    """Samples `start` to `end` of a request's audio, due so many seconds after the request is; None: at once."""

    start: int
    end: int
    due_s: float | None = None


def packets(samples: int, size: int, rate: int, pacing: str) -> Iterator[Packet]:
    """All of a request, in order; of one without audio an empty one, as something has to say that it ends."""
    for start in range(0, max(1, samples), size):
        end = min(start + size, samples)
        yield Packet(start, end, end / rate if pacing == REALTIME else None)


class Lateness:
    """How late the client itself sends the packets of a request. Delay because the server did not read (back-pressure)
    is not counted."""

    def __init__(self) -> None:
        self._free = 0.0  # when the connection would have been, had we been in time

    def of(self, due: float, began: float, ended: float) -> float:
        """How much later than it could have been a packet was sent, in s: due, taken up and gone at these times."""
        own = max(0.0, began - max(due, self._free))
        if ended - began > HELD_S:
            self._free = ended - own
        return own
