"""What an exporter is: a module, or any object, with the name of a file and how a report is written there."""

from __future__ import annotations

from typing import Protocol

from capsexp.results.report import Report


class Exporter(Protocol):
    @property
    def FILE(self) -> str:
        """The file's name in the sweep's folder: `report.` and more."""

    def render(self, report: Report) -> str:
        """The whole file. `report` is what report.json holds, typed and immutable. The same report gives
        the same text: no time, no path, no order that differs from run to run. What is foreign in it (names, errors,
        reasons) may hold any character: see `capsexp.escape`."""
