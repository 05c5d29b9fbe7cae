"""Warm-up before the load: first requests make a server load what it loads late, and check its protocol."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from capsexp.client.request import ConnectionOptions, Request, misdelivered, perform
from capsexp.config import LoadConfig
from capsexp.protocol import RATE
from capsexp.samples import Sample
from capsexp.targets import TargetConfig

ROUNDS = 2  # of as many requests as there are workers: who takes which is up to the server
CLIP_S = 3.0


async def warm(
    samples: Sequence[Sample], workers: int, url: str, way: ConnectionOptions, load: LoadConfig
) -> str | None:
    """Why the server cannot be measured, or None. Nothing of this is in any figure."""
    shortest = min(samples, key=lambda sample: len(sample.audio), default=None)
    if shortest is None:
        return None
    clip = shortest.audio[: round(CLIP_S * RATE)]
    for _ in range(ROUNDS):
        firsts = [Request(n, str(uuid.uuid4()), shortest.name, clip) for n in range(workers)]
        await asyncio.gather(*(_ask(request, url, way, load) for request in firsts))
        if failed := next((request for request in firsts if request.error), None):
            return f"target={way.target.name}: a first request, before the load, failed: {failed.error}{_doubt(failed)}"
    return None


def longest_s(target: TargetConfig) -> float:
    """How long `warm` takes at most."""
    return ROUNDS * target.probe_timeout


def _doubt(request: Request) -> str:
    """Of one to whom nothing was answered: servers of another kind say why they close in words of their own, or not."""
    heard = request.results or request.partials or request.foreign
    return "" if heard or not request.unexplained else ": does the server speak the target's protocol?"


async def _ask(request: Request, url: str, way: ConnectionOptions, load: LoadConfig) -> None:
    limit = way.target.probe_timeout
    try:
        await asyncio.wait_for(perform(request, url, load, lambda event: None, way), limit)
    except asyncio.TimeoutError:
        if request.final is None:
            reason = (
                f"{url} gave no final result within target.probe_timeout = {limit:g} s: does it speak the target's "
                "protocol, and has it loaded its model?"
            )
            request.error = misdelivered(request, reason)
