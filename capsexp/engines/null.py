"""No recognition: a word for every quarter of a second, made from the bytes of the audio.

Different audio gives different words, so that lost or misdelivered text shows; the grid is that of the task, so that
both sides of an overlap agree. Sleeping stands for work that needs no core, which is how 64 workers fit on 2.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from capsexp.engines.base import EngineConfig
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.setting import setting

BLOCK = RATE // 4


@dataclass
class NullConfig(EngineConfig):
    """No recognition: timed tokens from the bytes of the audio. For tests and for the harness's own ceiling."""

    fork_safe: ClassVar[bool] = True
    shareable: ClassVar[bool] = True
    one_core: ClassVar[bool] = True
    speaks: ClassVar[bool] = False

    name: str = "null"
    rtf: float = setting(0.0, "simulated work: sleeps rtf x new audio")
    jitter: float = setting(0.0, "sigma of a log-normal factor on the simulated work")
    seed: int | None = setting(0, "seed of the jitter; null: another factor each time, as on real machines", high=2**64)
    load_s: float = setting(0.0, "simulated time to load a model, s per worker")
    memory_mb: float = setting(0.0, "simulated size of a model, MB per worker")
    scratch_mb: float = setting(
        0.0, "address space that a segment needs while it is recognized, MB (for fault=memory_limit)"
    )
    crash_on: str | None = setting(None, "a token; a segment that contains it kills the worker (for tests)")


NullConfig.measures = frozenset(each.name for each in fields(NullConfig))
Settings = NullConfig


class NullEngine:
    def __init__(self, config: NullConfig) -> None:
        self.config = config
        self.about = {"library": "capsexp", "threads": 1, "device": "cpu"}
        self._ballast = np.ones(int(config.memory_mb * 2**20 / 8))  # touched, so that it is resident
        time.sleep(config.load_s)

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        tokens, times = [], []
        for at in range(-start % BLOCK, len(audio), BLOCK):
            digest = zlib.crc32(np.ascontiguousarray(audio[at : at + BLOCK]).tobytes())
            # A block cut short by the segment's edge is left to the segment that holds it whole, if one does.
            if at + BLOCK <= len(audio) or at + BLOCK > len(audio) >= at + BLOCK // 2:
                tokens.append(f"{digest:08x}")
                times.append(at / RATE)
        if self.config.crash_on and self.config.crash_on in tokens:
            os._exit(9)
        scratch = np.zeros(int(self.config.scratch_mb * 2**17))  # not touched, so that it costs no time
        seconds = self.config.rtf * (len(audio) - shared) / RATE
        if seconds > 0:
            if self.config.jitter:
                seconds *= self._random(tokens).lognormvariate(0, self.config.jitter)
            time.sleep(seconds)
        del scratch
        return Recognition(tokens, times)

    def _random(self, tokens: list[str]) -> random.Random:
        """Seeded by the segment, so that it takes the same time on any worker."""
        if self.config.seed is None:
            return random.Random()
        return random.Random(zlib.crc32(" ".join(tokens).encode(), self.config.seed))


def load(config: NullConfig, threads: int) -> NullEngine:
    return NullEngine(config)
