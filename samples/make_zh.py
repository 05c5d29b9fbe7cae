"""Makes the Mandarin samples and their entries in the manifest anew: python samples/make_zh.py

Needs espeak-ng (the library) and ffmpeg. The sentences are drawn from those that `training/` holds out, by a
seed, and none was chosen for being easy; two of the voices were never trained on either.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import encode  # noqa: E402

from training import augment, texts, voice  # noqa: E402

SEED = 2001
PAUSE_S = (0.3, 0.8)  # between sentences
LEVEL = 0.7  # peak of every clip


@dataclass(frozen=True)
class Clip:
    """`seconds`: sentences are added until it is as long; `noise`: how much weaker than the speech, dB."""

    file: str
    seconds: float
    variant: str
    speed: int
    pitch: int
    rate: int
    channels: int = 1
    bits: str = "64k"
    noise: float | None = None


CLIPS = (
    Clip("zh/01-f2.wav", 5, "f2", 170, 55, 16000),
    Clip("zh/02-m2.flac", 10, "m2", 180, 45, 22050),
    Clip("zh/03-f5.mp3", 14, "f5", 190, 50, 44100, channels=2, bits="96k"),
    Clip("zh/04-david.ogg", 18, "david", 160, 40, 48000, noise=30),
    Clip("zh/05-m3.mp3", 12, "m3", 175, 50, 22050, noise=25),
    Clip("zh/06-f4.ogg", 24, "f4", 185, 60, 44100),
    Clip("zh/07-klatt.flac", 8, "klatt", 165, 40, 16000, noise=20),
    Clip("zh/08-alicia.wav", 6, "Alicia", 200, 55, 16000),
    Clip("zh/09-m6.mp3", 26, "m6", 150, 35, 22050, noise=35),
    Clip("zh/10-long.mp3", 66, "m4", 175, 48, 22050),
)
LONG = "zh/10-long.mp3"


def spoken(speaker: voice.Voice, clip: Clip, rng: np.random.Generator) -> tuple[augment.Audio, str, list[float]]:
    """Audio at the voice's own rate, what is said in it, and when each character begins, in seconds."""
    writer = texts.Writer(texts.read(), rng, held_out=True)
    parts = [np.zeros(int(0.25 * voice.RATE), np.float32)]
    said, starts = "", []
    while sum(map(len, parts)) < clip.seconds * voice.RATE:
        speech = speaker.speak(writer.sentence(), clip.variant, clip.speed, clip.pitch)
        starts += [round(sum(map(len, parts)) / voice.RATE + float(start), 3) for start in speech.starts]
        pause = np.zeros(int(rng.uniform(*PAUSE_S) * voice.RATE), np.float32)
        parts += [speech.audio[: int((speech.ends[-1] + 0.1) * voice.RATE)], pause]
        said += speech.characters
    audio = np.concatenate(parts)
    if clip.noise is not None:
        audio = augment.with_noise(rng, audio, clip.noise, clip.noise)
    return audio * np.float32(LEVEL / np.abs(audio).max()), said, starts


def make(speaker: voice.Voice, clip: Clip, number: int) -> dict[str, Any]:
    """Write a clip; returns its entry in the manifest, with `starts_s`, which go into a file of their own."""
    audio, said, starts = spoken(speaker, clip, np.random.default_rng((SEED, number)))
    audio = soxr.resample(audio, voice.RATE, clip.rate) if clip.rate != voice.RATE else audio
    facts = encode.write(HERE / clip.file, audio, clip.rate, clip.channels, ["-b:a", clip.bits])
    voiced = f"espeak-ng cmn-latn-pinyin+{clip.variant}"
    return {"file": clip.file, "text": said, **facts, "voice": voiced, "starts_s": starts}


def main() -> None:
    speaker = voice.Voice()
    entries = [make(speaker, clip, number) for number, clip in enumerate(CLIPS)]
    starts = {entry["file"]: entry.pop("starts_s") for entry in entries}
    (HERE / "zh" / "times.json").write_text(json.dumps(starts) + "\n", "utf-8")
    path = HERE / "manifest.json"
    whole = json.loads(path.read_text("utf-8"))
    others = [clip for clip in whole["clips"] if not clip["file"].startswith("zh/")]
    files = [entry["file"] for entry in entries]
    whole["clips"] = others + entries
    whole["sets"]["zh"] = [LONG, *(file for file in files if file != LONG)]
    whole.setdefault("languages", {})["zh"] = "zh"
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    size = sum((HERE / file).stat().st_size for file in files)
    print(f"{len(files)} clips, {sum(e['duration_s'] for e in entries):.1f} s, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
