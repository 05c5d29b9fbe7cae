"""`samples`: the audio that is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class SamplesConfig:
    """The shipped clips: synthetic voices, with transcripts."""

    name: str = setting("speech", "which samples")
    set: str = setting("speech", "a named list in samples/manifest.json; dir: the files below samples.dir")
    dir: str | None = setting(None, "samples=dir: the folder of your own audio")
    language: str | None = setting(
        None, "what is spoken, e.g. zh; null: as the set says, else by the script of the transcripts"
    )
    minutes: float | None = setting(None, "join clips into one file of this length", above=True)
    concurrency: int = setting(0, "what load.concurrency is, unless it is given")

    def problems(self) -> Iterator[str]:
        if self.dir is not None and self.set != "dir":
            yield f"samples.dir: is read with samples=dir only, and samples={self.name} is chosen"
