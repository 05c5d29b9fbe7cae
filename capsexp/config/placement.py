"""`placement`: which CPUs the workers are pinned to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.config.checks import one_of
from capsexp.placement import KINDS


@dataclass
class PlacementConfig:
    """`name`: `none`, or how the workers of our own server are pinned to CPUs; see docs/how-to/placement.md."""

    name: str = "none"

    def problems(self, server: str) -> Iterator[str]:
        """`server`: the kind of server that is to be pinned."""
        yield from one_of("placement", self.name, KINDS)
        if self.name == "none":
            return
        if server != "local":
            yield (
                f"placement={self.name}: pins the workers of server=local; of another server let its own command do "
                "it (taskset, numactl)"
            )
        elif sys.platform != "linux":
            yield f"placement={self.name}: only Linux pins threads to CPUs; leave placement away"
