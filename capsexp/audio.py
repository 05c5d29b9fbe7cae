"""Any audio file -> float32, 16 kHz, mono."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from capsexp.errors import SampleError
from capsexp.protocol import RATE, Audio

SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".w64"}  # libsndfile
    | {".m4a", ".mp4", ".m4b", ".aac", ".wma", ".webm", ".mkv", ".mov", ".amr"}  # ffmpeg
)


def load(path: Path) -> Audio:
    """Decode a file; raises SampleError naming it.

    libsndfile reads wav, flac, mp3, ogg and opus; what it cannot read goes through `ffmpeg` where that is installed.
    """
    import soundfile
    import soxr

    if not path.is_file():
        raise SampleError(f"{path.name}: no such file")
    if path.stat().st_size == 0:
        raise SampleError(f"{path.name}: the file is empty")
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        return _check(_ffmpeg(path, str(error)), path)
    mono = channels.mean(axis=1, dtype=np.float32)
    return _check(mono if rate == RATE else soxr.resample(mono, rate, RATE), path)


def _check(audio: Audio, path: Path) -> Audio:
    if len(audio) == 0:
        raise SampleError(f"{path.name}: no audio in it")
    if not np.isfinite(audio).all():
        raise SampleError(f"{path.name}: holds samples that are no numbers; the file is damaged")
    return np.ascontiguousarray(audio, np.float32)


def _ffmpeg(path: Path, reason: str) -> Audio:
    program = shutil.which("ffmpeg")
    if program is None:
        raise SampleError(
            f"{path.name}: libsndfile cannot read it and ffmpeg, which might, is not installed ({_line(reason)})"
        )
    # The file: prefix keeps a name such as "concat:..." from being read as one of ffmpeg's protocols.
    command = [
        program,
        "-v",
        "error",
        "-nostdin",
        "-i",
        f"file:{path}",
        "-f",
        "f32le",
        "-ac",
        "1",
        "-ar",
        str(RATE),
        "-",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SampleError(
            f"{path.name}: neither libsndfile nor ffmpeg can read it ({said[-1] if said else _line(reason)})"
        )
    return np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], "<f4")


def _line(reason: str) -> str:
    return reason.splitlines()[0] if reason else "unknown format"
