"""FunASR's SenseVoiceSmall through funasr-onnx: CTC, so each unit's frame is its time; tags apart from the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from capsexp.engines import _runtime, _words
from capsexp.engines._model import CUDA, HOLDS, INT8, SENSEVOICES, FunASRConfig, ModelConfig
from capsexp.errors import EngineError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.setting import redefault, setting

SHORTEST = RATE * 25 // 1000  # samples: one frame of the front end
FRAME_S = 0.06
PROMPT = 4  # frames before the audio's: language, emotion, event, text normalisation
BLANK = 0


@dataclass
class SenseVoiceConfig(FunASRConfig):
    """FunASR's SenseVoiceSmall through funasr-onnx. A model must be named: none is shipped."""

    measures: ClassVar[frozenset[str]] = ModelConfig.measures | {"textnorm"}
    shapes: ClassVar[tuple[str, ...]] = SENSEVOICES
    words: ClassVar[str] = "chn_jpn_yue_eng_ko_spectok.bpe.model"

    name: str = "sensevoice"
    model_dir: str | None = redefault(ModelConfig, "model_dir", None, says=HOLDS.format("the bpe.model"))
    twin: str | None = redefault(ModelConfig, "twin", None, choices=shapes)
    quantize: bool = redefault(ModelConfig, "quantize", False, says=INT8)
    device: str = redefault(ModelConfig, "device", "cpu", says=CUDA)
    language: str = setting("auto", "language spoken (auto | zh | en | yue | ja | ko | nospeech)")
    textnorm: str = setting("withitn", "withitn: punctuation and digits; woitn: plain words")

    @classmethod
    def kind(cls, settings: Mapping[str, Any]) -> str:
        return "sense_voice"


Settings = SenseVoiceConfig


class SenseVoiceEngine:
    def __init__(self, config: SenseVoiceConfig, threads: int) -> None:
        from funasr_onnx import SenseVoiceSmall

        device = _runtime.device_id(config.device)
        folder = config.files()[0].parent
        try:
            self._model = SenseVoiceSmall(
                str(folder), batch_size=1, device_id=device, quantize=config.quantize, intra_op_num_threads=threads
            )
            language, norm = self._model.read_tags(config.language, config.textnorm)
        except Exception as error:
            raise EngineError(f"engine=sensevoice cannot load {folder.name}: {error}") from None
        _runtime.check(self._model.ort_infer.session, config.device, threads)
        self.about = _runtime.about("funasr-onnx", threads, config.device)
        self._model.frontend.opts.frame_opts.dither = 0.0  # or the same audio would give two texts
        self._prompt = np.array(language, np.int32), np.array(norm, np.int32)

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        if len(audio) < SHORTEST:
            return Recognition([])
        features, lengths = self._model.extract_feat([np.asarray(audio)])
        try:
            logits, counts = self._model.infer(features, lengths, *self._prompt)
        except Exception as error:
            raise EngineError(f"engine=sensevoice: {error.__cause__ or error}") from None
        best = logits[0, : int(counts[0])].argmax(axis=-1)
        # A unit begins where the best path changes to it (Graves et al. 2006, best path decoding).
        begins = [i for i, unit in enumerate(best) if unit != BLANK and (i == 0 or unit != best[i - 1])]
        pieces = [self._model.tokenizer.sp.IdToPiece(int(best[i])) for i in begins]
        times = [round(max(0, i - PROMPT) * FRAME_S, 3) for i in begins]
        return Recognition(*_words.from_sentencepiece(pieces, times))


def load(config: SenseVoiceConfig, threads: int) -> SenseVoiceEngine:
    return SenseVoiceEngine(config, threads)
