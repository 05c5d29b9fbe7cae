"""What is in the files: formats, headers, damage, silence, transcripts."""

from __future__ import annotations

import io
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from case import Case, Expectation, Seen, Start, measured, refused
from sounds import CLIPS, RATE, encoded, ffmpeg, sized, streamed, tone, wav


def files(name: str, contents: dict[str, bytes], expected: str, expect: Expectation) -> Case:
    """A case that is a folder of files."""

    def make(place: Path) -> Start:
        for file, content in contents.items():
            (place / "clips" / file).parent.mkdir(parents=True, exist_ok=True)
            (place / "clips" / file).write_bytes(content)
        return Start()

    return Case(name, make, expected, expect)


def folder(name: str, fill: Callable[[Path], object], expected: str, expect: Expectation) -> Case:
    """A case whose folder needs more than files with bytes."""

    def make(place: Path) -> Start:
        fill(place / "clips")
        return Start()

    return Case(name, make, expected, expect)


def _containers(clips: Path) -> None:
    wav(clips / "clip.wav")
    for suffix in ("avi", "flv", "mp2", "webm", "m4a", "mka", "wma", "aac", "ac3", "mov", "3gp", "amr"):
        options = (
            ["-ar", "8000", "-b:a", "12.2k"]
            if suffix in ("3gp", "amr")
            else ["-ar", "48000"]
            if suffix == "webm"
            else []
        )
        try:
            ffmpeg(clips / "clip.wav", clips / f"clip-{suffix}.{suffix}", *options)
        except Exception:  # an ffmpeg without that encoder
            (clips / f"clip-{suffix}.{suffix}").unlink(missing_ok=True)


def _no_file_lost(seen: Seen) -> str | None:
    lacking = {"clip.wav", "clip-avi.avi", "clip-flv.flv", "clip-mp2.mp2", "clip-webm.webm", "clip-m4a.m4a"}
    lacking -= set(seen.samples)
    if lacking:
        return f"lacks {lacking}"
    short = {name: s for name, s in seen.samples.items() if not 1.9 < s < 2.3}
    return f"of 2 s: {short}" if short else None


def _muted(place: Path) -> Start:
    shutil.copy(CLIPS / "01-travel.wav", place / "clips" / "a-speech.wav")
    soundfile.write(place / "clips" / "muted.wav", np.zeros(4 * RATE), RATE)
    soundfile.write(place / "clips" / "nearly.wav", np.resize([1 / 32768, 0, -1 / 32768, 0], 4 * RATE), RATE)
    return Start(["engine=sphinx", "load.repeats=3", "load.seg_duration=4", "load.seg_overlap=1"])


def _kinds(clips: Path) -> None:
    wav(clips / "good.wav")
    wav(clips / "folder.wav" / "inside.wav")
    (clips / "empty-folder.wav").mkdir()
    os.mkfifo(clips / "fifo.wav")
    (clips / "loop").symlink_to(clips)
    (clips / "self.wav").symlink_to("self.wav")
    (clips / "broken.wav").symlink_to("nowhere.wav")
    (clips / "device.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(clips / "socket.wav"))


def _unreadable(place: Path) -> Start:
    wav(place / "clips" / "good.wav")
    wav(place / "clips" / "closed" / "b.wav")
    wav(place / "clips" / "mine.wav").chmod(0)
    (place / "clips" / "closed").chmod(0)
    wav(place / "clips" / "c.wav")
    (place / "clips" / "c.txt").write_text("not for everybody")
    (place / "clips" / "c.txt").chmod(0)
    return Start(obeys_modes=True)


def _all_transcripts(seen: Seen) -> str | None:
    unknown = [name for name, said in seen.transcripts.items() if said is None]
    return f"no transcript of {', '.join(unknown)}" if unknown or not seen.transcripts else None


def _loud(value: float) -> bytes:
    sound, out = tone(1), io.BytesIO()
    sound[100] = value
    soundfile.write(out, sound, RATE, "DOUBLE", format="WAV")
    return out.getvalue()


GOOD, FLAC = encoded(2), encoded(3, "FLAC")
TEXT = "会议开始 café".encode()
GBK_SAID = r"was read as GBK"


def cases() -> list[Case]:
    wavs = {
        "u8.wav": encoded(2, "WAV", "PCM_U8"),
        "s24.wav": encoded(2, "WAV", "PCM_24"),
        "s32.wav": encoded(2, "WAV", "PCM_32"),
        "f32.wav": encoded(2, "WAV", "FLOAT"),
        "f64.wav": encoded(2, "WAV", "DOUBLE"),
        "mulaw.wav": encoded(2, "WAV", "ULAW"),
        "alaw.wav": encoded(2, "WAV", "ALAW"),
        "ima.wav": encoded(2, "WAV", "IMA_ADPCM"),
        "5.1.wav": encoded(2, channels=6),
        "8k.wav": encoded(2, rate=8000),
        "192k.wav": encoded(2, rate=192_000),
        "11k.wav": encoded(2, rate=11_025),
        "rf64.wav": encoded(2, "RF64"),
        "extensible.wav": encoded(2, "WAVEX"),
        "w64.w64": encoded(2, "W64"),
        "aiff.aif": encoded(2, "AIFF"),
        "caf.caf": encoded(2, "CAF"),
        "au.au": encoded(2, "AU"),
    }
    whole = {"good.wav": 2.0}
    long_mp3 = encoded(9, "MP3", rate=44_100)
    return [
        files(
            "streamed-flac",
            {"good.wav": GOOD, "streamed.flac": streamed(FLAC)},
            "both, 2 and 3 s",
            measured({**whole, "streamed.flac": 3}),
        ),
        files(
            "joined-mp3",
            {"joined.mp3": encoded(3, "MP3", rate=44_100) + long_mp3},
            "12 s, and a remark",
            measured({"joined.mp3": 12}, remarks={"joined.mp3": "header says less"}),
        ),
        files(
            "joined-ogg",
            {"joined.ogg": encoded(3, "OGG", seed=1) + encoded(4, "OGG", seed=2)},
            "7 s, and a remark",
            measured({"joined.ogg": 7}, remarks={"joined.ogg": ""}),
        ),
        files(
            "joined-wav",
            {"joined.wav": encoded(3) + encoded(4)},
            "7 s, and a remark",
            measured({"joined.wav": 7}, remarks={"joined.wav": "ends before its data"}),
        ),
        files(
            "joined-flac",
            {"joined.flac": FLAC + encoded(4, "FLAC", seed=2)},
            "7 s, and a remark",
            measured({"joined.flac": 7}, remarks={"joined.flac": ""}),
        ),
        folder(
            "containers",
            _containers,
            "each container that ffmpeg reads, 2 s",
            lambda seen: _no_file_lost(seen) or measured(len(seen.samples), remarks=seen.remarks)(seen),
        ),
        Case(
            "muted",
            _muted,
            "sphinx: right three times each",
            measured({"a-speech.wav": 9.77, "muted.wav": 4, "nearly.wav": 4}),
        ),
        files("wav-variants", wavs, "18 files of 2 s", measured(dict.fromkeys(wavs, 2.0))),
        files(
            "wav-truncated",
            {"cut.wav": encoded(4)[:64_044], "good.wav": GOOD},
            "2 s, and a remark",
            measured({**whole, "cut.wav": 2}, remarks={"cut.wav": "of the 4|4.00"}),
        ),
        files(
            "wav-size-0",
            {"zero.wav": sized(GOOD, 0), "max.wav": sized(GOOD, 0xFFFFFFFF)},
            "both 2 s; size 0 remarked",
            measured({"zero.wav": 2, "max.wav": 2}, remarks={"zero.wav": "read to the end"}),
        ),
        files(
            "wav-header-only",
            {"head.wav": GOOD[:44], "half.wav": GOOD[:20], "good.wav": GOOD},
            "one, two skipped by name",
            measured(whole, {"head.wav": "", "half.wav": ""}),
        ),
        files(
            "mp3-truncated",
            {"cut.mp3": long_mp3[: len(long_mp3) // 2]},
            "its half, and a remark",
            lambda seen: (
                None
                if 3.5 < seen.samples.get("cut.mp3", 0) < 5.5 and seen.remarks
                else f"{seen.samples} {seen.remarks}"
            ),
        ),
        files(
            "mp3-with-pictures",
            {"a.mp3": b"ID3\4\0\0\0\0\x02\x00" + bytes(256) + long_mp3},
            "9 s",
            measured({"a.mp3": 9}),
        ),
        files(
            "flac-false-length",
            {"a.flac": FLAC[:22] + b"\0\0\x10\0" + FLAC[26:], "good.wav": GOOD},
            "3 s",
            lambda seen: measured({**whole, "a.flac": 3}, remarks=seen.remarks)(seen),
        ),
        files(
            "wrong-suffix",
            {"a.mp3": GOOD, "b.wav": FLAC, "c": GOOD, "d.xyz": GOOD, "e.WAV": GOOD},
            "five files by content",
            measured(5),
        ),
        files(
            "empty",
            {"empty.wav": b"", "good.wav": GOOD},
            "one, one skipped by name",
            measured(whole, {"empty.wav": "is empty"}),
        ),
        files(
            "text-called-wav",
            {"text.wav": b"this is no audio\n" * 40, "good.wav": GOOD},
            "one, one skipped by name",
            measured(whole, {"text.wav": "neither"}),
        ),
        files(
            "html-called-mp3",
            {"x.mp3": b"<!doctype html><title>404</title>" * 9, "good.wav": GOOD},
            "one, one skipped by name",
            measured(whole, {"x.mp3": ""}),
        ),
        files(
            "nothing-decodable",
            {"a.wav": b"x" * 100, "b.flac": b"fLaC" + bytes(90)},
            "refused, names a file",
            refused("none of 2 files", r"a\.wav"),
        ),
        files(
            "noise-called-flac",
            {"n.flac": np.random.default_rng(1).bytes(20_000), "good.wav": GOOD},
            "one, one skipped by name",
            lambda seen: measured(whole, {"n.flac": ""})(seen),
        ),
        files(
            "not-a-number",
            {"nan.wav": _loud(np.nan), "loud.wav": _loud(1e30), "good.wav": GOOD},
            "one, two skipped by name",
            measured(whole, {"nan.wav": "not finite", "loud.wav": "full scale"}),
        ),
        files(
            "one-sample",
            {"one.wav": encoded(1 / RATE), "ten.wav": encoded(10 / RATE), "good.wav": GOOD},
            "all three",
            measured({**whole, "one.wav": 0, "ten.wav": 0}),
        ),
        files(
            "odd-rates",
            {
                "1k.wav": encoded(2, rate=1000),
                "1M.wav": encoded(2, rate=1_000_000),
                "7.wav": encoded(2, rate=7),
                "good.wav": GOOD,
            },
            "three, 7 Hz skipped by name",
            measured({**whole, "1k.wav": 2, "1M.wav": 2}, {"7.wav": "7 samples per second|neither"}),
        ),
        folder(
            "kinds-of-files",
            _kinds,
            "two, five skipped by name",
            measured(
                {"good.wav": 2, "folder.wav-inside.wav": 2},
                dict.fromkeys(("fifo.wav", "self.wav", "broken.wav", "device.wav", "socket.wav"), ""),
            ),
        ),
        Case(
            "unreadable",
            _unreadable,
            "two, file and folder skipped by name, transcript remarked",
            measured(
                {"good.wav": 2, "c.wav": 2}, {"mine.wav": "denied", "closed": "denied"}, {"c.wav": "cannot be read"}
            ),
        ),
        files(
            "playlist",
            {"list.ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n", "good.wav": GOOD},
            "one, one skipped by name",
            measured(whole, {"list.ffconcat": ""}),
        ),
        files(
            "transcripts",
            {
                "a.wav": GOOD,
                "a.txt": b"\xef\xbb\xbf" + TEXT,
                "b.wav": GOOD,
                "b.txt": TEXT.decode().encode("utf-16"),
                "c.wav": GOOD,
                "c.txt": "会议开始".encode("gbk"),
                "d.wav": GOOD,
                "d.txt": b"",
                "e.wav": GOOD,
                "e.wav.txt": "会议".encode("utf-16-be"),
                "f.wav": GOOD,
                "f.txt": TEXT,
            },
            "six; GBK and what is no text remarked",
            measured(6, remarks={"c.wav": GBK_SAID, "e.wav": ""}, also=_all_transcripts),
        ),
        files(
            "transcript-latin-1",
            {
                "a.wav": GOOD,
                "a.txt": "café à la crème".encode("latin-1"),
                "b.wav": GOOD,
                "b.txt": b"\x00\xff\x80 no text",
            },
            "two, both transcripts remarked",
            measured(2, remarks={"a.wav": "GBK|left out", "b.wav": "left out"}),
        ),
        files(
            "transcript-large",
            {"a.wav": GOOD, "a.txt": b"word " * (4 << 20)},
            "one, the transcript remarked",
            measured(1, remarks={"a.wav": "larger than"}),
        ),
    ]
