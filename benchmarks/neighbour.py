"""A process beside what is measured: it takes one CPU for spells of random length and says when."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARE = 0.3  # of the time that it is busy
SPELL_S = 2.0, 10.0
Spells = list[tuple[float, float]]  # epoch seconds


def spells(draw: random.Random) -> Iterator[tuple[float, float]]:
    """Seconds of a pause and of the spell after it, without end."""
    pause_s = sum(SPELL_S) / 2 * (1 - SHARE) / SHARE
    while True:
        yield draw.expovariate(1 / pause_s), draw.uniform(*SPELL_S)


def be_busy(seed: int, told: Path) -> None:
    """Until it is ended."""
    for pause_s, spell_s in spells(random.Random(seed)):
        time.sleep(pause_s)
        begun = time.time()
        with told.open("a") as file:  # its end is known: a spell that is cut short ends with the sweep
            file.write(f"{begun} {begun + spell_s}\n")
        until = time.monotonic() + spell_s
        while time.monotonic() < until:
            pass


@contextmanager
def neighbour(seed: int | None, told: Path) -> Iterator[None]:
    """A neighbour for as long as it lasts; none without a seed. `told`: where it writes its spells."""
    told.touch()
    if seed is None:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=be_busy, args=(seed, told), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def read(told: Path) -> Spells:
    return [(float(a), float(b)) for a, b in map(str.split, told.read_text().splitlines())]


def touched(window: tuple[float, float], busy: Spells) -> float:
    """The share of a window in which it was busy."""
    start, end = window
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b in busy) / (end - start)
