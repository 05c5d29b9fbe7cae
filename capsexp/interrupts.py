"""Signals that end a sweep, for as long as it runs: whoever calls us gets their own handling back afterwards.

What a handler raises can be lost: Python drops it where an object is being finalized and, at times, where another error
is being raised just then (`int("0.5")`), and libraries turn it into errors of their own. So each signal is kept as
well, and whoever waits or begins something new asks (`check`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_came: list[int] = []  # since in_order began
_held = 0  # how many want nothing to be raised now


@contextmanager
def in_order() -> Iterator[list[int]]:
    """SIGTERM and a closed terminal end what is done here as Ctrl-C does: by KeyboardInterrupt, in order. What was
    ignored when we were started (by nohup, by a shell for a background job) stays so. Gives the list of those that
    came."""
    global _came
    known = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]  # Windows has no SIGHUP
    before: dict[int, Any] = {}
    asked: list[int] = []
    _came = asked
    try:
        for signum in known:
            if signal.getsignal(signum) != signal.SIG_IGN:
                before[signum] = signal.getsignal(signum)
                signal.signal(signum, _hear)
        yield asked
    finally:
        with ignored():
            for signum, handling in before.items():
                signal.signal(signum, handling)
        _came = []


def _hear(signum: int, frame: object) -> None:
    _came.append(signum)
    if not _held:
        raise KeyboardInterrupt


def came() -> bool:
    """Whether we were asked to end."""
    return bool(_came)


def check() -> None:
    """Raises KeyboardInterrupt where we were asked to end."""
    if _came and not _held:
        raise KeyboardInterrupt


@contextmanager
def ignored() -> Iterator[None]:
    """None of them cuts short what is done here."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1


@contextmanager
def deferred() -> Iterator[None]:
    """What comes meanwhile takes effect at the end, however that is reached."""
    before = len(_came)
    try:
        with ignored():
            yield
    finally:
        if len(_came) > before:
            check()
