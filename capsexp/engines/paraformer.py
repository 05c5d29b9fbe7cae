"""FunASR's Paraformer through funasr-onnx, batch size 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from capsexp.engines import _runtime, _words
from capsexp.engines._model import CUDA, HOLDS, INT8, PARAFORMERS, FunASRConfig, ModelConfig
from capsexp.errors import EngineError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.setting import redefault, setting

Features = NDArray[Any]
SHORTEST = RATE * 25 // 1000  # samples: one frame of the front end
FIRED = 1.0 - 1e-4  # a peak of the integrate-and-fire at least this high is where a token begins
PEAK_S = 0.06 / 3  # s per value of us_cif_peak: low-frame-rate frames, upsampled three times
PEAK_SHIFT = -1.5  # in such values, as FunASR's own reading of them


@dataclass
class ParaformerConfig(FunASRConfig):
    """FunASR's Paraformer through funasr-onnx. Where no model is named: the small Mandarin one that is shipped."""

    shapes: ClassVar[tuple[str, ...]] = PARAFORMERS
    words: ClassVar[str] = "tokens.json"

    name: str = "paraformer"
    model_dir: str | None = redefault(
        ModelConfig,
        "model_dir",
        None,
        says=HOLDS.format("tokens.json"),
    )
    twin: str | None = redefault(ModelConfig, "twin", None, choices=shapes)
    quantize: bool = redefault(ModelConfig, "quantize", False, says=INT8)
    device: str = redefault(ModelConfig, "device", "cpu", says=CUDA)
    language: str | None = setting(None, "language of your own model, e.g. zh (the shipped model: zh)")

    @classmethod
    def kind(cls, settings: Mapping[str, Any]) -> str:
        return "paraformer"


Settings = ParaformerConfig


class ParaformerEngine:
    def __init__(self, config: ParaformerConfig, threads: int) -> None:
        from funasr_onnx import Paraformer

        device = _runtime.device_id(config.device)
        folder = config.files()[0].parent
        try:
            self._model = Paraformer(
                str(folder), batch_size=1, device_id=device, quantize=config.quantize, intra_op_num_threads=threads
            )
        except Exception as error:
            raise EngineError(f"engine=paraformer cannot load {folder.name}: {error}") from None
        _runtime.check(self._model.ort_infer.session, config.device, threads)
        self.about = _runtime.about("funasr-onnx", threads, config.device)
        # Its front end adds noise by default, and the same audio would give two texts.
        self._model.frontend.opts.frame_opts.dither = 0.0

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        if len(audio) < SHORTEST:
            return Recognition([])
        model = self._model
        # Not by calling the model: that takes any error of the runtime for silence.
        features, lengths = model.extract_feat([np.asarray(audio)])
        try:
            outputs = model.infer(features, lengths)
        except Exception as error:
            reason = str(error.__cause__ or error)
            if _runtime.EMPTY.search(reason):
                return Recognition([])
            raise EngineError(f"engine=paraformer: {reason}") from None
        scores, counts = outputs[0][0], int(outputs[1][0])
        # As funasr-onnx reads them: without blank (0) and end (2), then as many as the predictor counted.
        places = [i for i, unit in enumerate(scores.argmax(axis=-1)) if unit not in (0, 2)]
        places = places[: max(0, counts - model.pred_bias)]
        tokens = model.converter.ids2tokens([int(scores[i].argmax()) for i in places])
        times = _times(outputs[3][0], places, len(audio) / RATE) if len(outputs) == 4 else []
        return Recognition(*_words.from_bpe(tokens, times))


def _times(peaks: Features, places: list[int], duration: float) -> list[float]:
    """Start times in seconds: token i begins where the i-th peak fires."""
    fired = (np.flatnonzero(peaks > FIRED) + PEAK_SHIFT) * PEAK_S
    if not len(fired):
        return [round(duration * n / len(places), 3) for n in range(len(places))]
    return [round(float(np.clip(fired[min(i, len(fired) - 1)], 0.0, duration)), 3) for i in places]


def load(config: ParaformerConfig, threads: int) -> ParaformerEngine:
    return ParaformerEngine(config, threads)
