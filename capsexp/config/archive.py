"""`archive`: what of a sweep is packed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class ArchiveConfig:
    enabled: bool = True
    samples: bool | None = None  # None: pack shipped sets, leave the user's own audio out
    transcripts: bool = True  # False: hashes in place of texts and of the names of samples

    def problems(self) -> Iterator[str]:
        if self.samples and not self.transcripts:
            yield "archive.transcripts=false: keeps texts and names out, and archive.samples=true the audio in"
