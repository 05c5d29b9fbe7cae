"""sherpa-onnx' offline recognizers, loaded as CapsWriter loads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

import numpy as np

from capsexp.engines import _folders, _runtime, _words
from capsexp.engines._model import PARAFORMERS, SENSEVOICES, ModelConfig
from capsexp.engines._overheard import overheard
from capsexp.errors import EngineError
from capsexp.protocol import RATE, Audio
from capsexp.segments import Recognition
from capsexp.setting import redefault, setting

SHORTEST = RATE // 10  # samples; it ends the process over less than its models can take


# Its model types: the keyword each file is given as, and what its name begins with.
PARTS: dict[str, dict[str, str]] = {
    "paraformer": {"paraformer": "model"},
    "sense_voice": {"model": "model"},
    "fire_red_asr": {"encoder": "encoder", "decoder": "decoder"},
    "whisper": {"encoder": "encoder", "decoder": "decoder"},
    "transducer": {"encoder": "encoder", "decoder": "decoder", "joiner": "joiner"},
}


@dataclass
class SherpaConfig(ModelConfig):
    """sherpa-onnx' offline recognizers, as CapsWriter loads them (pip install 'capsexp[sherpa]'; ./do run does it).
    Where no model is named and model_type is paraformer: the small Mandarin one that is shipped."""

    measures: ClassVar[frozenset[str]] = ModelConfig.measures | {"model_type", "use_itn"}
    shapes: ClassVar[tuple[str, ...]] = PARAFORMERS + SENSEVOICES

    name: str = "sherpa"
    model_dir: str | None = redefault(
        ModelConfig, "model_dir", None, says="the folder that holds the model's .onnx files and tokens.txt"
    )
    twin: str | None = redefault(ModelConfig, "twin", None, choices=shapes)
    quantize: bool = redefault(ModelConfig, "quantize", False, says="the int8 model first, where both are there")
    device: str = redefault(
        ModelConfig, "device", "cpu", says="where it runs (cuda needs a build of sherpa-onnx with CUDA)"
    )
    model_type: str = setting("paraformer", "kind of model", choices=PARTS)
    language: str = setting("auto", "sense_voice: language spoken; other types: language of your own model")
    use_itn: bool = setting(True, "sense_voice: punctuation and digits")

    @classmethod
    def kind(cls, settings: Mapping[str, Any]) -> str:
        return str(settings.get("model_type", "paraformer"))

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.twin is not None and (self.twin in SENSEVOICES) != (self.model_type == "sense_voice"):
            yield f"engine.twin: {self.twin} is not a model of engine.model_type={self.model_type}"

    def needs(self) -> _folders.Needs:
        return [*(_names(part, self.quantize) for part in PARTS[self.model_type].values()), ["tokens.txt"]]


Settings = SherpaConfig


def _names(part: str, quantize: bool) -> list[str]:
    """The names a part goes by, in releases for sherpa-onnx and in FunASR's export."""
    small, full = [f"{part}.int8.onnx", f"{part}_quant.onnx"], [f"{part}.onnx"]
    return small + full if quantize else full + small


class SherpaEngine:
    def __init__(self, config: SherpaConfig, threads: int) -> None:
        import sherpa_onnx

        self._type = config.model_type
        self.about = _runtime.about("sherpa-onnx", threads, config.device)
        *parts, tokens = config.files()
        keywords = PARTS[config.model_type]
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
            return Recognition(*_words.from_bpe(result.tokens, times))
        heard, begins, tags = _words.from_sentencepiece([t.replace(" ", "▁") for t in result.tokens], times)
        also = [getattr(result, name, "") for name in ("lang", "emotion", "event")]
        return Recognition(heard, begins, tags + [t.strip("<|>") for t in also if t])


def _failure(said: str) -> str | None:
    """Why it gave no token. It catches what its runtime raises (no memory, say), says so on stderr alone, and returns
    an empty result as if it had heard silence."""
    _, caught, reason = said.partition("Caught exception:")
    if not caught or _runtime.EMPTY.search(reason):
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


def load(config: SherpaConfig, threads: int) -> SherpaEngine:
    return SherpaEngine(config, threads)
