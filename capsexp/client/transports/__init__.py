"""Transports, one class each: they send the frames of a target and return what the server answers."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import cast

from capsexp.client.transports.base import OPEN, Connection, ConnectionOptions, Ended, Garbled, Opening, Redirected

__all__ = ["OPEN", "Connection", "ConnectionOptions", "Ended", "Garbled", "Redirected", "opened"]


def opened(
    transport: str, url: str, way: ConnectionOptions, head: Mapping[str, str], keep: bool = False
) -> AbstractAsyncContextManager[Connection]:
    """A connection; see `Opening`. Only the transport that is used is imported."""
    module = importlib.import_module(f"{__name__}.{transport}")
    return cast(Opening, module.opened)(url, way, head, keep)
