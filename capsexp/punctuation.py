"""Punctuation by FunASR's CT-Transformer through funasr-onnx, on the final text of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capsexp.config import PunctuationConfig
from capsexp.engines import _folders, _runtime
from capsexp.errors import EngineError


def files(config: PunctuationConfig) -> list[Path]:
    """The files that the model is loaded from, the model first; raises EngineError saying what is missing."""
    model = "model_quant.onnx" if config.quantize else "model.onnx"
    root = Path(config.model_dir or "").expanduser()
    given = f"punctuation.model_dir={config.model_dir}"
    return _folders.search(root, given, [[model], ["config.yaml"], ["tokens.json"]], "")


class Punctuator:
    def __init__(self, config: PunctuationConfig, threads: int) -> None:
        from funasr_onnx import CT_Transformer

        folder = files(config)[0].parent
        try:
            self._model = CT_Transformer(str(folder), quantize=config.quantize, intra_op_num_threads=threads)
        except Exception as error:
            raise EngineError(f"punctuation=ct_transformer cannot load {folder.name}: {error}") from None
        _runtime.check(self._model.ort_infer.session, "cpu", threads)
        infer = self._model.infer

        def strict(*inputs: Any) -> Any:
            # The model would log its runtime's errors and go on with the marks of the sentence before.
            try:
                return infer(*inputs)
            except Exception as error:
                raise EngineError(f"punctuation=ct_transformer: {error.__cause__ or error}") from None

        self._model.infer = strict

    def punctuate(self, text: str) -> str:
        """The same words with marks; raises EngineError."""
        return str(self._model(text)[0]) if text.strip() else text
