"""A report survives any analysis that fails: what it would have said is left out, and that is said."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from capsexp.debug import FILE
from capsexp.files import read_whole, write_text

T = TypeVar("T")


class Survivor:
    """Calls analyses. `warnings` has a line for each that failed, `traces` its traceback."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.traces: list[str] = []

    def __call__(self, what: str, otherwise: Any, analyse: Callable[..., T], *arguments: Any) -> T:
        """The analysis, or `otherwise`."""
        try:
            return analyse(*arguments)
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            kind = type(error).__name__
            self.warnings.append(f"{what} could not be analysed ({kind}: {said}); the traceback is in {FILE}")
            self.traces.append(
                f"{what}\n{''.join(traceback.format_exception(type(error), error, error.__traceback__))}"
            )
            return otherwise  # type: ignore[no-any-return]

    def keep(self, folder: Path) -> None:
        """Write the tracebacks to the sweep's debug.log, each once however often a report is made. Raises StorageError.

        The folder may be anybody's: what is written takes the place of a link, and does not go where it leads."""
        path = folder / FILE
        try:
            known = "" if path.is_symlink() else read_whole(path).decode("utf-8", "replace")
        except (FileNotFoundError, ValueError):  # no regular file, or larger than any of ours
            known = ""
        new = [trace for trace in self.traces if trace not in known]
        if new:
            write_text(path, known + "".join(f"{trace}\n" for trace in new))
