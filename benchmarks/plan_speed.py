"""How fast the planner's simulation goes: a million events of users who dictate, and of files that arrive."""

from __future__ import annotations

import sys
import time

from capsexp.load import Clip, Given, LoadConfig, plan
from capsexp.load.arrivals import dictation, rate
from capsexp.simulation import Server, simulate

CLIPS = tuple(Clip(f"{seconds}", float(seconds)) for seconds in (3, 5, 8, 40))


def timed(name: str, load: LoadConfig) -> None:
    turns = plan(load, Given(CLIPS))
    server = Server(64, lambda audio_s, new_s, chance: 0.2 * new_s, gateway_s=1e-3)
    wall, cpu = time.perf_counter(), time.process_time()
    found = simulate(server, CLIPS, turns, load)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    each = 1e6 / found.events
    print(
        f"{name}: {found.events} events of {len(turns)} requests; a million in {each * cpu:.1f} s of CPU, "
        f"{each * wall:.1f} s by the clock; workers busy {100 * found.worker_use:.0f} %",
        flush=True,
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    timed("250 users who dictate", dictation.Settings(users=250, turns=round(count / 250 / 7.5), timeout=1e9))
    timed("files at 16 per second", rate.Settings(rate=16, duration_s=count / 16 / 5, timeout=1e9))
