"""The plug points whose names settings are checked against before any of what they name is imported: where a run is
executed, what the monitor asks, in which forms a report is written. Engines, targets and loads, which have settings of
their own, are in their packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capsexp.plugins import PlugPoint

if TYPE_CHECKING:
    from capsexp.experiment.executors.base import Executor
    from capsexp.monitor.probes.base import Probe
    from capsexp.report.exporters.base import Exporter

EXECUTORS: PlugPoint[Executor] = PlugPoint(
    "executor", "capsexp.experiment.executors", "capsexp.executors", ("execute",)
)
EXPORTERS: PlugPoint[Exporter] = PlugPoint(
    "exporter", "capsexp.report.exporters", "capsexp.exporters", ("FILE", "render")
)
PROBES: PlugPoint[Probe] = PlugPoint(
    "probe", "capsexp.monitor.probes", "capsexp.probes", ("COLUMNS", "ROLES", "EVERY_S", "COST", "missing", "start")
)
ALWAYS = ("processes", "system")  # probes of which every report is made
