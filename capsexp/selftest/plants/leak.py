"""A server that leaks, and uses so much CPU time for a second of audio: both are known to it."""

from __future__ import annotations

from capsexp.selftest.equipment.command import command
from capsexp.selftest.plant import Figure, Plant

LEAK_MB_PER_S, CPU = 2.0, 0.25
KEY = "workers=1"
CLIPS_S, REPEATS = (1.0, 1.0), 4

PLANTS = (
    Plant(
        "leak",
        f"a server that leaks {LEAK_MB_PER_S:g} MB a second and uses {CPU:g} CPU s for a second of audio",
        "leaks, and CPU time: a server that grows may pass as sound",
        (
            "server.model=leaks", *command(f"--leak-mb-per-s {LEAK_MB_PER_S} --cpu {CPU}"), "load.pacing=realtime",
            "load.concurrency=1", f"load.repeats={REPEATS}", "report.leak_min_s=2",
        ),
        CLIPS_S,
        1,
        (
            Figure("leak", 3600 * LEAK_MB_PER_S, "as it says itself", "leak_mb_per_h", KEY, "MB/h", n=1, relative=0.06),
            Figure(
                "CPU time", CPU, "used for each second of audio, and what receiving it takes",
                "core_hours_per_audio_hour", KEY, "core h / audio h", 0.05, 0.06, n=1,
            ),
        ),
    ),
)  # fmt: skip
