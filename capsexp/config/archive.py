"""`archive`: what of a sweep is packed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class ArchiveConfig:
    """What of a sweep is packed."""

    enabled: bool = setting(True, "whether an archive is made of each sweep")
    samples: bool | None = setting(None, "pack the audio; null: shipped sets only")
    transcripts: bool = setting(True, "false: hashes in place of recognized texts and of the names of samples")

    def problems(self) -> Iterator[str]:
        if self.samples and not self.transcripts:
            yield "archive.transcripts=false: keeps texts and names out, and archive.samples=true the audio in"
