"""The commands that the documents show, and which of them a test runs.

`<!-- run -->` before a block of code has its lines run in a shell, one after the other. `with key=value ...` adds
overrides to its sweeps, so that they are short; `exit 0 or 4` says how each line may end.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md")))
_MARK = re.compile(r"<!-- run(?: with (?P<overrides>[^,>]+?))?(?:, exit (?P<codes>\d+(?: or \d+)*))? -->")
_WORDS = {"./do run": "python -m capsexp", "./do report": "python -m capsexp.report"}


_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Block:
    """`place`: page and line, for people; `lines`: commands as they stand there, without comments."""

    place: str
    lines: tuple[str, ...]
    run: bool = False
    overrides: str = ""
    codes: frozenset[int] = frozenset({0})


def blocks() -> Iterator[Block]:
    """Each block of code with a command of ours."""
    for page in PAGES:
        mark: re.Match[str] | None = None
        lines: list[str] = []
        begun = 0
        for number, line in enumerate([*page.read_text("utf-8").splitlines(), ""], 1):
            if line.startswith("    ") and (line.strip() or lines):
                begun = begun or number
                lines.append(line.strip())
            elif lines:
                if commands := tuple(_commands(lines)):
                    codes = frozenset(map(int, (mark["codes"] or "0").split(" or "))) if mark else frozenset({0})
                    yield Block(
                        f"{page.relative_to(ROOT)}:{begun}", commands, mark is not None,
                        (mark["overrides"] or "") if mark else "", codes,
                    )  # fmt: skip
                lines, begun, mark = [], 0, None
            if found := _MARK.fullmatch(line):
                mark = found
            elif line.strip() and not line.startswith("    "):
                mark = None


def _commands(lines: list[str]) -> Iterator[str]:
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        said = next((new + line.removeprefix(old) for old, new in _WORDS.items() if line.startswith(old)), line)
        if said.startswith("python -m capsexp"):
            yield re.sub(r"\s+#.*", "", said)


def overrides(command: str) -> list[str] | None:
    """What a sweep's command sets; None for anything else."""
    words = shlex.split(command)
    asks = [word for word in words[3:] if word.startswith("--") and word != "--dry-run"]
    if words[:3] != ["python", "-m", "capsexp"] or asks or any(word.startswith("resume=") for word in words):
        return None
    return [word for word in words[3:] if not word.startswith("-")]


def linked() -> list[Path]:
    """Every document of the repository."""
    more = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md", "training/README.md")
    return [*PAGES, *(ROOT / name for name in more)]


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The path and the heading of each link to a file of the repository; either may be empty."""
    for line in page.read_text("utf-8").splitlines():
        if not line.startswith("    "):
            yield from _LINK.findall(_CODE.sub("", line))


def headings(page: Path) -> set[str]:
    """The headings of a page, spelled as GitHub links to them."""
    seen: dict[str, int] = {}
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("#"):
            name = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            seen[name] = seen.get(name, -1) + 1
    return {name if n == 0 else f"{name}-{n}" for name, most in seen.items() for n in range(most + 1)}
