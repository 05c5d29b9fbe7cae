"""The settings of engines that load an ONNX model of the user's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from capsexp.engines import _folders
from capsexp.engines.base import EngineConfig
from capsexp.setting import setting

PARAFORMERS = ("paraformer-large", "paraformer-small", "tiny")
SENSEVOICES = ("sensevoice-small", "sensevoice-tiny")
# Of settings, for models as FunASR's exporter writes them.
HOLDS = "the folder that holds model.onnx (or model_quant.onnx), config.yaml, am.mvn and {}"
INT8 = "the int8 model, model_quant.onnx"
CUDA = "where it runs (cuda needs onnxruntime-gpu)"
SENSEVOICE_HEARS = ("zh", "en", "yue", "ja", "ko")


@dataclass
class ModelConfig(EngineConfig):
    """An ONNX model of the user's: its folder, its name on the hub, or one of its shape without its weights.

    Where none is named, the small Mandarin Paraformer that is shipped, if the engine can use it.
    """

    fork_safe: ClassVar[bool] = True  # with one thread ONNX Runtime starts none of its own
    shareable: ClassVar[bool] = True
    measures: ClassVar[frozenset[str]] = frozenset({"twin", "quantize", "device", "language"})
    shapes: ClassVar[tuple[str, ...]] = ()

    model_dir: str | None = setting(None, "folder of the model")
    model_id: str | None = setting(None, "or its name on ModelScope (needs the package modelscope)")
    twin: str | None = setting(None, "or a model of this shape with random weights, for speed and memory")
    quantize: bool = setting(False, "use the int8 model")
    device: str = setting("cpu", "device to run on", takes="`cpu`, `cuda:0`, `cuda:1`, ...")

    @classmethod
    def kind(cls, settings: Mapping[str, Any]) -> str | None:
        """What architecture these settings mean, in sherpa-onnx' words."""
        return None

    @classmethod
    def languages(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Of a twin none: its text means nothing."""
        if settings.get("model_dir") is None and settings.get("twin"):
            return ()
        named = settings.get("model_dir") or settings.get("model_id")
        kind = cls.kind(settings)
        known = SENSEVOICE_HEARS if kind == "sense_voice" else ()
        return super().languages(settings) or known or (("zh",) if kind == "paraformer" and not named else ())

    @property
    def hears_language(self) -> bool:
        return self.kind(vars(self)) == "sense_voice"

    @property
    def named(self) -> bool:
        return not (self.model_dir is None and self.twin is None and self.model_id is None)

    @property
    def shipped(self) -> bool:
        """Whether it is the shipped model that is used."""
        return not self.named and self.kind(vars(self)) == "paraformer"

    def problems(self) -> Iterator[str]:
        if not self.named and not self.shipped:
            yield (
                f"engine={self.name}: no model named; give its folder as engine.model_dir=FOLDER, or try the speed "
                f"and size of one without its weights: engine.twin={self.shapes[0]}"
            )
        if self.shipped and self.quantize:
            yield "engine.quantize: the shipped model has no int8 version; name a model that has"
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            yield f"engine.device: {self.device!r} is neither cpu nor cuda:0, cuda:1, ..."

    def unforkable(self) -> str | None:
        if self.device != "cpu":
            return f"engine.device={self.device} does not survive a fork; use pool=thread"
        return super().unforkable()

    def prepare(self, say: Callable[[str], None]) -> None:
        _folders.prepare(self, say)

    def files(self) -> list[Path]:
        """The files that the engine loads, the model first."""
        return _folders.find(self, self.needs(), self.hint())

    def needs(self) -> _folders.Needs:
        """The names of the files that make a model; of each entry one must be there, the preferred first."""
        raise NotImplementedError

    def hint(self) -> str:
        """What to add where one is missing."""
        return ""

    def is_twin(self) -> bool:
        return _folders.is_twin(self)


class FunASRConfig(ModelConfig):
    """A model as FunASR's exporter writes it."""

    words: ClassVar[str] = ""  # the file with its vocabulary

    def _onnx(self) -> tuple[str, str]:
        return ("model_quant.onnx", "model.onnx") if self.quantize else ("model.onnx", "model_quant.onnx")

    def needs(self) -> _folders.Needs:
        return [[self._onnx()[0]], ["config.yaml"], ["am.mvn"], [self.words]]

    def hint(self) -> str:
        return (
            f"; a folder made for sherpa-onnx, as CapsWriter ships them, needs engine=sherpa "
            f"engine.model_type={self.kind(vars(self))}, "
            f"and one with {self._onnx()[1]} alone engine.quantize={str(not self.quantize).lower()}"
        )
