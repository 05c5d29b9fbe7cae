"""Limits log lines that clients can cause, so that nobody can fill the disk."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

EVERY_S = 30.0


class LogLimit:
    """Of each kind a line at once, and then one per EVERY_S at most, with how often it would have been said."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._said: dict[str, tuple[float, int]] = {}

    def say(self, kind: str, line: str) -> None:
        now = time.monotonic()
        last, left_out = self._said.get(kind, (-self._every_s, 0))
        if now - last < self._every_s:
            self._said[kind] = last, left_out + 1
            return
        self._said[kind] = now, 0
        log.warning("%s%s", line, f" ({left_out} times more since the line before)" if left_out else "")
