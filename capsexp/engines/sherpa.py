"""sherpa-onnx' offline recognizers, loaded as CapsWriter loads them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import sherpa_onnx

from capsexp.config import EngineConfig, SherpaConfig
from capsexp.engines import folders, runtime, words
from capsexp.engines.overheard import overheard
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
            with overheard() as said:
                self._recognizer.decode_stream(stream)
                result = stream.result
                failure = None if result.tokens else _failure(said())
        except OSError as error:
            raise EngineError(f"engine=sherpa: {error.strerror}") from None
        except Exception as error:
            raise EngineError(f"engine=sherpa: {error}") from None
        if failure is not None:
            raise EngineError(f"engine=sherpa: {failure}")
        times = [round(float(t), 3) for t in result.timestamps]
        times = times if len(times) == len(result.tokens) else []
        if self._type == "paraformer":
            return Recognition(*words.from_bpe(result.tokens, times))
        heard, begins, tags = words.from_sentencepiece([t.replace(" ", "▁") for t in result.tokens], times)
        also = [getattr(result, name, "") for name in ("lang", "emotion", "event")]
        return Recognition(heard, begins, tags + [t.strip("<|>") for t in also if t])


def _failure(said: str) -> str | None:
    """Why it gave no token. It catches what its runtime raises (no memory, say), says so on stderr alone, and returns
    an empty result as if it had heard silence."""
    _, caught, reason = said.partition("Caught exception:")
    if not caught or runtime.EMPTY.search(reason):
        return None
    return (reason.strip().splitlines() or ["it failed without a reason"])[0].strip()


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
