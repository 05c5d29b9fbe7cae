"""A hook of MkDocs: what stands outside of docs/ and belongs on the site, so that nothing is written twice."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
BROUGHT = {  # a file of the repository, and the page that it becomes
    "README.md": "index.md",
    "README.zh.md": "zh/index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "training/README.md": "training.md",
    "LICENSE": "licence.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for source, page in BROUGHT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that are right in the repository become right on the site; to what is not on it, plain text."""
    here = page.file.src_uri
    source = {name: source for source, name in BROUGHT.items()}.get(here, f"docs/{here}")

    def placed(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        there = BROUGHT.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if there is None:
            return link[1]
        return f"[{link[1]}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{link[3] or ''})"

    return _LINK.sub(placed, markdown)
