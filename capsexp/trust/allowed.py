"""The allow-list: keys that only say how to measure."""

from __future__ import annotations

import fnmatch
from dataclasses import fields

from capsexp.config import Config
from capsexp.load import LoadConfig

# Keys of the schema that say how to measure, and of which no value makes us load, run, reach or write anything; an
# engine, a target and a load say their own (`measures`).
MEASURES = (
    "workers", "threads", "trial", "trials", "trials_max", "cooldown", "hours", "name", "live",
    "engine.name", "target.name", "target.ignore", "load.name", "punctuation.name", "punctuation.quantize",
    *(f"pool.{key}" for key in ("name", "inner", "nodes", "per_node", "lost_s")),  # not of which cluster
    *(f"samples.{key}" for key in ("name", "set", "minutes", "concurrency", "language")),
    *(f"load.{each.name}" for each in fields(LoadConfig)),
    "reference.*", "control.*", "fault.*", "thresholds.*", "slo.*", "search.*", "validity.*", "report.*", "archive.*",
    *(f"executor.{key}" for key in ("same_node", "time_limit_min", "queue_s", "lost_s")),
    "placement.*", "monitor.interval", "monitor.live", "monitor.probes",
    *(f"server.{key}" for key in (
        "name", "port", "dispatch", "schedule", "passed_over_s", "max_queue", "max_retries", "stuck_s", "stuck_rtf",
        "max_message", "ready_timeout", "grace", "on_low_memory", "max_connections", "max_audio_s", "max_tasks",
        "max_held_mb", "max_segment_s", "send_timeout", "partial_s",
    )),
)  # fmt: skip


def measures(key: str, config: Config | None = None) -> bool:
    """Whether a key only says how to measure; of an engine, a target or a load that is configured, also its own."""
    group, _, name = key.partition(".")
    own = getattr(config, group).measures if config is not None and group in ("engine", "target", "load") else ()
    return name.partition(".")[0] in own or any(fnmatch.fnmatchcase(key, known) for known in MEASURES)
