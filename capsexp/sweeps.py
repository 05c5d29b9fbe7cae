"""Sweeps that were made, as the commands read them that put several side by side: folders or zips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from capsexp import archive
from capsexp.analysis.aggregate import Observed
from capsexp.report.build import observe
from capsexp.results.read import SweepFiles, read_sweep


@dataclass(frozen=True)
class Swept:
    """`name`: of its folder or zip; with its path where two would be called the same."""

    name: str
    files: SweepFiles
    observed: list[Observed]


@contextmanager
def opened(words: Sequence[str]) -> Iterator[list[Swept]]:
    """Each with what its tables say; raises ArchiveError where one is not as it was written."""
    with ExitStack() as stack:
        folders = [_folder(Path(word), stack) for word in words]
        stack.enter_context(archive.as_written(*folders))
        names, files = [Path(word).name for word in words], [read_sweep(folder) for folder in folders]
        called = words if len(set(names)) < len(names) else names
        yield [Swept(name, one, observe(one)) for name, one in zip(called, files, strict=True)]


def _folder(path: Path, stack: ExitStack) -> Path:
    return path if path.is_dir() else stack.enter_context(archive.unpacked(path))
