"""The keys that only say how to measure."""

from __future__ import annotations

import fnmatch

from capsexp.config import Config

# Keys of the schema that say how to measure, and of which no value makes us load, run, reach or write anything; an
# engine and a target say their own (`measures`).
MEASURES = (
    "workers", "threads", "trial", "trials", "trials_max", "cooldown", "hours", "name",
    "engine.name", "target.name", "pool.name", "punctuation.name", "punctuation.quantize",
    *(f"samples.{key}" for key in ("name", "set", "minutes", "concurrency", "language")),
    "load.*", "reference.*", "control.*", "fault.*", "thresholds.*", "validity.*", "report.*", "archive.*",
    "monitor.interval", "monitor.live", "monitor.probes",
    *(f"server.{key}" for key in (
        "name", "port", "dispatch", "schedule", "passed_over_s", "max_queue", "max_retries", "stuck_s", "stuck_rtf",
        "max_message", "ready_timeout", "grace", "on_low_memory", "max_connections", "max_audio_s", "max_tasks",
        "max_held_mb", "max_segment_s", "send_timeout",
    )),
)  # fmt: skip


def measures(key: str, config: Config | None = None) -> bool:
    """Whether a key only says how to measure; of an engine or a target that is configured, also its own."""
    group, _, name = key.partition(".")
    own = config is not None and group in ("engine", "target") and name in getattr(config, group).measures
    return own or any(fnmatch.fnmatchcase(key, known) for known in MEASURES)
