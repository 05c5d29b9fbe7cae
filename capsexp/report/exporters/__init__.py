"""Forms of a report, a file each."""

from capsexp.plugins import PlugPoint
from capsexp.report.exporters.base import Exporter

__all__ = ["EXPORTERS", "Exporter"]

EXPORTERS: PlugPoint[Exporter] = PlugPoint("exporter", __name__, "capsexp.exporters", ("FILE", "render"))
