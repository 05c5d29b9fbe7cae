"""What an exporter is: a module, or any object, with the name of a file and how a report is written there."""

from __future__ import annotations

from typing import Any, Protocol


class Exporter(Protocol):
    @property
    def FILE(self) -> str:
        """The file's name in the sweep's folder: `report.` and more."""

    def render(self, report: dict[str, Any]) -> str:
        """The whole file. `report` is what report.json holds, and the exporter's own copy of it. The same report gives
        the same text: no time, no path, no order that differs from run to run. What is foreign in it (names, errors,
        reasons) may hold any character: see `capsexp.escape`."""
