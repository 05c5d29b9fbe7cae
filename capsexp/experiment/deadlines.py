"""How long each wait of a run may take, in seconds, and so a whole run."""

from __future__ import annotations

from capsexp.client.warm import longest_s
from capsexp.config import Config

SPARE_S = 30.0  # that a client may take beyond its own limits
PATIENCE_S = 600.0  # for a run to begin and to be recorded, on a slow disk
TOOLS = 3  # monitor, client and what injects faults: each is waited for as long as the server
WAYS = 3  # to end a process: by request, SIGTERM, SIGKILL


def first_requests(config: Config) -> float:
    """For all of those before the load."""
    return longest_s(config.target) + SPARE_S


def load(config: Config) -> float:
    """For the client, from the word to go until it has ended."""
    return 3600 * (config.hours or 0.0) + config.load.timeout + SPARE_S


def run(config: Config) -> float:
    """All of it, however it ends: what is launched gets ready, what was harmed recovers, and all are ended."""
    ready, grace = (1 + TOOLS) * config.server.ready_timeout, config.server.grace
    ending = ((1 + TOOLS) * WAYS + 2) * grace  # somebody else's server may leave processes, to which two signals go
    return ready + first_requests(config) + load(config) + grace + ending + PATIENCE_S
