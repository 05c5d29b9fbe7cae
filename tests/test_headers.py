"""What a header claims against what is there: never less audio than a file holds without a word, never a traceback."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsexp import audio
from capsexp.errors import SampleError
from capsexp.protocol import RATE
from tests.support import SLOW

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    one = 0.3 * np.sin(np.arange(int(seconds * rate)) / 20) + np.random.default_rng(1).normal(
        0, 0.02, int(seconds * rate)
    )
    return np.repeat(one[:, None], channels, 1).astype(np.float32)


def encoded(seconds: float, form: str, subtype: str | None = None, rate: int = RATE, channels: int = 1) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, tone(seconds, rate, channels), rate, subtype, format=form)
    return out.getvalue()


def read_or_reason(path: Path, content: bytes) -> tuple[audio.Decoded | None, str]:
    path.write_bytes(content)
    try:
        return audio.read(path), ""
    except SampleError as error:
        return None, str(error)


def seconds(path: Path, content: bytes) -> tuple[float, str]:
    path.write_bytes(content)
    read = audio.read(path)
    return len(read.audio) / RATE, read.remark


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
def test_every_usual_wav(tmp_path: Path, subtype: str, channels: int, rate: int) -> None:
    length, remark = seconds(tmp_path / "a.wav", encoded(0.5, "WAV", subtype, rate, channels))
    assert length == pytest.approx(0.5, abs=0.001) and not remark


@pytest.mark.parametrize("form", ["RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
def test_every_usual_container(tmp_path: Path, form: str) -> None:
    length, remark = seconds(tmp_path / "a", encoded(2, form, rate=44100))
    assert length == pytest.approx(2, abs=0.01) and not remark


@needs_ffmpeg
def test_a_flac_that_did_not_know_its_length(tmp_path: Path) -> None:
    flac = bytearray(encoded(3, "FLAC"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    assert seconds(tmp_path / "a.flac", bytes(flac))[0] == pytest.approx(3)


def test_a_wav_that_did_not_know_its_length(tmp_path: Path) -> None:
    wav = bytearray(encoded(3, "WAV"))
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024):
        wav[40:44] = struct.pack("<I", size)
        assert seconds(tmp_path / "a.wav", bytes(wav))[0] == pytest.approx(3, abs=0.001)


@needs_ffmpeg
@pytest.mark.parametrize(("form", "suffix"), [("MP3", "mp3"), ("OGG", "ogg"), ("FLAC", "flac"), ("WAV", "wav")])
def test_files_that_were_joined(tmp_path: Path, form: str, suffix: str) -> None:
    """The first one's header speaks for all of them."""
    joined = encoded(1, form, rate=44100) + encoded(3, form, rate=44100)
    length, remark = seconds(tmp_path / f"a.{suffix}", joined)
    assert length == pytest.approx(4, abs=0.1) and remark


@pytest.mark.parametrize(("form", "suffix"), [("MP3", "mp3"), ("OGG", "ogg"), ("FLAC", "flac")])
def test_joined_files_without_ffmpeg_are_named(
    tmp_path: Path, form: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SampleError, match=rf"a\.{suffix}.*of the \d\.\d\d s that are there"):
        seconds(tmp_path / f"a.{suffix}", encoded(1, form) + encoded(3, form))


@pytest.mark.parametrize(
    ("form", "suffix"), [("MP3", "mp3"), pytest.param("FLAC", "flac", marks=needs_ffmpeg), ("WAV", "wav")]
)
def test_a_copy_that_ended_early_is_said(tmp_path: Path, form: str, suffix: str) -> None:
    content = encoded(4, form, rate=44100)
    length, remark = seconds(tmp_path / f"a.{suffix}", content[: len(content) // 2])
    assert 0 < length < 3.5 and remark


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, 32767.0])
def test_samples_that_are_no_sound_are_named(tmp_path: Path, value: float) -> None:
    bad = tone(1)
    bad[100] = value
    out = io.BytesIO()
    soundfile.write(out, bad, RATE, "DOUBLE", format="WAV")
    with pytest.raises(SampleError, match=r"a\.wav: .*(not finite|full scale)"):
        seconds(tmp_path / "a.wav", out.getvalue())


def test_next_to_nothing_is_right_or_named(tmp_path: Path) -> None:
    for count in (1, 2, 10, 399):
        out = io.BytesIO()
        soundfile.write(out, np.full(count, 0.5), RATE, format="WAV")
        assert seconds(tmp_path / "a.wav", out.getvalue())[0] == count / RATE


@needs_ffmpeg
def test_ffmpeg_has_a_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'import time; time.sleep(600)'\n")
    slow.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(slow))
    monkeypatch.setattr(audio, "FFMPEG_S", 0.5 * SLOW)
    with pytest.raises(SampleError, match=r"a\.bin: ffmpeg was not done"):
        seconds(tmp_path / "a.bin", b"no audio" * 100)


@needs_ffmpeg
@pytest.mark.parametrize(
    "script",
    ["sleep 600", "exec 1>&-; exec sleep 600", f"{sys.executable} -c 'import time; time.sleep(600)'; true"],
    ids=["a script", "it has closed its output", "a child holds the pipe"],
)
def test_an_ffmpeg_that_does_not_end_has_a_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text(f"#!/bin/sh\n{script}\n")
    slow.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(slow))
    monkeypatch.setattr(audio, "FFMPEG_S", 0.5 * SLOW)
    began = time.monotonic()
    with pytest.raises(SampleError, match=r"a\.bin: ffmpeg was not done"):
        seconds(tmp_path / "a.bin", b"no audio" * 100)
    assert time.monotonic() - began < 60 * SLOW


@needs_ffmpeg
def test_what_ffmpeg_says_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loud = tmp_path / "ffmpeg"
    loud.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    loud.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(loud))
    monkeypatch.setattr(audio, "LONGEST_S", 10)
    with pytest.raises(SampleError, match=r"a\.bin: is longer than"):
        seconds(tmp_path / "a.bin", b"no audio" * 100)


@needs_ffmpeg
def test_a_playlist_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(encoded(1, "WAV"))
    listed = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"
    with pytest.raises(SampleError, match="neither"):
        seconds(tmp_path / "list", listed.encode())


@needs_ffmpeg
def test_containers_of_other_suffixes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(1, "WAV", rate=44100))
    for suffix in ("avi", "flv", "mp2", "m4a"):
        target = tmp_path / f"b.{suffix}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", tmp_path / "a.wav", target], check=True)
        assert len(audio.load(target)) / RATE == pytest.approx(1, abs=0.1)


WAV, FLAC = encoded(1, "WAV"), encoded(1, "FLAC")
VALUES = st.one_of(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFF0000]), st.integers(0, 2**32 - 1))


@settings(max_examples=60)
@example(field="extra", value=20163, tail=b"")  # the samples behind it look like the name of a chunk
@given(field=st.sampled_from(["riff", "data", "extra"]), value=VALUES, tail=st.sampled_from([b"", b"LIST\4\0\0\0abcd"]))
def test_sizes_in_a_wav_never_hide_audio(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: int, tail: bytes
) -> None:
    content = bytearray(WAV + tail)
    at = {"riff": 4, "data": 40, "extra": 40}[field]
    content[at : at + 4] = struct.pack("<I", value if field != "extra" else value % len(WAV))
    read, reason = read_or_reason(tmp_path_factory.getbasetemp() / "sizes.wav", bytes(content))
    assert (
        "sizes.wav" in reason if read is None else RATE - 4 <= len(read.audio) < 1.01 * RATE
    )  # less than a chunk has no name


@settings(max_examples=20)
@example(15_680)
@example(15_990)
@given(total=st.integers(0, 2**36 - 1))
def test_the_length_in_a_flac_never_hides_audio(tmp_path_factory: pytest.TempPathFactory, total: int) -> None:
    content = bytearray(FLAC)
    content[21] = content[21] & 0xF0 | total >> 32
    content[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    read, reason = read_or_reason(tmp_path_factory.getbasetemp() / "total.flac", bytes(content))
    assert "total.flac" in reason if read is None else len(read.audio) == RATE


@settings(max_examples=30)
@given(
    base=st.sampled_from([WAV, FLAC]),
    changes=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 80) | st.none(),
)
def test_a_damaged_header_is_audio_or_a_named_file(
    tmp_path_factory: pytest.TempPathFactory, base: bytes, changes: list[tuple[int, int]], cut: int | None
) -> None:
    content = bytearray(base)
    for at, value in changes:
        content[at] = value
    read, reason = read_or_reason(tmp_path_factory.getbasetemp() / "damaged", bytes(content[:cut]))
    if read is None:
        assert "damaged" in reason and "\n" not in reason
    else:
        assert len(read.audio) and np.isfinite(read.audio).all()
