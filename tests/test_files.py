"""What is written for whoever looks on: on a terminal lines are broken between words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsexp.files import folded
from tests.support import PATIENCE

WORDS = st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=30), min_size=1)


@given(WORDS, st.integers(30, 200))
def test_a_line_is_broken_between_words_and_loses_none(words: list[str], width: int) -> None:
    lines = folded(" ".join(words), width).splitlines()
    assert " ".join(lines).split() == words
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_command_stays_one_line() -> None:
    line = "to go on: python -m capsexp resume=outputs/2026-01-01/10-00-00-sweep trials=6"
    assert folded(line, 40) == line


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_what_a_sweep_will_do_is_broken_between_words_on_a_narrow_terminal(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "capsexp", "engine=null", "workers=1,2", "trials=3", "--dry-run"]
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.Popen(line, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # Linux: the other end is closed
        pass
    assert done.wait(PATIENCE) == 0
    lines = said.decode().splitlines()
    assert "runs: 6: workers=1, workers=2, 3 trials of each" in said.decode()
    assert max(map(len, lines)) <= 80
    assert "reference=engine" in " ".join(lines).split()
