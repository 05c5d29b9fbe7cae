"""The documentation as a site: whole, every link leads somewhere, and nothing is fetched by who reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra docs")
ROOT = Path(__file__).resolve().parent.parent
# What a page loads by itself; a link is followed by its reader.
LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?:)?//"
    r"|<link\b[^>]*\brel=\"(?:stylesheet|preload|preconnect)\"[^>]*\bhref=\"(https?:)?//"
)


@pytest.mark.slow
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    assert [page.name for page in pages if LOADS.search(page.read_text("utf-8"))] == []
    linked = (tmp_path / "site/index.html").read_text("utf-8")
    assert 'href="how-to/report/"' in linked and 'href="LICENSE"' not in linked
