"""Sample sets: the shipped ones from a manifest, the user's own from a folder, a long one joined from clips."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capsexp import audio
from capsexp.config import SamplesConfig, nearest
from capsexp.errors import SampleError
from capsexp.protocol import RATE, Audio

PAUSE_S = 0.5  # between the clips of a joined file


@dataclass(frozen=True)
class Sample:
    """`sha256` is of the file, or of the joined samples (little-endian float32)."""

    name: str
    audio: Audio = field(repr=False)
    sha256: str
    reference: str | None = None
    path: Path | None = None

    @property
    def duration_s(self) -> float:
        return len(self.audio) / RATE


@dataclass(frozen=True)
class SampleSet:
    """What can be measured, and what could not be decoded and why."""

    samples: list[Sample]
    skipped: list[tuple[str, str]]


def samples_dir() -> Path:
    """The shipped samples: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside, beside = package / "data" / "samples", package.parent / "samples"
    return inside if inside.is_dir() else beside


def manifest(folder: Path | None = None) -> dict[str, Any]:
    """The shipped clips and sets; raises SampleError."""
    path = (folder or samples_dir()) / "manifest.json"
    try:
        loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SampleError(f"{path.name}: cannot be read ({error})") from None
    return loaded


def paths(config: SamplesConfig) -> list[tuple[str, Path, str | None]]:
    """Name, file and transcript of each sample of a set, before anything is decoded; raises SampleError."""
    if config.set == "dir":
        return _folder(config.dir)
    root, known = samples_dir(), manifest()
    if config.set not in known["sets"]:
        raise SampleError(f"samples.set: unknown set {config.set!r}{nearest(config.set, [*known['sets'], 'dir'])}")
    clips = {clip["file"]: clip for clip in known["clips"]}
    return [(Path(f).name, root / f, clips[f]["text"]) for f in known["sets"][config.set]]


def load(config: SamplesConfig) -> SampleSet:
    """Decode a set; raises SampleError when nothing of it can be used."""
    samples: list[Sample] = []
    skipped: list[tuple[str, str]] = []
    for name, path, text in paths(config):
        try:
            samples.append(Sample(name, audio.load(path), _sha256(path), text, path))
        except (SampleError, OSError) as error:
            skipped.append((name, str(error)))
    if not samples:
        raise SampleError(f"samples: none of {len(skipped)} files can be decoded; the first: {skipped[0][1]}")
    if config.minutes is not None:
        samples = [join(samples, config.minutes)]
    return SampleSet(samples, skipped)


def join(clips: list[Sample], minutes: float) -> Sample:
    """One file of whole clips, over and over in their order, until `minutes` are reached."""
    pause = np.zeros(int(PAUSE_S * RATE), np.float32)
    parts: list[Audio] = []
    texts: list[str] = []
    length = turn = 0
    while length < minutes * 60 * RATE:
        clip = clips[turn % len(clips)]
        parts += [clip.audio, pause]
        texts.append(clip.reference or "")
        length += len(clip.audio) + len(pause)
        turn += 1
    whole = np.concatenate(parts)
    known = all(clip.reference is not None for clip in clips)
    digest = hashlib.sha256(whole.astype("<f4").tobytes()).hexdigest()
    return Sample(f"long-{minutes:g}min", whole, digest, " ".join(texts) if known else None)


def _folder(folder: str | None) -> list[tuple[str, Path, str | None]]:
    if not folder:
        raise SampleError("samples.dir: samples=dir needs a folder, e.g. samples.dir=/path/to/audio")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise SampleError(f"samples.dir: {folder} is not a folder")
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix.lower() in audio.SUFFIXES)
    if not files:
        raise SampleError(f"samples.dir: no audio files in {folder} (looked for {' '.join(sorted(audio.SUFFIXES))})")
    names: dict[str, int] = {}
    found = []
    for path in files:
        name = re.sub(r"[^\w.-]+", "-", path.relative_to(root).as_posix()).strip("-.") or "audio"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:  # "a b.wav" beside "a-b.wav"
            name = f"{names[name]}-{name}"
        text = path.with_suffix(".txt")
        found.append((name, path, _transcript(text)))
    return found


def _transcript(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip() if path.is_file() else None
    except UnicodeDecodeError:
        raise SampleError(f"samples.dir: {path.name} is not UTF-8; convert it, e.g. iconv -f GBK -t UTF-8") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
