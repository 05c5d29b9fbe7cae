"""`samples`: the audio that is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class SamplesConfig:
    """The shipped clips: synthetic voices, with transcripts."""

    name: str = setting("speech", "which samples")
    set: str = setting("speech", "a named list in samples/manifest.json; dir: all files in samples.dir")
    dir: str | None = setting(None, "samples=dir: folder of your own audio")
    language: str | None = setting(
        None, "language spoken, e.g. zh; null: that of the set, otherwise guessed from the script of the transcripts"
    )
    minutes: float | None = setting(None, "join clips into one file of this length, in minutes", above=True)
    concurrency: int = setting(0, "load.concurrency, unless that is given")

    def problems(self) -> Iterator[str]:
        if self.dir is not None and self.set != "dir":
            yield f"samples.dir: is used with samples=dir only, but samples={self.name} is chosen; add samples=dir"
