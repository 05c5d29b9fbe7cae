import sys
from collections.abc import Mapping, Sequence
from typing import Any

from capsexp.monitor.app import main
from capsexp.tool import entry


def _page(watched: str, rows: Sequence[Mapping[str, Any]]) -> str:
    from capsexp.live.recording import page  # no run pays for it

    return page(watched, rows)


sys.exit(entry(lambda argv: main(argv, _page), "capsexp.monitor"))
