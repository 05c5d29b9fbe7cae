"""The documentation as a site: whole, every link leads somewhere, and nothing is fetched by who reads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from capsexp.experiment.sweep import plan
from tests.support import PATIENCE, documents

ROOT = documents.ROOT
# What a page loads by itself; a link is followed by its reader.
LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?:)?//"
    r"|<link\b[^>]*\brel=\"(?:stylesheet|preload|preconnect)\"[^>]*\bhref=\"(https?:)?//"
)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra docs")
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


def test_every_link_of_a_document_leads_to_a_file_and_a_heading() -> None:
    """As a repository's page shows them; what is elsewhere on the net is not fetched."""
    dead, followed = [], 0
    for page in documents.linked():
        for target, anchor in documents.links(page):
            there = (page.parent / target).resolve() if target else page
            followed += 1
            if not there.exists() or (anchor and anchor not in documents.headings(there)):
                dead.append(f"{page.relative_to(ROOT)}: {target}{anchor and f'#{anchor}'}")
    assert dead == []
    assert followed > 100


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](b.md) and [c](d/e.md#f-g)", [("b.md", ""), ("d/e.md", "f-g")]),
        ("![a picture](x.svg), [here](#below)", [("x.svg", ""), ("", "below")]),
        ("[elsewhere](https://example.org/a), [mail](mailto:a@example.org)", []),
        ("    [in code](a.md)", []),
        ("`[in code](a.md)`", []),
        ("[![a picture](x.png)](y.md)", [("x.png", ""), ("y.md", "")]),
    ],
)
def test_links_are_those_that_a_reader_can_follow(tmp_path: Path, text: str, found: list[tuple[str, str]]) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    assert sorted(documents.links(page)) == sorted(found)


def test_a_heading_is_linked_as_repositories_do(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# What's new\n\n## `pool=`, and more\n\n    # no heading\n\n## Again\n\n## Again\n")
    assert documents.headings(page) == {"whats-new", "pool-and-more", "again", "again-1"}


BLOCKS = list(documents.blocks())
SWEEPS = [(b.place, given) for b in BLOCKS for line in b.lines if (given := documents.overrides(line)) is not None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home: clips, a model, a program that starts a server."""
    home = tmp_path_factory.mktemp("home")
    clips = home / "clips"
    clips.mkdir()
    shutil.copy(ROOT / "samples/speech/01-travel.wav", clips)
    (home / "model").symlink_to(ROOT / "capsexp/data/paraformer-mini")
    (home / "my_server.py").write_text(
        "import os, sys\n"
        "workers, port = [word for word in sys.argv[1:] if word.isdigit()]\n"
        "line = [sys.executable, '-m', 'capsexp.server', f'workers={workers}', f'server.port={port}']\n"
        "os.execv(line[0], line)\n"
    )
    return home


@pytest.fixture(scope="module")
def sweep(home: Path) -> Path:
    """What SWEEP, BEFORE and AFTER stand for."""
    line = (
        "python -m capsexp engine=null engine.rtf=0.02 samples=quick workers=1,2 trials=3 load.repeats=1 validity=off"
    )
    done = shell(f"{line} hydra.sweep.dir={home}/sweep", home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "sweep"


def shell(line: str, home: Path, **names: str) -> subprocess.CompletedProcess[str]:
    line = re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], line) if names else line
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], cwd=home, capture_output=True, text=True, timeout=4 * PATIENCE, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | {"HOME": str(home), "PATH": path},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("place", "given"), SWEEPS, ids=[f"{place}-{n}" for n, (place, _) in enumerate(SWEEPS)])
def test_every_sweep_that_is_shown_can_be_planned(place: str, given: list[str], home: Path) -> None:
    """Its settings are there, and their values right, whether its server and model are here or not."""
    given = [o.replace("~", str(home)) for o in given if not o.startswith("trials=")]
    assert plan([*given, "trials=1"], None, "config").planned, place


@pytest.mark.slow
@pytest.mark.timeout(20 * PATIENCE)  # README's block has five sweeps
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.run], ids=lambda b: b.place)
def test_what_is_marked_runs(block: documents.Block, home: Path, sweep: Path) -> None:
    folder, run = str(sweep), next(sweep.glob("0-*"))
    names = {**dict.fromkeys(("SWEEP", "BEFORE", "BASELINE"), folder), "RUN": str(run)}
    names |= dict.fromkeys(("AFTER", "NOW", "MON", "TUE", "WED", "THU", "FRI"), f"{folder}.zip")
    for line in block.lines:
        given = documents.overrides(line)
        if given is not None and any(o.startswith(("server.url=", "server=sherpa_onnx")) for o in given):
            continue  # a server at an address of its own, or at every address (tests/experiment/test_real_servers.py)
        done = shell(f"{line} {block.overrides}" if given is not None else line, home, **names)
        assert done.returncode in block.codes, f"{line}\n{done.stdout}{done.stderr}"
