"""Any audio file -> float32, 16 kHz, mono."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capsexp import escape, extent, lifeline
from capsexp.errors import SampleError
from capsexp.protocol import RATE, Audio

LONGEST_S = 12 * 3600  # as server.max_audio_s: 2.6 GB once decoded
RATES = (1000, 1_000_000)  # Hz; anything else is a damaged header
LOUDEST = 64.0  # 36 dB over full scale: samples of a wider type that nobody scaled
BLOCK = 1 << 20  # values decoded at a time
FFMPEG_S = 120.0  # s, and as much again for every 100 MB


@dataclass(frozen=True)
class Decoded:
    """`remark`: what its listener should know, e.g. that it is shorter than its header says."""

    audio: Audio = field(repr=False)
    remark: str = ""


def load(path: Path) -> Audio:
    """Decode a file; raises SampleError naming it, and nothing else."""
    return read(path).audio


def read(path: Path) -> Decoded:
    """As `load`, with what is to be said of the file.

    libsndfile reads wav, flac, mp3, ogg and opus. What it cannot read, or reads less of than the file holds, goes
    through `ffmpeg` where that is installed.
    """
    name = escape.one_line(path.name)
    try:
        if not path.exists():
            raise SampleError(f"{name}: no such file{' (a broken link)' if path.is_symlink() else ''}")
        if not path.is_file():  # reading a FIFO or a device may never end
            raise SampleError(f"{name}: is no regular file")
        if path.stat().st_size == 0:
            raise SampleError(f"{name}: the file is empty")
        return _read(path, name)
    except SampleError:
        raise
    except OSError as error:
        raise SampleError(f"{name}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a decoder may raise anything, and one file costs one file
        raise SampleError(f"{name}: cannot be decoded ({_line(error)})") from None


def _read(path: Path, name: str) -> Decoded:
    reason, first = "", np.zeros(0, np.float32)
    there = extent.measure(path)
    try:
        if there is not None and there.size_at is not None:
            whole, _ = _libsndfile(_to_its_end(path, there.size_at))
            said = f"its header ends before its data do; read to the end, {len(whole) / RATE:.2f} s"
            return Decoded(_check(whole, name), said)
        first, claimed_s = _libsndfile(path)
    except Exception as error:
        reason, claimed_s = _line(error), None
    length = len(first) / RATE
    if not reason and there is not None and length < there.held_s - there.slack_s:
        reason = f"libsndfile reads {length:.2f} s of the {there.held_s:.2f} s that are there"
    if not reason:
        claimed_s = there.claimed_s if there is not None and there.claimed_s else claimed_s
        return Decoded(_check(first, name), _shorter(length, claimed_s))
    try:
        second = _ffmpeg(path, name, reason)
    except SampleError:
        # With less than there is we would measure another file than the one that was given.
        if len(first) and there is not None and length >= there.held_s * 0.99:
            return Decoded(_check(first, name), _shorter(length, there.held_s))
        raise
    whole = second.audio if len(second.audio) >= len(first) else first
    remark = second.remark
    if len(first) and len(whole) > len(first):
        remark = f"its header says less than it holds; {len(whole) / RATE:.2f} s were decoded by ffmpeg"
    if there is not None and len(whole) / RATE < there.held_s - max(there.slack_s, 0.1):
        remark = f"{len(whole) / RATE:.2f} s of it could be decoded where its frames hold {there.held_s:.2f} s"
    return Decoded(_check(whole, name), remark)


def _to_its_end(path: Path, size_at: int) -> io.BytesIO:
    """A WAV with the size of all that follows in the place of the one it has."""
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, size_at, min(len(content) - size_at - 4, 0xFFFFFFFF))
    struct.pack_into("<I", content, 4, min(len(content) - 8, 0xFFFFFFFF))
    return io.BytesIO(content)


def _libsndfile(source: Path | io.BytesIO) -> tuple[Audio, float | None]:
    """The audio, and how many seconds the header claims. Raises anything."""
    import soundfile
    import soxr

    # By its descriptor: of a name it would take what the suffix means, and names need not be text.
    with ExitStack() as stack:
        given: Any = source
        if isinstance(source, Path):
            given = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            stack.callback(os.close, given)
        sound = stack.enter_context(soundfile.SoundFile(given, closefd=False))
        rate, channels, claimed = sound.samplerate, sound.channels, sound.frames
        if not RATES[0] <= rate <= RATES[1]:
            raise SampleError(f"its header claims {rate} samples per second")
        parts, frames = [], 0
        while len(block := sound.read(max(1, BLOCK // channels), dtype="float32", always_2d=True)):
            parts.append(block.mean(axis=1, dtype=np.float32))
            frames += len(block)
            if frames > LONGEST_S * rate:
                raise SampleError(f"is longer than {LONGEST_S // 3600} hours")
    mono = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    seconds = claimed / rate if 0 < claimed < LONGEST_S * rate else None
    return np.asarray(mono if rate == RATE or not len(mono) else soxr.resample(mono, rate, RATE), np.float32), seconds


def _shorter(length: float, claimed_s: float | None) -> str:
    if claimed_s is None or length >= 0.98 * claimed_s - 0.05:
        return ""
    return f"holds {length:.2f} s where its header says {claimed_s:.2f} s: cut short?"


def _check(audio: Audio, name: str) -> Audio:
    if len(audio) == 0:
        raise SampleError(f"{name}: no audio in it")
    if not np.isfinite(audio).all():
        raise SampleError(f"{name}: has samples that are not finite numbers; the file is damaged")
    peak = float(np.abs(audio).max())
    if peak > LOUDEST:
        raise SampleError(f"{name}: its samples go to {peak:.3g} where 1 is full scale; scale them and save it again")
    return np.ascontiguousarray(audio, np.float32)


def _ffmpeg(path: Path, name: str, reason: str) -> Decoded:
    program = shutil.which("ffmpeg")
    if program is None:
        raise SampleError(f"{name}: libsndfile cannot read it and ffmpeg, which might, is not installed ({reason})")
    # The file: prefix keeps a name such as "concat:..." from being read as one of ffmpeg's protocols, the list of
    # protocols keeps a playlist from fetching what it names.
    command = [
        program, "-v", "error", "-nostdin", "-threads", "1", "-protocol_whitelist", "file",
        "-i", f"file:{path}", "-vn", "-sn", "-dn", "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-",
    ]  # fmt: skip
    patience = FFMPEG_S * (1 + path.stat().st_size / 100e6)
    most = 4 * RATE * LONGEST_S
    out, whole = bytearray(), False
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            lifeline.kill_tree(process.pid)  # it may be a script, whose child holds the pipe as well

        timer = threading.Timer(patience, give_up)
        timer.start()
        assert process.stdout is not None
        try:
            while len(out) <= most and (block := process.stdout.read(1 << 20)):
                out += block
            whole = len(out) <= most
        finally:
            if not whole:
                lifeline.kill_tree(process.pid)
            process.stdout.close()
            code = process.wait()  # the timer ends one that has nothing more to say and stays
            timer.cancel()
        errors.seek(max(0, errors.tell() - 4096))
        said = [escape.one_line(line) for line in errors.read().decode(errors="replace").strip().splitlines()]
    if late.is_set():
        raise SampleError(f"{name}: ffmpeg was not done with it after {patience:.0f} s ({reason})")
    if len(out) > most:
        raise SampleError(f"{name}: is longer than {LONGEST_S // 3600} hours")
    if code or not out:
        raise SampleError(f"{name}: neither libsndfile nor ffmpeg can read it ({said[-1] if said else reason})")
    audio = np.frombuffer(bytes(out[: len(out) // 4 * 4]), "<f4").astype(np.float32)
    return Decoded(audio, f"ffmpeg said: {said[0]}" if said else "")


def _line(error: BaseException) -> str:
    text = escape.one_line((str(error).splitlines() or [""])[0])
    if isinstance(error, SampleError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
