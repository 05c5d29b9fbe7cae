"""PocketSphinx: word times from its segmentation, the en-us model from its wheel."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pocketsphinx

from capsexp.config import EngineConfig, SphinxConfig
from capsexp.engines.runtime import about
from capsexp.errors import EngineError
from capsexp.protocol import Audio
from capsexp.segments import Recognition

FRAME = 0.01  # s, PocketSphinx' default frame rate is 100
_VARIANT = re.compile(r"\(\d+\)$")


class SphinxEngine:
    def __init__(self, config: SphinxConfig) -> None:
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


def load(config: EngineConfig, threads: int) -> SphinxEngine:
    assert isinstance(config, SphinxConfig)
    return SphinxEngine(config)


def model_files(config: EngineConfig) -> list[Path]:
    assert isinstance(config, SphinxConfig)
    acoustic, language, words = _model(config)
    return [*sorted(p for p in acoustic.iterdir() if p.is_file()), language, words]
