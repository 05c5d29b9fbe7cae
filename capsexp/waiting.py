"""Polls for conditions that no event announces, always with a deadline."""

from __future__ import annotations

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
