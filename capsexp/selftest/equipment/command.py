"""How equipment is started, as overrides of a sweep. Pure."""

from __future__ import annotations

import shlex
import sys

FOLDER = "CAPSEXP_SELFTEST"  # in the environment: where equipment leaves what it did
BEGAN = "began"  # the file in it: when the load began, by time.monotonic()
ACCOUNT = "account.json"  # and what a neighbour did


def command(options: str) -> tuple[str, ...]:
    """A sweep of the server that does what server.model says."""
    line = f"{shlex.quote(sys.executable)} -m capsexp.selftest.equipment.server {{model}} {{port}} {options}"
    return "server=command", f"server.cmd={line}"
