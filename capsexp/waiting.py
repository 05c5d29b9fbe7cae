"""Waits for what an event announces, and polls for what none does, always with a deadline."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable


def wait_until(
    there: Callable[[], bool], seconds: float, poll_s: float, meanwhile: Callable[[], None] = lambda: None
) -> bool:
    """Whether it is `there` within so many seconds, looked at every `poll_s` with `meanwhile` in between; at least
    once. What either raises ends the wait."""
    deadline = time.monotonic() + seconds
    while not there():
        meanwhile()
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(poll_s, left))
    return True


def ends(descriptor: int, seconds: float) -> bool:
    """Whether the process of a descriptor (os.pidfd_open) ends within so many seconds. Not by `select`, which
    knows no descriptor above 1023: a gateway has one for each client."""
    if sys.platform == "win32":
        raise NotImplementedError  # no process has a descriptor there
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * max(0.0, seconds)))
