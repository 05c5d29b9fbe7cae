"""What the suite promises of itself: every test has an end, the slow ones are known, and none needs another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

from tests.support import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
HANGING = """
import asyncio, time, pytest

@pytest.mark.parametrize("wait", [lambda: time.sleep(1e6), lambda: asyncio.run(asyncio.sleep(1e6))])
def test_that_never_ends(wait):
    wait()

@pytest.mark.slow
def test_slow():
    pass

def test_that_uses_a_bench(bench):
    pass

def test_right():
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = -p no:cacheprovider --strict-markers\n")
    (tmp_path / "test_made.py").write_text(HANGING)
    return tmp_path


def pytest_says(suite: Path, *arguments: str, slow: str = "1") -> str:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments], cwd=suite, capture_output=True, text=True,
        timeout=PATIENCE, env={**os.environ, "CAPSEXP_TEST_SLOW": slow, "PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_a_test_that_never_ends_fails_and_the_others_go_on(suite: Path) -> None:
    said = pytest_says(suite, "-k", "never or right", slow="0.002")  # 1.2 s
    assert "2 failed, 1 passed" in said, said
    assert said.count("Failed: Timeout (>1.2s)") >= 2, said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "found"),
    [([], 3), (["--all"], 5), (["test_made.py"], 5)],
)
def test_a_plain_call_runs_the_fast_tests(suite: Path, arguments: list[str], found: int) -> None:
    said = pytest_says(suite, "--collect-only", *arguments)
    assert said.count("::test_") == found, said


def test_the_pure_packages_are_held_to_every_branch() -> None:
    """A measurement without these would pass, whatever it found."""
    settings = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    assert settings.get_option("report:fail_under") == 100
    assert settings.get_option("run:branch") is True
    assert settings.get_option("run:source_pkgs") == ["capsexp.protocol", "capsexp.segments", "capsexp.analysis"]


def test_what_tests_share_is_in_support() -> None:
    """A test that imports another cannot be moved, renamed or run without it."""
    shared = re.compile(r"^ *(?:from|import) (?:tests\.(?!support\b)|test_|conftest\b)", re.MULTILINE)
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert [path.name for path in files if shared.search(path.read_text("utf-8"))] == []


def test_tests_are_in_the_folder_of_what_they_test() -> None:
    packages = {path.parent.name for path in (ROOT / "capsexp").glob("*/__init__.py")}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - packages == set()
