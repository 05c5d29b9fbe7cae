"""`archive`: what goes into a sweep's zip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class ArchiveConfig:
    """What goes into a sweep's zip."""

    enabled: bool = setting(True, "make a zip of each sweep")
    samples: bool | None = setting(None, "pack the audio; null: shipped sets only")
    transcripts: bool = setting(True, "false: hashes instead of recognized texts and sample names")

    def problems(self) -> Iterator[str]:
        if self.samples and not self.transcripts:
            yield "archive.transcripts=false: keeps texts and names out, but archive.samples=true packs audio; drop one"
