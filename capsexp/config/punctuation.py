"""`punctuation`: what adds punctuation to the final text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.setting import setting


@dataclass
class PunctuationConfig:
    """What adds punctuation. `ct_transformer`: FunASR's CT-Transformer on the final text, in a worker."""

    name: str = setting("none", "which punctuation model", choices=("none", "ct_transformer"))
    model_dir: str | None = setting(None, "folder with model.onnx (or model_quant.onnx), config.yaml and tokens.json")
    quantize: bool = setting(False, "use the int8 model, model_quant.onnx")

    def problems(self) -> Iterator[str]:
        if self.name != "none" and self.model_dir is None:
            yield (
                "punctuation=ct_transformer: no model named; give the folder with model.onnx, config.yaml and "
                "tokens.json as punctuation.model_dir=FOLDER"
            )
