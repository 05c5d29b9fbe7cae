"""Sounds to make files of, and files that are as their writers leave them."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
CLIPS = Path(__file__).resolve().parents[2] / "samples" / "speech"


def tone(seconds: float, rate: int = RATE, seed: int = 1, channels: int = 1) -> np.ndarray[Any, Any]:
    t = np.arange(int(seconds * rate)) / rate
    one = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.02 * np.random.default_rng(seed).standard_normal(len(t))
    return np.repeat(one[:, None], channels, 1).astype(np.float32)


def encoded(
    seconds: float, form: str = "WAV", subtype: str | None = None, rate: int = RATE, channels: int = 1, seed: int = 1
) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(seconds, rate, seed, channels), rate, subtype, format=form)
    return out.getvalue()


def wav(path: Path, seconds: float = 2, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seconds, seed=seed))
    return path


def sized(content: bytes, size: int) -> bytes:
    """A WAV whose header says `size` bytes of data."""
    return content[:40] + struct.pack("<I", size) + content[44:]


def streamed(content: bytes) -> bytes:
    """A FLAC by an encoder that wrote to a pipe: STREAMINFO's 36 bits of total samples are zero."""
    head = bytearray(content)
    head[21] &= 0xF0
    head[22:26] = bytes(4)
    return bytes(head)


def ffmpeg(source: Path, target: Path, *options: str) -> None:
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-ar", "44100", *options, str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
