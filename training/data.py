"""Speech with its text and times: made from a seed, and for training kept as features on disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import augment, features, texts, voice
from training.augment import RATE, Audio

Times = npt.NDArray[np.float64]
KINDS = {"one": 0.60, "several": 0.10, "long": 0.14, "cut": 0.12, "nothing": 0.04}
LONG_S = (15.0, 30.0)
KEPT = 0.5  # of a character must be left by a cut for it to be in the text
SHARD = 250  # utterances


@dataclass(frozen=True)
class Utterance:
    """`audio` at 16 kHz; `starts` and `ends` of the characters of `text` in seconds."""

    audio: Audio
    text: str
    starts: Times
    ends: Times
    variant: str

    def piece(self, begin: float, end: float) -> Utterance:
        """What is left between two times: characters of which at least `KEPT` is inside."""
        inside = np.minimum(self.ends, end) - np.maximum(self.starts, begin)
        kept = inside >= KEPT * (self.ends - self.starts)
        starts, ends = (np.clip(t[kept] - begin, 0, end - begin) for t in (self.starts, self.ends))
        text = "".join(c for c, k in zip(self.text, kept, strict=True) if k)
        return Utterance(self.audio[int(begin * RATE) : int(end * RATE)], text, starts, ends, self.variant)


class Speaker:
    """Makes utterances one after another. The same arguments give the same utterances, in a process of their own.

    `noisy` is the range of the distance between speech and noise in dB; `held_out` and `variants` as in `texts` and
    `voice`.
    """

    def __init__(
        self, seed: tuple[int, ...], variants: tuple[str, ...], held_out: bool, noisy: tuple[float, float] = (8, 45)
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._writer = texts.Writer(texts.read(), self._rng, held_out)
        self._voice, self._variants, self._held_out, self._noisy = voice.Voice(), variants, held_out, noisy

    def utterance(self, kind: str) -> Utterance:
        """One of `KINDS`; tests (`held_out`) are made of sentences alone."""
        rng = self._rng
        if kind == "nothing":
            return self._nothing()
        if kind == "one":
            made = self._join(lambda said, length: said == 1)
        elif kind == "long":
            low, high = LONG_S
            wanted = rng.uniform(low, high - 3)
            made = self._join(lambda said, length: length >= wanted)
            made = made.piece(0, min(len(made.audio) / RATE, high))
        else:
            wanted = rng.integers(2, 5) if kind == "several" else rng.integers(2, 8)
            made = self._join(lambda said, length: said == wanted)
        if kind == "cut":
            length = len(made.audio) / RATE
            width = rng.uniform(min(1.0, length / 2), min(17.0, length))
            begin = rng.uniform(0, length - width)
            # As servers cut: anywhere, also at one end only.
            begin, end = (0.0, width) if rng.random() < 0.3 else (begin, begin + width)
            made = made.piece(begin, end)
        return self._recorded(made)

    def _join(self, enough: Callable[[int, float], bool]) -> Utterance:
        """Texts of one voice with pauses around them, until `enough(texts, seconds)`."""
        rng = self._rng
        variant = str(rng.choice(self._variants))
        rate, pitch = int(rng.integers(120, 231)), int(rng.integers(20, 86))
        spread, factor = int(rng.integers(30, 80)), rng.uniform(0.9, 1.12)
        parts = [self._silence(0.05, 0.6)]
        starts, ends, text, said = [], [], "", 0
        length = len(parts[0])
        while not enough(said, length / RATE):
            units = self._writer.sentence() if self._held_out else self._writer.any()
            spoken = self._voice.speak(units, variant, rate, pitch, spread)
            audio = augment.throat(spoken.audio, voice.RATE, factor)
            for times, of in ((starts, spoken.starts), (ends, spoken.ends)):
                times.append(of / factor + length / RATE)
            # espeak-ng ends a sentence with silence of its own; what is left of it makes pauses of any length.
            audio = audio[: int((spoken.ends[-1] / factor + rng.uniform(0.03, 0.3)) * RATE)]
            parts += [audio, self._silence(0.0, 0.7)]
            text += spoken.characters
            length += len(parts[-2]) + len(parts[-1])
            said += 1
        return Utterance(np.concatenate(parts), text, np.concatenate(starts), np.concatenate(ends), variant)

    def _silence(self, low: float, high: float) -> Audio:
        seconds = self._rng.uniform(high, 4.0) if self._rng.random() < 0.04 else self._rng.uniform(low, high)
        return np.zeros(int(seconds * RATE), np.float32)

    def _recorded(self, made: Utterance) -> Utterance:
        rng = self._rng
        audio = augment.channel(rng, made.audio)
        if rng.random() < 0.85:
            audio = augment.with_noise(rng, audio, *self._noisy)
        audio = augment.at_level(rng, audio)
        return Utterance(audio, made.text, made.starts, made.ends, made.variant)

    def _nothing(self) -> Utterance:
        rng = self._rng
        audio = np.zeros(int(rng.uniform(0.4, 12) * RATE), np.float32)
        if rng.random() < 0.85:
            audio = augment.at_level(rng, augment.noise(rng, len(audio)))
        if rng.random() < 0.3:
            audio = audio * np.float32(10 ** (-rng.uniform(20, 60) / 20))
        none = np.zeros(0)
        return Utterance(audio, "", none, none, "")


def kinds(rng: np.random.Generator, count: int) -> list[str]:
    """As many kinds of utterances, drawn as `KINDS` says."""
    return [str(k) for k in rng.choice(list(KINDS), count, p=list(KINDS.values()))]


def build(folder: Path, seed: int, count: int, processes: int, say: Callable[[str], None] = print) -> None:
    """Write the training data, `count` utterances, as shards; what is there already is kept.

    Each shard is made in a process of its own, so that the samples do not depend on how many work at once. Forked, as
    espeak-ng is loaded in none before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob("*.npy"):
        if not half.with_suffix(".json").is_file():
            half.unlink()
    wanted = [n for n in range(-(-count // SHARD)) if not (folder / f"{n:04d}.json").is_file()]
    if not wanted:
        return
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        for done, seconds in enumerate(pool.imap_unordered(partial(_shard, folder, seed), wanted, chunksize=1), 1):
            say(f"data: shard {done} of {len(wanted)}, {seconds / 3600:.2f} h")


def _shard(folder: Path, seed: int, number: int) -> float:
    """Write one shard; returns its seconds of audio."""
    speaker, front = Speaker((seed, 1, number), voice.HEARD, held_out=False), features.FrontEnd()
    arrays, facts, seconds = [], [], 0.0
    for kind in kinds(np.random.default_rng((seed, 2, number)), SHARD):
        made = speaker.utterance(kind)
        if len(made.audio) < RATE // 5:
            continue
        arrays.append(front(made.audio).astype(np.float16))
        times = {"starts": made.starts.round(4).tolist(), "ends": made.ends.round(4).tolist()}
        facts.append({"frames": len(arrays[-1]), "text": made.text, **times})
        seconds += len(made.audio) / RATE
    np.save(folder / f"{number:04d}.npy", np.concatenate(arrays))
    (folder / f"{number:04d}.json").write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
    return seconds


def digest(folder: Path) -> str:
    """Of all shards: two runs with the same have the same data."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("[0-9]*.*")):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


@dataclass(frozen=True)
class Example:
    """`features` (frames of 10 ms, 80) in float16; `starts` and `ends` in seconds."""

    features: npt.NDArray[np.float16]
    text: str
    starts: Times
    ends: Times


def read(folder: Path) -> Iterator[Example]:
    """The training data in the order it was made."""
    for path in sorted(folder.glob("*.json")):
        array = np.load(path.with_suffix(".npy"))
        at = 0
        for fact in json.loads(path.read_text("utf-8")):
            piece = array[at : at + fact["frames"]]
            at += fact["frames"]
            yield Example(piece, fact["text"], np.array(fact["starts"]), np.array(fact["ends"]))
