"""sherpa-onnx' offline recognizers, loaded as CapsWriter loads them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import sherpa_onnx

from capsexp.config import EngineConfig, SherpaConfig
from capsexp.engines import folders, runtime, words
from capsexp.errors import EngineError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition

SHORTEST = RATE // 10  # samples; it ends the process over less than its models can take


class SherpaEngine:
    def __init__(self, config: SherpaConfig, threads: int) -> None:
        self._type = config.model_type
        self.about = runtime.about("sherpa-onnx", threads, config.device)
        *parts, tokens = folders.files(config)
        keywords = folders.SHERPA_PARTS[config.model_type]
        given: dict[str, Any] = {
            **{keyword: str(path) for keyword, path in zip(keywords, parts, strict=True)},
            "tokens": str(tokens), "num_threads": threads, "provider": _provider(config.device),
        }  # fmt: skip
        if config.model_type == "sense_voice":
            given |= {"language": config.language, "use_itn": config.use_itn}
        make: Callable[..., Any] = getattr(sherpa_onnx.OfflineRecognizer, f"from_{config.model_type}")
        try:
            self._recognizer = make(**given)
        except Exception as error:
            raise EngineError(f"engine=sherpa cannot load {tokens.parent.name}: {error}") from None

    def recognize(self, audio: Audio, start: int = 0, shared: int = 0) -> Recognition:
        if len(audio) < SHORTEST:
            return Recognition([])
        stream = self._recognizer.create_stream()
        stream.accept_waveform(RATE, np.asarray(audio))
        try:
            self._recognizer.decode_stream(stream)
        except Exception as error:
            raise EngineError(f"engine=sherpa: {error}") from None
        result = stream.result
        times = [round(float(t), 3) for t in result.timestamps]
        times = times if len(times) == len(result.tokens) else []
        if self._type == "paraformer":
            return Recognition(*words.from_bpe(result.tokens, times))
        heard, begins, tags = words.from_sentencepiece([t.replace(" ", "▁") for t in result.tokens], times)
        said = [getattr(result, name, "") for name in ("lang", "emotion", "event")]
        return Recognition(heard, begins, tags + [t.strip("<|>") for t in said if t])


def _provider(device: str) -> str:
    """Raises EngineError where the package was built without CUDA: it would run on the CPU and only print so."""
    if device == "cpu":
        return "cpu"
    version = metadata.version("sherpa-onnx")
    if "cuda" not in version:
        raise EngineError(
            f"engine.device={device}: sherpa-onnx {version} was built without CUDA; use engine.device=cpu"
        )
    return "cuda"


def load(config: EngineConfig, threads: int) -> SherpaEngine:
    assert isinstance(config, SherpaConfig)
    return SherpaEngine(config, threads)
