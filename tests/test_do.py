"""./do: from where it is called."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DO = Path(__file__).resolve().parents[1] / "do"
ECHO = '#!/bin/sh\nprintf "%s|" "$PWD" "$@"\n'


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A checkout whose Python tells what it is asked, and from where."""
    there = tmp_path / "check out"
    (there / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(DO, there / "do")
    (there / ".venv" / "bin" / "python").write_text(ECHO)
    (there / ".venv" / "bin" / "python").chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        (there / name).write_text("")
    known = subprocess.run(["cksum"], input=b".", capture_output=True, check=True).stdout.decode().split()[0]
    (there / ".venv" / f".installed-{known}").touch()  # of what ./do installs: nothing more
    return there


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's")
@pytest.mark.parametrize(
    ("asked", "ran"),
    [
        (["run", "samples=dir", "samples.dir=mine"], ["capsexp", "samples=dir", "samples.dir=mine"]),
        (["run"], ["capsexp", "workers=1,2,3", "-m"]),
        (["report", "outputs/x y"], ["capsexp.report", "outputs/x y"]),
        (["serve"], ["capsexp.server"]),
    ],
)
def test_what_a_command_names_is_found_from_where_the_user_stands(
    there: Path, tmp_path: Path, asked: list[str], ran: list[str]
) -> None:
    stood = tmp_path / "somewhere"
    stood.mkdir()
    done = subprocess.run([there / "do", *asked], cwd=stood, capture_output=True, text=True, check=True)
    assert done.stdout.split("|")[:-1] == [str(stood), "-m", *ran], done.stderr
