"""A neighbour that takes most of a CPU for a spell: `python -m capsexp.selftest.equipment.neighbour`.

It waits for the load to begin, then PAUSE_S, and is busy for SPELL_S with PROCESSES on the CPU that the server has.
Then it says when, in seconds after the load began, and how much CPU time it had: that is what was planted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from capsexp.files import write_json
from capsexp.selftest.equipment.command import ACCOUNT, BEGAN, FOLDER
from capsexp.selftest.equipment.cpu import own_cpu

NAME = "selftest-busy"  # 15 characters at most: what the system shows of a process
PAUSE_S, SPELL_S = 2.0, 3.0
PROCESSES = 3
WAIT_S = 300.0  # for the load to begin, and afterwards to end


def named(name: str) -> None:
    """What others see of this process, where the system can be told (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def busy(until: float) -> float:
    """Until then; the CPU seconds that it had."""
    if sys.platform == "win32":
        raise NotImplementedError("does not tell how long a process waited for a CPU")
    before = os.times()
    for _ in range(PROCESSES):
        if not os.fork():
            while time.monotonic() < until:
                pass
            os._exit(0)
    for _ in range(PROCESSES):
        os.wait()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> int:
    folder = Path(os.environ[FOLDER])
    named(NAME)
    own_cpu()
    until = time.monotonic() + WAIT_S
    while not (said := _text(folder / BEGAN)):
        if time.monotonic() > until:
            return 1
        time.sleep(0.02)
    began = float(said)
    time.sleep(max(0.0, began + PAUSE_S - time.monotonic()))
    start = time.monotonic()
    had = busy(start + SPELL_S)
    end = time.monotonic()
    write_json(folder / ACCOUNT, {"start_s": start - began, "end_s": end - began, "cpu_s": had})
    time.sleep(WAIT_S)  # until it is ended: of a process that has gone nobody sees what it used last
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
