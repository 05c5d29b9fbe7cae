"""Forms of a report, a file each."""

from capsexp.plugpoints import EXPORTERS
from capsexp.report.exporters.base import Exporter

__all__ = ["EXPORTERS", "Exporter"]
