"""The geometries. No heavy import here: a configuration can be checked against the names alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from capsexp.errors import ConfigError
from capsexp.plugins import nearest


@dataclass(frozen=True)
class Shape:
    """What the SAN-M encoder of both families needs; sizes are numbers of features unless said otherwise."""

    name: str
    vocabulary: int
    width: int
    ffn: int
    blocks: int
    heads: int = 4
    kernel: int = 11  # taps of an FSMN memory, in frames
    mels: int = 80
    lfr_window: int = 7  # frames of 10 ms stacked into one
    lfr_shift: int = 6  # frames between stacks, so 60 ms

    @property
    def features(self) -> int:
        return self.mels * self.lfr_window

    @property
    def logit_peak(self) -> float:
        """What the largest of `vocabulary` standard normal logits is expected to be (extreme value theory)."""
        root = math.sqrt(2 * math.log(self.vocabulary))
        return root - (math.log(math.log(self.vocabulary)) + math.log(4 * math.pi)) / (2 * root)


@dataclass(frozen=True)
class Paraformer(Shape):
    """Gao et al. 2022, arXiv:2206.08317, with the timestamp head of BiCif (cnn_blstm)."""

    decoder_blocks: int = 16
    upsample: int = 3  # timestamps count in frames of 60 ms / 3
    tail_threshold: float = 0.45
    smooth_factor2: float = 0.25
    noise_threshold2: float = 0.01
    predictor_bias: int = 1  # the last token is </s>; funasr-onnx cuts as many off


@dataclass(frozen=True)
class SenseVoice(Shape):
    """SenseVoiceSmall: the same encoder, more blocks after it, and a CTC head."""

    tp_blocks: int = 20
    prompts: int = 16  # rows of the embedding that language, event, emotion and text normalization share


_ALL: tuple[Paraformer | SenseVoice, ...] = (
    Paraformer("paraformer-large", vocabulary=8404, width=512, ffn=2048, blocks=50),
    # FunASR's Paraformer of 68 M (vocab8358): these sizes give its 275 MB, to which the timestamp head adds 8.
    Paraformer("paraformer-small", vocabulary=8358, width=320, ffn=1280, blocks=40, decoder_blocks=12),
    Paraformer("tiny", vocabulary=1004, width=64, ffn=128, blocks=3, decoder_blocks=2),
    SenseVoice("sensevoice-small", vocabulary=25055, width=512, ffn=2048, blocks=50),
    SenseVoice("sensevoice-tiny", vocabulary=1055, width=64, ffn=128, blocks=3, tp_blocks=2),
)
SHAPES: dict[str, Paraformer | SenseVoice] = {shape.name: shape for shape in _ALL}


def shape_named(name: str) -> Paraformer | SenseVoice:
    """Raises ConfigError with the nearest valid name."""
    if name not in SHAPES:
        raise ConfigError(f"shape: there is no twin {name!r}{nearest(name, SHAPES)}")
    return SHAPES[name]
