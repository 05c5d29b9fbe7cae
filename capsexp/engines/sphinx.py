"""PocketSphinx: word times from its segmentation, the en-us model from its wheel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from capsexp.engines._runtime import about
from capsexp.engines.base import EngineConfig
from capsexp.errors import EngineError
from capsexp.protocol import Audio
from capsexp.segments import Recognition
from capsexp.setting import setting

FRAME = 0.01  # s, PocketSphinx' default frame rate is 100
_VARIANT = re.compile(r"\(\d+\)$")


@dataclass
class SphinxConfig(EngineConfig):
    """PocketSphinx. Where no model is named: the en-us one that its wheel carries, no download."""

    fork_safe: ClassVar[bool] = True
    one_core: ClassVar[bool] = True
    measures: ClassVar[frozenset[str]] = frozenset(
        {"language", "beam", "pbeam", "wbeam", "maxhmmpf", "fwdflat", "bestpath"}
    )

    name: str = "sphinx"
    model_dir: str | None = setting(None, "folder with your own acoustic model, *.lm.bin and *.dict")
    language: str | None = setting(None, "language of your own model, e.g. de")
    beam: float = setting(1e-48, "beam for states: smaller keeps more", high=1, above=True)
    pbeam: float = setting(1e-48, "beam for transitions between phones", high=1, above=True)
    wbeam: float = setting(7e-29, "beam for transitions between words", high=1, above=True)
    maxhmmpf: int = setting(30000, "most states per frame; -1: no limit", low=-1)
    fwdflat: bool = setting(True, "second pass over the words of the first")
    bestpath: bool = setting(True, "third pass, over the word lattice")

    @classmethod
    def languages(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return super().languages(settings) or (() if settings.get("model_dir") else ("en",))

    def files(self) -> list[Path]:
        acoustic, language, words = _model(self)
        return [*sorted(p for p in acoustic.iterdir() if p.is_file()), language, words]


Settings = SphinxConfig


class SphinxEngine:
    def __init__(self, config: SphinxConfig) -> None:
        import pocketsphinx

        acoustic, language, words = _model(config)
        self.about = about("pocketsphinx", threads=1)  # it knows no more
        try:
            self._decoder = pocketsphinx.Decoder(
                hmm=str(acoustic),
                lm=str(language),
                dict=str(words),
                beam=config.beam,
                pbeam=config.pbeam,
                wbeam=config.wbeam,
                maxhmmpf=config.maxhmmpf,
                fwdflat=config.fwdflat,
                bestpath=config.bestpath,
                loglevel="FATAL",
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"engine=sphinx cannot load {acoustic.name}, {language.name}, {words.name}: {error}"
            ) from None

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        pcm = (np.clip(audio, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        if not pcm:
            return Recognition([])
        decoder = self._decoder
        # The cepstral mean adapts from utterance to utterance; without this the text depends on what came before.
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(pcm, no_search=False, full_utt=True)
        decoder.end_utt()
        # The mean is taken over the frames that hold more than nothing. Of digital silence there are none, the mean is
        # no number, and what is found in such features depends on what the decoder heard before.
        if "nan" in decoder.get_cmn(False):
            return Recognition([])
        tokens, times = [], []
        for word in decoder.seg() or ():
            text = _VARIANT.sub("", word.word)
            if text[:1] not in "<[+":  # <s>, <sil>, [NOISE], ++UH++ are no words
                tokens.append(text)
                times.append(round(word.start_frame * FRAME, 3))
        return Recognition(tokens, times)


def _model(config: SphinxConfig) -> tuple[Path, Path, Path]:
    if config.model_dir is None:
        import pocketsphinx

        root = Path(pocketsphinx.get_model_path("en-us"))
        return root / "en-us", root / "en-us.lm.bin", root / "cmudict-en-us.dict"
    root = Path(config.model_dir)
    found = []
    for pattern, what in (
        ("**/mdef", "acoustic model (mdef)"),
        ("**/*.lm*", "language model (*.lm.bin)"),
        ("**/*.dict*", "dictionary (*.dict)"),
    ):
        match = min(root.glob(pattern), key=lambda p: (len(p.name), p), default=None)  # not en-us-phone.lm
        if match is None:
            raise EngineError(f"engine.model_dir={config.model_dir}: no {what} below it")
        found.append(match)
    return found[0].parent, found[1], found[2]


def load(config: SphinxConfig, threads: int) -> SphinxEngine:
    return SphinxEngine(config)
