"""`punctuation`: what sets it in the final text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsexp.config.checks import one_of


@dataclass
class PunctuationConfig:
    """`ct_transformer`: FunASR's CT-Transformer on the final text."""

    name: str = "none"
    model_dir: str | None = None
    quantize: bool = False

    def problems(self) -> Iterator[str]:
        yield from one_of("punctuation", self.name, ("none", "ct_transformer"))
        if self.name != "none" and self.model_dir is None:
            yield (
                "punctuation=ct_transformer: no model named; give the folder with model.onnx, config.yaml and "
                "tokens.json as punctuation.model_dir=FOLDER"
            )
