"""What an exporter is: a module, or any object, with the name of a file and how a report is written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from capsexp.results.report import Report

if TYPE_CHECKING:  # reading a sweep needs the schema, which needs the exporters' names
    from capsexp.results.read import SweepFiles


class Exporter(Protocol):
    @property
    def FILE(self) -> str:
        """The file's name in the sweep's folder: `report.` and more."""

    def render(self, report: Report) -> str:
        """The whole file. `report` is what report.json holds, typed and immutable. The same report gives
        the same text: no time, no path, no order that differs from run to run. What is foreign in it (names, errors,
        reasons) may hold any character: see `capsexp.escape`."""


@runtime_checkable
class Illustrated(Protocol):
    """What an exporter may be as well: one whose file shows pictures that lie beside it."""

    @property
    def PICTURES(self) -> tuple[str, ...]:
        """The names of all that there may be: `report.` and more."""

    def pictures(self, report: Report) -> Mapping[str, str]:
        """Those that there are, each whole, by name. What is said of `render` holds of them."""


@runtime_checkable
class Drawing(Protocol):
    """What an exporter may be as well: one that shows the runs' tables beside the report."""

    def draw(self, report: Report, files: SweepFiles) -> str:
        """Like `render`, which it is called in place of where the files of the sweep are at hand."""
