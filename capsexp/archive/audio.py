"""Audio packed in an archive."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from capsexp.config import SamplesConfig
from capsexp.errors import SampleError
from capsexp.samples import paths


def packed(sets: Iterable[SamplesConfig], wanted: bool | None) -> list[SamplesConfig]:
    """Of the sample sets of a sweep those whose audio is packed: as `archive.samples` says, by default the shipped."""
    found = {config.set: config for config in sets if wanted or (wanted is None and config.set != "dir")}
    return list(found.values())


def bring(folder: Path, sets: Iterable[SamplesConfig]) -> None:
    """Copy the audio of each set, with its transcripts, to samples/<set>/ of a sweep's folder. Raises OSError."""
    for config in sets:
        target = folder / "samples" / config.set
        try:
            files = paths(config)
        except SampleError:
            continue  # the runs have said so
        target.mkdir(parents=True, exist_ok=True)
        for name, path, text in files:
            try:
                if not path.is_file():  # copying a FIFO or a device may never end
                    continue
                source = path.open("rb")
            except OSError:
                continue  # the runs have gone on without it, too
            with source, (target / name).open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            if text is not None:
                (target / f"{name}.txt").write_text(text + "\n", "utf-8")
