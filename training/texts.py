"""What is said: the lexicon and the sentences made of it. Pure, and the same for the same seed.

A text is a list of units `(character, syllable)`; a pause is `("", "")`. Sentences are divided in two by a hash of
their characters: what may be trained on, and what is held out for tests and samples.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
Unit = tuple[str, str]
Text = list[Unit]
PAUSE: Unit = ("", "")
HELD_OUT = 8  # one sentence in so many is for tests only
DIGITS = "零一二三四五六七八九"


def characters(text: Text) -> str:
    return "".join(character for character, _ in text)


def is_held_out(text: Text) -> bool:
    """Whether a text belongs to the tests; nothing is trained on it."""
    return zlib.crc32(characters(text).encode()) % HELD_OUT == 0


@dataclass(frozen=True)
class Lexicon:
    """`words` maps a word to its units, `categories` a category to its words, `templates` are split into parts."""

    words: dict[str, Text]
    categories: dict[str, list[str]]
    templates: list[list[str]]

    @property
    def characters(self) -> list[str]:
        """All characters in the order of their first use: the model's vocabulary."""
        return list(dict.fromkeys(c for text in self.words.values() for c, _ in text))

    @property
    def plain_syllables(self) -> list[Unit]:
        """Characters that no other character sounds like: what can be told apart without a word around it."""
        sounds: dict[str, set[str]] = {}
        for text in self.words.values():
            for character, syllable in text:
                sounds.setdefault(syllable, set()).add(character)
        return [(next(iter(who)), syllable) for syllable, who in sounds.items() if len(who) == 1]


def read() -> Lexicon:
    """The project's lexicon and templates; raises ValueError naming the line that cannot be used."""
    words: dict[str, Text] = {}
    categories: dict[str, list[str]] = {}
    category = ""
    for line in _lines("lexicon.txt"):
        if line.startswith("["):
            category = line[1:-1]
            categories[category] = []
            continue
        word, *syllables = line.split()
        if len(word) != len(syllables) or not category:
            raise ValueError(f"lexicon.txt: {line!r} needs one syllable for each character")
        units = list(zip(word, syllables, strict=True))
        if words.setdefault(word, units) != units:
            raise ValueError(f"lexicon.txt: {word} is read in two ways")
        categories[category].append(word)
    templates = [line.split() for line in _lines("templates.txt")]
    for part in (part for template in templates for part in template):
        known = categories if part.startswith("{") else words
        if part != "，" and not part.startswith("{number:") and part.strip("{}") not in known:
            raise ValueError(f"templates.txt: {part} is not in the lexicon")
    return Lexicon(words, categories, templates)


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def spoken(number: int) -> list[str]:
    """A number below 10,000 as words: 305 is 三百零五."""
    if not 0 <= number < 10_000:
        raise ValueError(f"{number} is not below 10000")
    if number < 10:
        return [DIGITS[number]]
    if number < 20:
        return ["十"] + ([DIGITS[number - 10]] if number > 10 else [])
    said: list[str] = []
    skipped = False
    for power, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if not digit:
            skipped = bool(said)
            continue
        said += ["零"] if skipped else []
        said += [DIGITS[digit], unit] if unit else [DIGITS[digit]]
        skipped = False
    return said


class Writer:
    """Makes texts from a random generator. `held_out` chooses the half that its sentences come from."""

    def __init__(self, lexicon: Lexicon, rng: np.random.Generator, held_out: bool = False) -> None:
        self._lexicon, self._rng, self._held_out = lexicon, rng, held_out
        self._all = list(lexicon.words)

    def sentence(self) -> Text:
        """One sentence from a template."""
        return self._of_my_half(self._from_template)

    def words(self) -> Text:
        """1 to 6 words in any order."""
        return self._of_my_half(lambda: self._units(self._pick(self._all) for _ in range(self._rng.integers(1, 7))))

    def digits(self) -> Text:
        """3 to 11 digits, many of them repeated: what a recognizer of attention alone loses count of."""
        return self._of_my_half(self._digits)

    def syllables(self) -> Text:
        """3 to 12 characters that make no word, each with a sound of its own."""
        return self._of_my_half(self._syllables)

    def any(self) -> Text:
        """As training sees them: mostly sentences."""
        kinds: list[Callable[[], Text]] = [self.sentence, self.words, self.digits, self.syllables]
        return kinds[self._rng.choice(4, p=[0.66, 0.18, 0.08, 0.08])]()

    def _of_my_half(self, make: Callable[[], Text]) -> Text:
        while True:
            text = make()
            if is_held_out(text) == self._held_out:
                return text

    def _from_template(self) -> Text:
        template = self._lexicon.templates[self._rng.integers(len(self._lexicon.templates))]
        words: list[str] = []
        for part in template:
            if part.startswith("{number:"):
                words += spoken(int(self._rng.integers(1, int(part[8:-1]))))
            elif part.startswith("{"):
                words.append(self._pick(self._lexicon.categories[part[1:-1]]))
            else:
                words.append(part)
        return self._units(words)

    def _digits(self) -> Text:
        said: list[str] = []
        wanted = self._rng.integers(3, 12)
        while len(said) < wanted:
            times = 1 if self._rng.random() < 0.6 else self._rng.integers(2, 5)
            said += [self._pick(self._lexicon.categories["digit"])] * int(times)
        return self._units(said[:wanted])

    def _syllables(self) -> Text:
        plain = self._lexicon.plain_syllables
        said: Text = []
        wanted = self._rng.integers(3, 13)
        while len(said) < wanted:
            unit = plain[self._rng.integers(len(plain))]
            # The first of two third tones is spoken as a second one, which may be another character's.
            if not said or (said[-1][1][-1], unit[1][-1]) != ("3", "3"):
                said.append(unit)
        return said

    def _units(self, words: Iterable[str]) -> Text:
        return [unit for word in words for unit in ([PAUSE] if word == "，" else self._lexicon.words[word])]

    def _pick(self, words: list[str]) -> str:
        return words[self._rng.integers(len(words))]
