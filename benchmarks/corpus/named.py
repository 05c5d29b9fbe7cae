"""How files and folders are called, and how they are typed."""

from __future__ import annotations

import os
from pathlib import Path

from audio import GOOD, files
from case import Case, Seen, Start, measured, refused
from sounds import encoded, wav


def _one(place: Path, name: str = "a.wav") -> Path:
    return wav(place / "clips" / name)


def _bytes_names(place: Path) -> Start:
    _one(place, "good.wav")
    for name in ("录音.wav".encode("gbk"), "café.wav".encode("latin-1")):
        Path(os.fsdecode(os.fsencode(place / "clips") + b"/" + name)).write_bytes(GOOD)
    return Start()


def _working(folder: str) -> Case:
    def make(place: Path) -> Start:
        wav(place / folder / "clips" / "a.wav")
        return Start(cwd=folder, clips="./clips")

    return Case(f"working folder {folder!r}", make, "measured and archived", measured({"a.wav": 2}))


def _typed(name: str, typed: str, there: str) -> Case:
    def make(place: Path) -> Start:
        wav(place / there / "a.wav")
        return Start(clips=typed, env={"HOME": str(place)})

    return Case(f"samples.dir={name}", make, "taken as typed", measured({"a.wav": 2}))


def _dollar_folder(place: Path) -> Start:
    wav(place / "${x}" / "clips" / "a.wav")
    return Start(cwd="${x}", clips="./clips")


def _nested(place: Path) -> Start:
    _one(place, f"{'字' * 80}/{'音' * 80}/{'字' * 81}.wav")
    _one(place, f"{'字' * 80}/{'音' * 80}/{'字' * 80}一.wav")
    return Start()


def _distinct(count: int) -> object:
    def look(seen: Seen) -> str | None:
        lower = {name.lower() for name in seen.samples}
        return None if len(lower) == count else f"{len(lower)} names where case does not count"

    return measured(count, also=look)


def cases() -> list[Case]:
    three = {name: encoded(2, seed=number) for number, name in enumerate(("a b.wav", "a-b.wav", "2-a-b.wav"))}
    case = {
        name: encoded(2, seed=number)
        for number, name in enumerate(("A.wav", "a.wav", "a.WAV", "ß.wav", "ss.wav", "é.wav", "e\u0301.wav"))
    }
    pair = {"a.wav": encoded(1), "a.flac": encoded(2, "FLAC"), "a.txt": b"one text for both"}
    odd = (
        "new\nline.wav",
        "tab\there.wav",
        "it's.wav",
        'say "x".wav',
        "a,b.wav",
        "$HOME.wav",
        "${x}.wav",
        "😀.wav",
        "-dash.wav",
        "trailing-.wav",
        "dot..wav",
        "100%.wav",
        "a=b.wav",
        "[x].wav",
        "#1.wav",
        "CON.wav",
        "a;b&c|d.wav",
        "\x1b[31mred.wav",
        "\u202eevil.wav",
        "back\\slash.wav",
        "~.wav",
    )
    return [
        files("collide", three, "three samples with names of their own", _distinct(3)),
        files("collide-by-case", case, "seven samples with names of their own", _distinct(7)),
        files("same-stem", pair, "two", measured({"a.wav": 1, "a.flac": 2})),
        files("long-name", {"字" * 81 + ".wav": GOOD}, "measured and archived", measured(1)),
        Case("long-name-nested", _nested, "two, archived", measured(2)),
        Case("names-in-gbk-and-latin-1", _bytes_names, "three, named in print", measured(3)),
        files(
            "odd-names",
            {name: encoded(0.5, seed=n) for n, name in enumerate(odd)},
            "21 samples, 21 names",
            _distinct(21),
        ),
        files(
            "leading-dot",
            {".hidden.wav": GOOD, "good.wav": GOOD, "._good.wav": b"\0\5\x16\7"},
            "one; hidden files are none",
            measured({"good.wav": 2}),
        ),
        _working("o'brien"),
        _working('say "x"'),
        _working("a b, c=d [e] (录音)"),
        _working("back\\slash"),
        _working("100% #1 & ;"),
        _working("$HOME"),
        _working("-rf"),
        _working("new\nline"),
        _working("{a,b}"),
        Case(
            "working folder '${x}'",
            _dollar_folder,
            "refused in one line, nothing made",
            refused("choose a folder without it"),
        ),
        _typed("录音 with spaces", "录音 new/a (1)", "录音 new/a (1)"),
        _typed("~", "~/my clips", "my clips"),
        _typed("quotes", 'o\'brien "x"', 'o\'brien "x"'),
        _typed("a,b that is there", "a,b", "a,b"),
        _typed("emoji", "😀/[x] {y}", "😀/[x] {y}"),
        _typed("as Hydra quotes", "'a b'", "a b"),
    ]
