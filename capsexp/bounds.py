"""`number`, until every group says `setting`."""

from typing import Any

from capsexp.setting import problems as problems
from capsexp.setting import setting


def number(default: Any, low: float = 0.0, high: float = 1e9, *, above: bool = False, hint: str = "") -> Any:
    return setting(default, low=low, high=high, above=above, hint=hint)
