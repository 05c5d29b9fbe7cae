"""Makes the speech samples and their manifest anew: python samples/make.py [--check]

Needs the programs flite, festival (text2wave) and ffmpeg, and festival's voices kal_diphone and
cmu_us_slt_arctic_hts. --check makes nothing and prints how much of each clip the sphinx engine gets wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import encode
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

HERE = Path(__file__).resolve().parent
PROGRAMS = ("flite", "text2wave", "ffmpeg")
PAUSE_S = 0.6  # between paragraphs
LEVEL = 0.7  # peak of every clip
QUALITY = {".mp3": ["-b:a", "96k"], ".ogg": ["-q:a", "4"]}


@dataclass(frozen=True)
class Clip:
    """`text` is one paragraph or several."""

    file: str
    voice: str
    rate: int
    channels: int
    text: tuple[str, ...]


CLIPS = (
    Clip(
        "speech/01-travel.wav",
        "festival cmu_us_slt_arctic_hts",
        16000,
        1,
        (
            "We are going to drive across the country this summer. "
            "It will take us about two weeks to get to the other side. "
            "We want to see the mountains and the great lakes.",
        ),
    ),
    Clip(
        "speech/02-school.flac",
        "flite rms",
        44100,
        1,
        (
            "There are about five hundred students at the new high school. "
            "Most of the teachers have worked there for a long time. "
            "This year the students will learn about the history of the state.",
        ),
    ),
    Clip(
        "speech/03-market.mp3",
        "flite rms",
        44100,
        2,
        (
            "Every Saturday there is a market in the center of the town. "
            "You can also buy fresh bread and all kinds of cheese. "
            "The prices are good and the people are always friendly.",
        ),
    ),
    Clip(
        "speech/04-phone.ogg",
        "flite awb",
        48000,
        1,
        (
            "I tried to call you last night but there was no answer. "
            "A friend of mine has a truck that we can use. "
            "It should not take more than three or four hours.",
        ),
    ),
    Clip(
        "speech/05-music.flac",
        "festival kal_diphone",
        22050,
        1,
        (
            "My sister started to play the piano when she was seven years old. "
            "She practiced for two hours every day after school. "
            "Now she plays in a group with some of her friends.",
        ),
    ),
    Clip(
        "speech/06-house.mp3",
        "flite awb",
        22050,
        1,
        (
            "The roof was bad and all of the windows were broken. "
            "It took them almost a year to finish the work. "
            "Now it is one of the most beautiful homes in the city.",
        ),
    ),
    Clip(
        "speech/07-library.wav",
        "flite kal16",
        16000,
        1,
        (
            "The library is open every day except on Monday. "
            "There is a quiet room where the students can read and study. "
            "Children under the age of twelve can join for free.",
        ),
    ),
    Clip(
        "speech/08-morning.ogg",
        "flite slt",
        44100,
        1,
        (
            "We got up early this morning because the house was very cold. "
            "My mother made hot coffee and we sat down at the kitchen table. "
            "It was still dark outside and there was snow on the road.",
        ),
    ),
    Clip(
        "speech/09-long.mp3",
        "flite slt",
        44100,
        1,
        (
            "The doctor said that I should get more sleep and drink more water. "
            "She asked me a lot of questions about my work and my family. "
            "I told her that I had been feeling very tired for about a month. "
            "She said there was no reason to worry about it. "
            "I have to go back and see her again in three weeks.",
            "The weather will be warm and dry for most of the week. "
            "There may be some rain in the north on Friday night. "
            "Strong winds are expected along the coast this weekend. "
            "By Sunday afternoon the clouds will be gone and the sun will come out.",
            "The train to the city leaves from the other side of the station. "
            "Please have your ticket ready before you get on the train. "
            "The next train will be about ten minutes late. "
            "If you have any questions please ask one of the people who work here.",
            "When I was a boy we lived in a small house near the ocean. "
            "At night I could hear the sound of the water from my bed. "
            "He knew the name of every fish in the sea. "
            "I still think about those days when I look at the water.",
            "I have a friend who works for a large newspaper. "
            "She writes about the people who live in our part of the city. "
            "Last week she talked with a woman who is almost one hundred years old. "
            "It was one of the best stories that I have ever read.",
            "My brother works in an office on the fifth floor of a tall building. "
            "He leaves the house before seven in the morning and comes back at six. "
            "In the evening he likes to cook dinner for his wife and his two children. "
            "On the weekend they often go for a long walk in the park.",
        ),
    ),
)
LONG = "speech/09-long.mp3"
QUICK = ["speech/04-phone.ogg", "speech/07-library.wav"]


def plain(text: str) -> str:
    """Lower case words without punctuation, as a recognizer writes them."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


def missing() -> list[str]:
    """Programs and voices that are needed and not installed."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return absent
    # An unknown voice would be replaced by flite's default without a word.
    known = subprocess.run(["flite", "-lv"], capture_output=True, text=True, check=True).stdout.split()
    listing = ["festival", "-b", "(print (voice.list))"]
    known += re.findall(r"\w+", subprocess.run(listing, capture_output=True, text=True, check=True).stdout)
    return sorted({f"voice {clip.voice}" for clip in CLIPS if clip.voice.split()[1] not in known})


def speak(voice: str, text: str, folder: Path) -> tuple[npt.NDArray[np.float64], int]:
    """Samples and their rate."""
    program, name = voice.split()
    out = folder / "spoken.wav"
    if program == "flite":
        subprocess.run(["flite", "-voice", name, "-t", text, "-o", str(out)], check=True)
    else:
        command = ["text2wave", "-eval", f"(voice_{name})", "-o", str(out)]
        subprocess.run(command, input=text, text=True, check=True)
    audio, rate = soundfile.read(out, dtype="float64")
    return audio, rate


def make(clip: Clip, folder: Path) -> dict[str, Any]:
    """Write a clip; returns its entry in the manifest."""
    parts: list[npt.NDArray[np.float64]] = []
    for paragraph in clip.text:
        audio, rate = speak(clip.voice, paragraph, folder)
        parts += [np.zeros(int(PAUSE_S * rate)), audio] if parts else [audio]
    audio = np.concatenate(parts)
    audio = soxr.resample(audio, rate, clip.rate) if rate != clip.rate else audio
    audio *= LEVEL / np.abs(audio).max()
    facts = encode.write(HERE / clip.file, audio, clip.rate, clip.channels, QUALITY.get(Path(clip.file).suffix, []))
    return {"file": clip.file, "text": plain(" ".join(clip.text)), **facts, "voice": clip.voice}


def make_all() -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries = [make(clip, Path(folder)) for clip in CLIPS]
    files = [entry["file"] for entry in entries]
    sets = {"speech": [LONG, *(file for file in files if file != LONG)], "quick": QUICK}
    path = HERE / "manifest.json"
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {"clips": [], "sets": {}}
    others = [clip for clip in before["clips"] if not clip["file"].startswith("speech/")]  # make_zh.py's
    spoken = {**before.get("languages", {}), "speech": "en", "quick": "en"}
    whole = {"schema": 1, "clips": entries + others, "languages": spoken, "sets": {**before["sets"], **sets}}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    size = sum((HERE / file).stat().st_size for file in files)
    print(f"{len(files)} clips, {sum(e['duration_s'] for e in entries):.1f} s, {size / 1e6:.2f} MB")


def check() -> None:
    """Word error rates of both merged texts, at the default cut."""
    sys.path.insert(0, str(HERE.parent))
    import jiwer

    from capsexp import audio
    from capsexp.compose import compose
    from capsexp.engines import base
    from capsexp.segments import Cut, Merger, cut_all

    config = compose([])
    engine = base.load(config.engine, 1)
    cut = Cut.of(config.load.seg_duration, config.load.seg_overlap)
    print(f"{'file':25} {'voice':31} {'s':>5} {'WER':>6} {'accu':>6}")
    for clip in json.loads((HERE / "manifest.json").read_text("utf-8"))["clips"]:
        if not clip["file"].startswith("speech/"):
            continue
        merger = Merger(cut)
        for segment in cut_all(audio.load(HERE / clip["file"]), cut):
            heard = engine.recognize(segment.audio, segment.start, segment.shared)
            merger.add(segment.start, segment.last, heard)
        text, accu = (jiwer.wer(clip["text"], heard) for heard in (merger.text, merger.text_accu))
        print(f"{clip['file']:25} {clip['voice']:31} {clip['duration_s']:5.1f} {text:6.3f} {accu:6.3f}")
        if text:
            print(f"    {merger.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the speech samples and their manifest.")
    parser.add_argument("--check", action="store_true", help="make nothing; print word error rates with engine=sphinx")
    if parser.parse_args().check:
        check()
    elif absent := missing():
        raise SystemExit(f"samples/make.py needs {', '.join(absent)}: install flite, festival, its voices, and ffmpeg")
    else:
        make_all()


if __name__ == "__main__":
    main()
