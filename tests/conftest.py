"""One setting scales every timeout: CAPSEXP_TEST_SLOW=5 for a machine five times as slow.

A plain `pytest` runs the fast tests; with --all, or where files are named, the slow ones run as well."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import soundfile
from hypothesis import settings

from tests.support import PATIENCE, noise
from tests.support.bench import Bench

SWEEPS = {"bench", "finished"}  # fixtures that run whole sweeps, in processes of their own: what uses one is slow
LONGEST = 10 * PATIENCE  # s, that a test may take with its fixtures: it fails then, and is cleaned up after


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="the slow tests too, where no file is named")


def pytest_configure(config: pytest.Config) -> None:
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    if not (named or config.option.all or config.option.markexpr):
        config.option.markexpr = "not slow"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SWEEPS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST))


settings.register_profile("shared", deadline=None)  # a busy neighbour is no counterexample
settings.load_profile("shared")

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that: here they must not.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def config_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the user's own files, so that no test writes into the real one."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    return Path(os.environ["XDG_CONFIG_HOME"])


@pytest.fixture
def audio_dir(tmp_path: Path) -> Path:
    """Four files of noise, which engine=null tells apart: 3, 6, 9 and 23 s."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number, seconds in enumerate((3, 6, 9, 23)):
        soundfile.write(folder / f"n{number}.wav", noise(seconds, number), 16_000, subtype="FLOAT")
    return folder


@pytest.fixture
def bench(tmp_path: Path, audio_dir: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, audio_dir)
    yield bench
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("CAPSEXP_TEST_MARK") == bench.mark:
                process.kill()
