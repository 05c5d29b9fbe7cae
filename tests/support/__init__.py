"""What tests share: limits in time, scaled by one setting (CAPSEXP_TEST_SLOW=5: a machine five times as slow), and
noise that engine=null tells apart."""

import os
from pathlib import Path

import numpy as np

SLOW = float(os.environ.get("CAPSEXP_TEST_SLOW", "1"))
PATIENCE = 60 * SLOW  # s, for things that take about one
LEGACY = Path(__file__).with_name("legacy_server.py")  # somebody else's server


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
