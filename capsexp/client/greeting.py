"""Checks whether a server accepts the kind of connection that a target opens."""

from __future__ import annotations

import asyncio

from capsexp.address import no_address
from capsexp.client.reasons import CAUGHT, why
from capsexp.client.transports import ConnectionOptions, opened
from capsexp.client.transports.base import OPEN_S


def refusal(url: str, way: ConnectionOptions, message_s: float) -> str:
    """Why a connection is not taken; nothing if it is. `message_s`: as `why` has it."""
    target = way.target

    async def greet() -> None:
        async with opened(target.transport, target.at(url), way, {}):
            pass

    try:
        asyncio.run(asyncio.wait_for(greet(), OPEN_S))
    except CAUGHT as error:
        return why(error, url, message_s, way)
    except ValueError:
        return no_address(url, target.transport)
    return ""
