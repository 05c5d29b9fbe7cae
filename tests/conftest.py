"""One setting scales every timeout: CAPSEXP_TEST_SLOW=5 for a machine five times as slow."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

SLOW = float(os.environ.get("CAPSEXP_TEST_SLOW", "1"))
PATIENCE = 60 * SLOW  # s, for things that take about one


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
