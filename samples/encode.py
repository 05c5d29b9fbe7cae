"""How a clip is written, and what the manifest says of the file. Needs ffmpeg for mp3 and ogg."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

LOSSY = {".mp3": "libmp3lame", ".ogg": "libvorbis"}


def write(target: Path, audio: npt.NDArray[Any], rate: int, channels: int, quality: list[str]) -> dict[str, Any]:
    """Write (samples,) at `rate` as the name of `target` says, with ffmpeg's `quality` where that is lossy; returns
    the entry's facts as a decoder finds them."""
    if channels == 2:
        audio = np.stack([audio, 0.8 * audio], axis=1)  # unequal, so that mixing down does something
    target.parent.mkdir(exist_ok=True)
    if target.suffix in LOSSY:
        whole = target.with_name(f".{target.name}.wav")
        soundfile.write(whole, audio, rate, "PCM_16")
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(whole), "-c:a", LOSSY[target.suffix], *quality]
        # bitexact: no random serial number, no encoder's version.
        exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
        try:
            subprocess.run([*command, *exact, str(target)], check=True)
        finally:
            whole.unlink()
    else:
        soundfile.write(target, audio, rate, "PCM_16")
    decoded, rate = soundfile.read(target, always_2d=True)
    return {
        "duration_s": round(len(decoded) / rate, 3),
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "rate": rate,
        "channels": decoded.shape[1],
    }
