"""What is planted, a file for each family; in the order in which it is shown."""

from __future__ import annotations

from capsexp.selftest.plant import Plant
from capsexp.selftest.plants import leak, memory, neighbour, pace, speech, texts

PLANTS: tuple[Plant, ...] = (
    *pace.PLANTS, *memory.PLANTS, *texts.PLANTS, *speech.PLANTS, *leak.PLANTS, *neighbour.PLANTS,
)  # fmt: skip
