"""Commands from a run to its client: one line of JSON each, on standard input."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from capsexp import lifeline
from capsexp.client.request import ConnectionOptions
from capsexp.client.warm import warm
from capsexp.config import LoadConfig
from capsexp.files import write_json
from capsexp.results.handover import Order
from capsexp.runfiles import WARM
from capsexp.samples import Sample


def word_to_go(
    run_dir: Path | None, samples: Sequence[Sample], way: ConnectionOptions, load: LoadConfig
) -> tuple[str, int | None]:
    """Wait for the order to begin. Returns the server's address and how many connections it accepts, None where
    that is not known. An earlier order with `workers` has first requests made (see `warm`: rounds of as many), whose
    outcome is written to WARM. Raises SystemExit where stdin ends."""
    told = _order()
    if told.workers is not None and run_dir is not None:
        write_json(run_dir / WARM, {"error": asyncio.run(warm(samples, told.workers, told.url, way, load))})
        told = _order()
    lifeline.on_stdin_closed(lambda: os._exit(1))
    return told.url, told.connections


def _order() -> Order:
    """The end of stdin means that there is nothing to do any more."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    return msgspec.json.decode(line, type=Order)
