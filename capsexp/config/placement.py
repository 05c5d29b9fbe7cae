"""`placement`: which CPUs the workers are pinned to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.placement import KINDS
from capsexp.setting import setting


@dataclass
class PlacementConfig:
    """Which CPUs the workers of our own server are pinned to; see docs/how-to/placement.md."""

    name: str = setting("none", "how workers are pinned", choices=KINDS)

    def problems(self, server: str) -> Iterator[str]:
        """`server`: the kind of server that is to be pinned."""
        if self.name == "none":
            return
        if server != "local":
            yield (
                f"placement={self.name}: pins the workers of server=local only; for another server, use taskset or "
                "numactl in its command"
            )
        elif sys.platform != "linux":
            yield f"placement={self.name}: only Linux can pin threads to CPUs; leave placement out"
