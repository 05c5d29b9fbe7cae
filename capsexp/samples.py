"""Sample sets: the shipped ones from a manifest, the user's own from a folder, a long one joined from clips."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capsexp import audio, escape, names
from capsexp.config import SamplesConfig
from capsexp.counts import counted
from capsexp.errors import SampleError
from capsexp.files import sha256
from capsexp.plugins import nearest
from capsexp.protocol import RATE, Audio

CHECK_S = 10.0  # to look for what cannot be decoded, before anything is measured
PAUSE_S = 0.5  # between the clips of a joined file
LONGEST_TEXT = 1 << 24  # bytes of a transcript
# What plainly is no audio and needs no word. Everything else in a folder is tried, whatever its suffix.
_TEXT = "txt json jsonl srt vtt lrc ass ssa sub csv tsv md rst xml html htm yaml yml toml ini log textgrid eaf stm ctm"
_OFFICE = "rttm lab trn pdf doc docx xls xlsx ppt pptx odt rtf db sqlite cue m3u m3u8 pls url lnk torrent"
_IMAGE = "png jpg jpeg gif bmp webp svg ico tif tiff heic"
_OTHER = "zip 7z rar tar gz xz bz2 zst py sh bat ps1 exe dll so onnx mvn sha256 sha1 md5 part tmp crdownload bak swp"
NO_AUDIO = frozenset(f".{suffix}" for suffix in f"{_TEXT} {_OFFICE} {_IMAGE} {_OTHER}".split())


@dataclass(frozen=True)
class Sample:
    """`sha256` is of the file, or of the joined samples (little-endian float32)."""

    name: str
    audio: Audio = field(repr=False)
    sha256: str
    transcript: str | None = None
    path: Path | None = None

    @property
    def duration_s(self) -> float:
        return len(self.audio) / RATE


@dataclass(frozen=True)
class SampleSet:
    """What can be measured; what could not be decoded and why; what is to be said of what could.

    `language`: as the set or `samples.language` says, e.g. zh.
    """

    samples: list[Sample]
    skipped: list[tuple[str, str]]
    remarks: list[tuple[str, str]] = field(default_factory=list)
    language: str | None = None


@dataclass(frozen=True)
class Listing:
    """A set before anything is decoded: name, file and transcript of each sample."""

    found: list[tuple[str, Path, str | None]]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    language: str | None = None


def samples_dir() -> Path:
    """The shipped samples: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    inside, beside = package / "data" / "samples", package.parent / "samples"
    return inside if inside.is_dir() else beside


def manifest(folder: Path | None = None) -> dict[str, Any]:
    """The shipped clips and sets, as their JSON says; raises SampleError."""
    path = (folder or samples_dir()) / "manifest.json"
    try:
        loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SampleError(f"{path.name}: cannot be read ({error})") from None
    return loaded


def paths(config: SamplesConfig) -> list[tuple[str, Path, str | None]]:
    """Name, file and transcript of each sample of a set, before anything is decoded; raises SampleError."""
    return listing(config).found


def listing(config: SamplesConfig) -> Listing:
    """As `paths`, with what cannot be tried at all, and what is to be said; raises SampleError."""
    if config.set == "dir":
        return _folder(config.dir, config.language)
    root, known = samples_dir(), manifest()
    if config.set not in known["sets"]:
        raise SampleError(f"samples.set: unknown set {config.set!r}{nearest(config.set, [*known['sets'], 'dir'])}")
    clips = {clip["file"]: clip for clip in known["clips"]}
    found = [(Path(f).name, root / f, clips[f]["text"]) for f in known["sets"][config.set]]
    return Listing(found, language=config.language or known.get("languages", {}).get(config.set))


def load(config: SamplesConfig) -> SampleSet:
    """Decode a set; raises SampleError when nothing of it can be used."""
    listed = listing(config)
    skipped, remarks = list(listed.skipped), list(listed.remarks)
    samples = list(_each(listed, skipped, remarks))
    if not samples:
        raise _none(skipped)
    if config.minutes is not None:
        samples = [join(samples, config.minutes)]
    return SampleSet(samples, skipped, remarks, listed.language)


@dataclass(frozen=True)
class Checked:
    """`skipped`: what will be, and why. `durations_s`: of all samples by their names; None where not all were decoded,
    or where they are joined."""

    skipped: list[tuple[str, str]]
    durations_s: dict[str, float] | None


def check(config: SamplesConfig, within_s: float = CHECK_S) -> Checked:
    """As far as `within_s` seconds let us look, but up to the first that can be used; raises SampleError where nothing
    of the set can."""
    listed, until = listing(config), time.monotonic() + within_s
    skipped, durations_s, whole = list(listed.skipped), dict[str, float](), config.minutes is None
    for sample in _each(listed, skipped, []):
        durations_s[sample.name] = sample.duration_s
        if time.monotonic() > until:
            whole = False
            break
    if not durations_s:
        raise _none(skipped)
    return Checked(skipped, durations_s if whole else None)


def _each(listed: Listing, skipped: list[tuple[str, str]], remarks: list[tuple[str, str]]) -> Iterator[Sample]:
    """Each that can be decoded; what cannot be, and what is to be said of what can, is added to the lists."""
    for name, path, text in listed.found:
        try:
            decoded = audio.read(path)
            sample = Sample(name, decoded.audio, sha256(path), text, path)
        except SampleError as error:
            skipped.append((name, str(error)))
        except OSError as error:
            skipped.append((name, f"{escape.one_line(path.name)}: cannot be read ({error.strerror or error})"))
        else:
            remarks += [(name, decoded.remark)] if decoded.remark else []
            yield sample


def _none(skipped: list[tuple[str, str]]) -> SampleError:
    return SampleError(f"samples: none of {counted(len(skipped), 'file')} can be decoded; the first: {skipped[0][1]}")


def join(clips: list[Sample], minutes: float) -> Sample:
    """One file of whole clips, over and over in their order, until `minutes` are reached."""
    pause = np.zeros(int(PAUSE_S * RATE), np.float32)
    parts: list[Audio] = []
    texts: list[str] = []
    length = turn = 0
    while length < minutes * 60 * RATE:
        clip = clips[turn % len(clips)]
        parts += [clip.audio, pause]
        texts.append(clip.transcript or "")
        length += len(clip.audio) + len(pause)
        turn += 1
    whole = np.concatenate(parts)
    known = all(clip.transcript is not None for clip in clips)
    digest = hashlib.sha256(whole.astype("<f4").tobytes()).hexdigest()
    return Sample(f"long-{minutes:g}min", whole, digest, " ".join(texts) if known else None)


def _folder(folder: str | None, language: str | None) -> Listing:
    if not folder:
        raise SampleError("samples.dir: samples=dir needs a folder, e.g. samples.dir=/path/to/audio")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise SampleError(f"samples.dir: {folder} is not a folder")
    files, unread = _walk(root)
    if not files and not unread:
        raise SampleError(f"samples.dir: no audio files in {folder} (only text, images and archives are left out)")
    found, remarks = [], []
    for name, path in zip(names.unique([p.relative_to(root).as_posix() for p in files]), files, strict=True):
        text, remark = _transcript(path)
        found.append((name, path, text))
        remarks += [(name, remark)] if remark else []
    return Listing(sorted(found, key=lambda f: f[0]), unread, sorted(remarks), language)


def _walk(root: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files that may be audio, through links too, each folder once; and the folders that cannot be read."""
    files: list[Path] = []
    unread: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()

    def refused(error: OSError) -> None:
        shown = escape.one_line(os.path.relpath(error.filename, root))
        unread.append((shown, f"{shown}: the folder cannot be read ({error.strerror})"))

    for here, folders, inside in os.walk(root, onerror=refused, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        files += [Path(here, name) for name in sorted(inside) if _may_be_audio(name)]
    return files, unread


def _may_be_audio(name: str) -> bool:
    hidden = name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")
    return not hidden and os.path.splitext(name)[1].lower() not in NO_AUDIO


def _transcript(path: Path) -> tuple[str | None, str]:
    """The text beside an audio file, `x.wav.txt` or `x.txt`, and what is to be said of it."""
    candidates = (path.with_name(f"{path.name}.txt"), path.with_name(f"{path.stem}.txt"))
    beside = next((p for p in candidates if os.path.isfile(p)), None)  # also of a name that would be too long
    if beside is None:
        return None, ""
    name = escape.one_line(beside.name)
    try:
        with beside.open("rb") as file:
            content = file.read(LONGEST_TEXT + 1)
    except OSError as error:
        return None, f"its transcript {name} cannot be read ({error.strerror})"
    if len(content) > LONGEST_TEXT:
        return None, f"its transcript {name} is larger than {LONGEST_TEXT >> 20} MB and left out"
    text, encoding = _decoded(content)
    if text is None:
        return None, f"its transcript {name} is left out: neither UTF-8 nor UTF-16 nor GBK; save it as UTF-8"
    if encoding == "gb18030":
        begin = escape.one_line(text.strip()[:20])
        return text.strip(), f"its transcript {name} is not UTF-8 and was read as GBK, beginning {begin!r}"
    return text.strip(), ""


def _decoded(content: bytes) -> tuple[str | None, str]:
    """Text and encoding: what its first bytes say, else UTF-8, else what Windows writes in China."""
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    return None, ""
