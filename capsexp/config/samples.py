"""`samples`: the audio that is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.bounds import number


@dataclass
class SamplesConfig:
    name: str = "speech"
    set: str = "speech"  # a named list in samples/manifest.json, or `dir`
    dir: str | None = None
    language: str | None = None  # what is spoken, e.g. zh; None: as the set says, else by its transcripts' script
    minutes: float | None = number(None, above=True)  # join clips into one file of this length
    concurrency: int = 0  # what load.concurrency is, unless it is given

    def problems(self) -> Iterator[str]:
        if self.dir is not None and self.set != "dir":
            yield f"samples.dir: is read with samples=dir only, and samples={self.name} is chosen"
