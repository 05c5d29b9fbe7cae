"""The shipped samples agree with their manifest; folders of one's own; joining."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from capsexp import audio, names, samples
from capsexp.config import SamplesConfig
from capsexp.errors import SampleError
from capsexp.protocol import RATE
from capsexp.segments import WIDE

ROOT = samples.samples_dir()
MANIFEST = samples.manifest()
CLIPS = {clip["file"]: clip for clip in MANIFEST["clips"]}


def tone(path: Path, seconds: float = 0.5, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(int(seconds * rate)) / 20), rate)
    return path


@pytest.mark.parametrize("file", CLIPS)
def test_clip_is_as_the_manifest_says(file: str) -> None:
    clip, path = CLIPS[file], ROOT / file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == clip["sha256"]
    info = soundfile.info(path)
    assert (info.samplerate, info.channels) == (clip["rate"], clip["channels"])
    assert len(audio.load(path)) / RATE == pytest.approx(clip["duration_s"], abs=0.01)
    if file.startswith("zh/"):
        assert clip["text"] and all(WIDE.match(character) for character in clip["text"])
    else:
        assert clip["text"] and set(clip["text"]) <= set("abcdefghijklmnopqrstuvwxyz' ")
    assert clip["voice"]


def test_manifest_lists_every_file_and_no_other() -> None:
    assert MANIFEST["schema"] == 1
    assert len(CLIPS) == len(MANIFEST["clips"])
    there = {p.relative_to(ROOT).as_posix() for folder in ("speech", "zh") for p in (ROOT / folder).iterdir()}
    assert set(CLIPS) == there - {"zh/times.json"}
    for files in MANIFEST["sets"].values():
        assert files and set(files) <= set(CLIPS) and len(set(files)) == len(files)
    assert {*MANIFEST["sets"]["speech"], *MANIFEST["sets"]["zh"]} == set(CLIPS)


def test_the_set_is_small_and_varied() -> None:
    clips = [CLIPS[file] for file in MANIFEST["sets"]["speech"]]
    assert sum((ROOT / clip["file"]).stat().st_size for clip in clips) < 6e6
    assert {Path(clip["file"]).suffix for clip in clips} >= {".wav", ".flac", ".mp3", ".ogg"}
    assert {clip["rate"] for clip in clips} >= {16000, 22050, 44100, 48000}
    assert {clip["channels"] for clip in clips} == {1, 2}
    assert len({clip["voice"] for clip in clips}) >= 4
    speech = [CLIPS[file]["duration_s"] for file in MANIFEST["sets"]["speech"]]
    assert speech[0] > 60
    assert all(8 <= seconds <= 13 for seconds in speech[1:])
    assert all(CLIPS[file]["duration_s"] <= 13 for file in MANIFEST["sets"]["quick"])


@pytest.mark.parametrize("name", MANIFEST["sets"])
def test_load_a_shipped_set(name: str) -> None:
    loaded = samples.load(SamplesConfig(set=name))
    assert loaded.skipped == []
    files = MANIFEST["sets"][name]
    assert [s.name for s in loaded.samples] == [Path(f).name for f in files]
    for sample, file in zip(loaded.samples, files, strict=True):
        assert (sample.sha256, sample.transcript) == (CLIPS[file]["sha256"], CLIPS[file]["text"])
        assert sample.audio.dtype == np.float32 and sample.audio.ndim == 1
        assert 0.3 < np.abs(sample.audio).max() <= 1.0


def test_unknown_set_names_a_near_one() -> None:
    with pytest.raises(SampleError, match="speech"):
        samples.load(SamplesConfig(set="speach"))


def test_folder_with_a_transcript(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 0.5, 22050)
    tone(tmp_path / "sub" / "b c.flac", 1.0)
    (tmp_path / "a.txt").write_text("hello world\n")
    (tmp_path / "notes.md").write_text("no audio")
    loaded = samples.load(SamplesConfig(set="dir", dir=str(tmp_path)))
    assert [(s.name, s.transcript) for s in loaded.samples] == [("a.wav", "hello world"), ("sub-b-c.flac", None)]
    assert [s.duration_s for s in loaded.samples] == pytest.approx([0.5, 1.0], abs=0.001)
    assert loaded.skipped == []


def test_names_in_a_folder_are_unique(tmp_path: Path) -> None:
    for name in ("a b.wav", "a-b.wav", "a/b.wav"):
        tone(tmp_path / name)
    names = [s.name for s in samples.load(SamplesConfig(set="dir", dir=str(tmp_path))).samples]
    assert len(set(names)) == 3
    assert not any("/" in name or " " in name for name in names)


def test_what_cannot_be_decoded_is_skipped_and_reported(tmp_path: Path) -> None:
    tone(tmp_path / "good.wav")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "corrupt.flac").write_bytes(b"this is no audio at all" * 50)
    tone(tmp_path / "silent.wav", 0.0)
    loaded = samples.load(SamplesConfig(set="dir", dir=str(tmp_path)))
    assert [s.name for s in loaded.samples] == ["good.wav"]
    skipped = dict(loaded.skipped)
    assert set(skipped) == {"empty.wav", "corrupt.flac", "silent.wav"}
    assert all(file in reason for file, reason in skipped.items())
    assert "empty" in skipped["empty.wav"]


def test_nothing_decodable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(SampleError, match=r"none of 1 file can .*empty\.wav"):
        samples.load(SamplesConfig(set="dir", dir=str(tmp_path)))


def test_missing_and_empty_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="needs a folder"):
        samples.load(SamplesConfig(set="dir"))
    with pytest.raises(SampleError, match="not a folder"):
        samples.load(SamplesConfig(set="dir", dir=str(tmp_path / "nowhere")))
    with pytest.raises(SampleError, match="no audio files"):
        samples.load(SamplesConfig(set="dir", dir=str(tmp_path)))


def test_without_ffmpeg_the_error_names_file_and_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "talk.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(200))

    def nowhere(name: str) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nowhere)
    with pytest.raises(SampleError, match=r"talk\.m4a.*ffmpeg.*not installed"):
        audio.load(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_ffmpeg_reads_what_libsndfile_cannot(tmp_path: Path) -> None:
    source, target = tone(tmp_path / "a.wav", 1.0, 44100), tmp_path / "a.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-c:a", "pcm_s16le", target], check=True)
    assert len(audio.load(target)) / RATE == pytest.approx(1.0, abs=0.01)


def test_joined_file_is_long_enough_and_ends_with_a_whole_clip() -> None:
    config = SamplesConfig(set="quick", minutes=0.5)
    clips = samples.load(SamplesConfig(set="quick")).samples
    (joined,) = samples.load(config).samples
    longest = max(clip.duration_s for clip in clips) + samples.PAUSE_S
    assert 30 <= joined.duration_s < 30 + longest
    assert joined.name == "long-0.5min"
    # The reference holds whole clips, in turn, as many as the audio.
    expected, length = [], 0.0
    while length < 30:
        clip = clips[len(expected) % len(clips)]
        expected.append(clip.transcript or "")
        length += clip.duration_s + samples.PAUSE_S
    assert joined.transcript == " ".join(expected)
    assert joined.duration_s == pytest.approx(length)
    assert joined.sha256 == samples.load(config).samples[0].sha256


def test_joined_file_has_no_transcript_where_a_clip_has_none(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav")
    (tmp_path / "a.txt").write_text("hello")
    (joined,) = samples.load(SamplesConfig(set="dir", dir=str(tmp_path), minutes=0.05)).samples
    assert joined.transcript is None
    assert joined.duration_s == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_transcript_in_any_usual_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_bytes("会议开始\r\n".encode(encoding))
    loaded = samples.load(folder(tmp_path))
    assert [s.transcript for s in loaded.samples] == ["会议开始"]
    assert bool(loaded.remarks) == (encoding == "gb18030")  # a guess is said


def test_a_bad_transcript_costs_one_reference(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        tone(tmp_path / f"{name}.wav")
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.txt").write_bytes(b"\x80\xff\xfe\xfd no text \x00")
    (tmp_path / "c.txt").touch()
    loaded = samples.load(folder(tmp_path))
    assert [(s.name, s.transcript) for s in loaded.samples] == [("a.wav", "hello"), ("b.wav", None), ("c.wav", "")]
    ((name, remark),) = loaded.remarks
    assert name == "b.wav" and "b.txt" in remark and "UTF-8" in remark


def test_a_transcript_may_carry_the_whole_name(tmp_path: Path) -> None:
    """As an archive keeps it: `a.wav` and `a.mp3` have texts of their own."""
    for suffix in ("wav", "flac"):
        tone(tmp_path / f"a.{suffix}")
        (tmp_path / f"a.{suffix}.txt").write_text(suffix)
    assert {s.name: s.transcript for s in samples.load(folder(tmp_path)).samples} == {"a.wav": "wav", "a.flac": "flac"}


def folder(path: Path) -> SamplesConfig:
    return SamplesConfig(set="dir", dir=str(path))


def test_what_stands_in_a_folder_is_tried_or_named(tmp_path: Path) -> None:
    """Neither a suffix nor a kind of file decides in silence, and nothing that never ends is opened."""
    tone(tmp_path / "a.wav")
    shutil.copy(tmp_path / "a.wav", tmp_path / "no-suffix")
    shutil.copy(tmp_path / "a.wav", tmp_path / "odd.xyz")
    tone(tmp_path / "folder.wav" / "inside.wav")
    tone(tmp_path.parent / "elsewhere" / "linked.wav")
    (tmp_path / "link").symlink_to(tmp_path.parent / "elsewhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "fifo.wav")
    for silent in (".hidden.wav", "notes.txt", "cover.jpg", "list.json"):
        (tmp_path / silent).write_bytes(b"x")
    loaded = samples.load(folder(tmp_path))
    heard = {s.name for s in loaded.samples}
    assert heard == {"a.wav", "no-suffix", "odd.xyz", "folder.wav-inside.wav", "link-linked.wav"}
    assert {name for name, _ in loaded.skipped} == {"broken.wav", "device.wav", "fifo.wav"}


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: be somebody else meanwhile."""
    if sys.platform == "win32" or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="no modes of files")
def test_what_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to others
        place = Path(made)
        place.chmod(0o755)
        tone(place / "a.wav")
        tone(place / "closed" / "b.wav")
        assert not samples.load(folder(place)).skipped  # imports what it needs while it may
        tone(place / "mine.wav").chmod(0)
        (place / "closed").chmod(0)
        try:
            with as_nobody():
                loaded = samples.load(folder(place))
        finally:
            (place / "closed").chmod(0o755)
        assert {name for name, _ in loaded.skipped} == {"closed", "mine.wav"}
        assert [s.name for s in loaded.samples] == ["a.wav"]


def test_one_file_whose_decoder_raises_anything_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav")
    whole = audio.extent.measure

    def raises(path: Path) -> object:
        if path.name == "b.wav":
            raise MemoryError
        return whole(path)

    monkeypatch.setattr(audio.extent, "measure", raises)
    loaded = samples.load(folder(tmp_path))
    assert [s.name for s in loaded.samples] == ["a.wav"]
    ((name, reason),) = loaded.skipped
    assert name == "b.wav" and "b.wav" in reason and "MemoryError" in reason


@pytest.mark.skipif(sys.platform == "win32", reason="names are bytes where they are not UTF-16")
def test_a_name_that_is_no_text_is_a_sample_as_any_other(tmp_path: Path) -> None:
    tone(tmp_path / "good.wav")
    shutil.copy(tmp_path / "good.wav", os.fsencode(tmp_path) + b"/" + "录音.wav".encode("gbk"))
    loaded = samples.load(folder(tmp_path))
    assert len(loaded.samples) == 2 and not loaded.skipped
    assert all(s.name.isprintable() and s.name.encode() and s.name.endswith(".wav") for s in loaded.samples)


def test_a_name_as_long_as_they_come_leaves_room_for_ours(tmp_path: Path) -> None:
    tone(tmp_path / ("字" * 81 + ".wav"))
    tone(tmp_path / ("字" * 80) / ("字" * 81 + ".wav"))
    names = [s.name for s in samples.load(folder(tmp_path)).samples]
    assert len(set(names)) == 2
    assert all(len(f".{name}.json.4194304.part".encode()) <= 255 and name.endswith(".wav") for name in names)


def test_a_name_that_no_suffix_can_follow_has_no_transcript(tmp_path: Path) -> None:
    longest = "x" * 251 + ".wav"
    tone(tmp_path / longest)
    (tmp_path / ("x" * 251 + ".txt")).write_text("so it is")
    [(_, path, text)] = samples.paths(folder(tmp_path))
    assert (path.name, text) == (longest, "so it is")


PARTS = st.text(
    st.one_of(
        st.sampled_from("aAbBß \u0130ſ-._2/\\:*?\"<>|'${}%éе́字\u0301\u202e\ufeff\n\x1b😀"),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
        st.characters(),
    ),
    min_size=1,
    max_size=30,
)
PATHS = st.builds(
    lambda stem, times, suffix: stem * times + suffix,
    st.one_of(PARTS, st.sampled_from(["CON", "nul", "com1", "a", "A", "a-2", "2-a", "-x", "..a", "e\u0301", "\xe9"])),
    st.sampled_from([1, 1, 1, 20, 90]),
    st.sampled_from([".wav", ".WAV", ".mp3", "", ".", ".a-very-long-suffix"]),
)
RESERVED = {"con", "prn", "aux", "nul", *(f"{k}{n}" for k in ("com", "lpt") for n in range(10))}


@settings(max_examples=150)
@given(st.lists(PATHS, min_size=1, max_size=8, unique=True))
def test_names_of_samples(paths: list[str]) -> None:
    found = names.unique(paths)
    assert len({n.lower() for n in found}) == len({n.casefold() for n in found}) == len(paths)
    for name, path in zip(found, paths, strict=True):
        assert name.isprintable() and 0 < len(name.encode("utf-8")) <= names.MOST_BYTES
        assert not set(name) & set("/\\:*?\"<>|'${} \n") and name[0] not in ".-" and name[-1] not in ". "
        assert name.partition(".")[0].lower() not in RESERVED
        if path.endswith((".wav", ".mp3")) and len(path) > 4:
            assert name.endswith(path[-4:])
    assert names.unique(found) == found  # an archive's copy has the same names
    assert dict(zip(paths[::-1], names.unique(paths[::-1]), strict=True)) == dict(zip(paths, found, strict=True))


def test_a_set_of_which_nothing_can_be_decoded_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for name in ("a.wav", "b.ogg"):
        (tmp_path / name).write_text("no audio")
    folder = SamplesConfig(name="dir", set="dir", dir=str(tmp_path))
    with pytest.raises(SampleError, match=r"none of 2 files can be decoded; the first: a\.wav"):
        samples.check(folder)
    soundfile.write(tmp_path / "c.wav", np.zeros(1600), 16_000)
    looked = samples.check(folder)
    skipped = looked.skipped
    assert looked.durations_s == {"c.wav": 0.1}
    assert [name for name, _ in skipped] == ["a.wav", "b.ogg"] and "a.wav" in skipped[0][1]
    soundfile.write(tmp_path / "0.wav", np.zeros(1600), 16_000)
    # No further than the first that can be used.
    assert samples.check(folder, within_s=-1.0) == samples.Checked([], None)
