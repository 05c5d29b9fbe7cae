"""Mandarin by espeak-ng, through its C interface: samples, and where each syllable begins.

The voice is `cmn-latn-pinyin`, which is given syllables: 1.51's `cmn` voice reads many Chinese characters wrongly.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.texts import PAUSE, Text

Times = npt.NDArray[np.float64]
RATE = 22050  # Hz, espeak-ng's own
SYNCHRONOUS = 2
WORD, ENDED, END = 1, 0, 5  # types of events
RATE_PARAMETER, PITCH_PARAMETER, RANGE_PARAMETER = 1, 3, 4

# Voice variants of espeak-ng. Left out: whispering and croaking ones (the tones are lost) and copies of each other.
HEARD = (
    "m1", "m2", "m4", "m5", "m6", "m8", "f1", "f2", "f3", "f5", "klatt", "klatt3", "klatt4", "Alex", "Alicia", "Andy",
    "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee", "Mario", "Michael", "Nguyen", "anika", "antonio", "belinda",
    "benjamin", "boris", "david", "edward", "gustave", "iven", "john", "kaukovalta", "marcelo", "max", "michel",
    "norbert", "pablo", "paul", "pedro", "quincy", "robert", "sandro", "shelby", "steph", "travis", "victor",
)  # fmt: skip
UNHEARD = ("m3", "m7", "f4", "klatt2", "Andrea", "Mike", "Hugo", "linda", "ed", "rob", "zac", "miguel")


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # of the character, counted from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


@dataclass(frozen=True)
class Speech:
    """`audio` is at `RATE`; `starts` and `ends` are of the characters (pauses left out), in seconds."""

    audio: npt.NDArray[np.float32]
    starts: Times
    ends: Times
    characters: str


class Voice:
    """espeak-ng in this process, of which there can be one. Raises OSError where it is not installed.

    Its voices keep a state from one utterance to the next: the same sequence of calls gives the same samples.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        if self._library.espeak_Initialize(SYNCHRONOUS, 0, None, 0) != RATE:
            raise OSError(f"espeak-ng does not speak at {RATE} Hz")
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        path = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(path))
        self._variants = {file.name for file in (Path(os.fsdecode(path.value or b"")) / "voices" / "!v").iterdir()}
        self._callback = kind(self._take)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)
        self._audio: list[npt.NDArray[np.int16]] = []
        self._words: dict[int, int] = {}

    def speak(self, text: Text, variant: str, rate: int, pitch: int, spread: int = 50) -> Speech:
        """Say `text` as the variant of the voice does, `rate` in words a minute, `pitch` and its `spread` 0 to 99.

        Raises ValueError for a variant that is not there or a text whose syllables are not all reported.
        """
        said, places = _line(text)
        # espeak-ng itself would take its plain voice for one that it does not know.
        if variant not in self._variants or self._library.espeak_SetVoiceByName(f"cmn-latn-pinyin+{variant}".encode()):
            raise ValueError(f"espeak-ng has no voice variant {variant!r}")
        for parameter, value in ((RATE_PARAMETER, rate), (PITCH_PARAMETER, pitch), (RANGE_PARAMETER, spread)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._audio, self._words = [], {}
        line = said.encode()
        if self._library.espeak_Synth(line, len(line) + 1, 0, 1, 0, 0, None, None):
            raise ValueError(f"espeak-ng cannot say {said!r}")
        # One word can be reported twice; what counts is where in the text it is, so that none is lost or made up.
        missing = [place for place in places if place not in self._words]
        if missing:
            raise ValueError(f"espeak-ng reports no time for {len(missing)} syllables of {said!r}")
        starts = np.array([self._words[place] for place in places], np.float64) / RATE
        audio = np.concatenate(self._audio).astype(np.float32) / 32768
        return Speech(audio, starts, self._ends(text, starts, audio), "".join(c for c, _ in text))

    def _ends(self, text: Text, starts: Times, audio: npt.NDArray[np.float32]) -> Times:
        """A syllable ends where the next begins, but before a pause, where the sound does."""
        ends = np.append(starts[1:], len(audio) / RATE)
        at = -1
        for unit, following in zip(text, [*text[1:], PAUSE], strict=True):
            at += unit != PAUSE
            if unit != PAUSE and following == PAUSE:
                piece = np.abs(audio[int(starts[at] * RATE) : int(ends[at] * RATE)])
                loud = np.flatnonzero(piece > 0.02 * max(float(piece.max(initial=0.0)), 1e-3))
                if len(loud):
                    ends[at] = starts[at] + (loud[-1] + 1) / RATE
        return ends

    def _take(self, samples: object, count: int, events: object) -> int:
        if samples and count:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())  # type: ignore[call-overload]
        index = 0
        while events[index].type != ENDED:  # type: ignore[index]
            event = events[index]  # type: ignore[index]
            if event.type == WORD:
                self._words[event.text_position] = event.sample
            index += 1
        return 0


def _line(text: Text) -> tuple[str, list[int]]:
    """What espeak-ng is given, and the place of each syllable in it, counted from 1."""
    line, places = "", []
    for unit in text:
        if unit == PAUSE:
            line = line.rstrip() + ", "
            continue
        places.append(len(line) + 1)
        line += unit[1] + " "
    return line.rstrip(), places
