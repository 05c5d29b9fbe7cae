"""A report survives any analysis that fails: what it would have said is left out, and that is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from capsexp.debug import FILE, log

T = TypeVar("T")


class Survivor:
    """Calls analyses. `warnings` has a line for each that failed; its traceback is logged."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def __call__(self, what: str, otherwise: Any, analyse: Callable[..., T], *arguments: Any) -> T:
        """The analysis, or `otherwise`."""
        try:
            return analyse(*arguments)
        except Exception as error:
            said = next(iter(str(error).splitlines()), "")
            kind = type(error).__name__
            self.warnings.append(f"{what} could not be analysed ({kind}: {said}); the traceback is in {FILE}")
            log.error(what, exc_info=error)
            return otherwise  # type: ignore[no-any-return]
