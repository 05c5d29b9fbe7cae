"""One setting scales every timeout: CAPSEXP_TEST_SLOW=5 for a machine five times as slow."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import soundfile
from hypothesis import settings

if TYPE_CHECKING:
    from bench import Bench

SLOW = float(os.environ.get("CAPSEXP_TEST_SLOW", "1"))
PATIENCE = 60 * SLOW  # s, for things that take about one


settings.register_profile("shared", deadline=None)  # a busy neighbour is no counterexample
settings.load_profile("shared")

# A shell ignores Ctrl-C for what it starts in the background, and children inherit that: here they must not.
signal.signal(signal.SIGINT, signal.default_int_handler)


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


@pytest.fixture
def audio_dir(tmp_path: Path) -> Path:
    """Four files of noise, which engine=null tells apart: 3, 6, 9 and 23 s."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number, seconds in enumerate((3, 6, 9, 23)):
        soundfile.write(folder / f"n{number}.wav", noise(seconds, number), 16_000, subtype="FLOAT")
    return folder


@pytest.fixture
def bench(tmp_path: Path, audio_dir: Path) -> "Iterator[Bench]":
    from bench import Bench

    bench = Bench(tmp_path, audio_dir)
    yield bench
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("CAPSEXP_TEST_MARK") == bench.mark:
                process.kill()
