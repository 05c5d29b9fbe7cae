"""A run that is made elsewhere is made in a folder of its own within its run's, an attempt: what a job that was given
up still writes there never meets what counts."""

from __future__ import annotations

from pathlib import Path

PREFIX = ".attempt-"


def number(attempt: Path) -> int:
    """0 for what is none."""
    said = attempt.name.removeprefix(PREFIX)
    return int(said) if attempt.name.startswith(PREFIX) and said.isdecimal() else 0


def folders(run_dir: Path) -> list[Path]:
    """Those that are there, the newest last."""
    found = [path for path in run_dir.glob(f"{PREFIX}*") if number(path) and not path.is_symlink()]
    return sorted(found, key=number)


def place(run_dir: Path) -> Path:
    """Where a run's files are: in its folder or, while it is made elsewhere, in that of its newest attempt."""
    tried = [] if (run_dir / "run.json").is_file() else folders(run_dir)
    return tried[-1] if tried else run_dir
