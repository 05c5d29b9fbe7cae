"""SenseVoiceSmall as FunASR exports it: four prompts and the features in, CTC scores out (arXiv:2407.04051)."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from capsexp.twin.graph import Array, Graph, Make, constant, normal, put
from capsexp.twin.sanm import blocks, frame_mask, layer_norm, linear, positions, query_key_value
from capsexp.twin.shapes import SenseVoice

# Rows of the embedding, which the libraries pass as `language` and `textnorm`; rows 1 and 2 are the other prompts.
LANGUAGES = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12, "nospeech": 13}
TEXT_NORMS = {"withitn": 14, "woitn": 15}
EMOTION, EVENT = 1, 2

# Numbers of the special tokens in the real vocabulary of 25055; a smaller one has them as far from its end.
SPECIALS = {
    "<|zh|>": 24884,
    "<|en|>": 24885,
    "<|yue|>": 24888,
    "<|ja|>": 24892,
    "<|ko|>": 24896,
    "<|nospeech|>": 24992,
    "<|Speech|>": 24993,
    "<|BGM|>": 24995,
    "<|Laughter|>": 24997,
    "<|Applause|>": 24999,
    "<|HAPPY|>": 25001,
    "<|SAD|>": 25002,
    "<|ANGRY|>": 25003,
    "<|NEUTRAL|>": 25004,
    "<|EMO_UNKNOWN|>": 25009,
    "<|withitn|>": 25016,
    "<|woitn|>": 25017,
}
# Each prompt, by its row, says one token, which it carries to the head in a lane.
SAYS = {
    0: "<|zh|>",
    EMOTION: "<|NEUTRAL|>",
    EVENT: "<|Speech|>",
    **{row: f"<|{name}|>" for name, row in LANGUAGES.items() if row},
    **{row: f"<|{name}|>" for name, row in TEXT_NORMS.items()},
}
LANES = sorted(set(SAYS.values()))
BLANK = 0
NEVER = -30.0
SWING = 3.0  # the spread of the blank's score; that of any other token is 1
SILENT = 0.58  # the blank wins in 72 % of the frames, which leaves about 4 tokens a second


def specials(shape: SenseVoice) -> dict[int, str]:
    """The tokens for language, emotion and event by their numbers, which end the vocabulary."""
    return {shape.vocabulary - 25055 + number: token for token, number in SPECIALS.items()}


def network(shape: SenseVoice) -> Graph:
    """Inputs speech (batch, frames, features), speech_lengths, language, textnorm; outputs ctc_logits (batch,
    4 + frames, vocabulary), encoder_out_lens."""
    g, width = Graph("sensevoice"), shape.width
    speech = g.input("speech", TensorProto.FLOAT, ["batch_size", "feats_length", shape.features])
    lengths = g.input("speech_lengths", TensorProto.INT32, ["batch_size"])
    language = g.input("language", TensorProto.INT32, ["batch_size"])
    textnorm = g.input("textnorm", TensorProto.INT32, ["batch_size"])

    table = g.weight("embed.weight", [shape.prompts, shape.features], lambda rng, size: codes(shape))
    rest = [g.op("Add", g.op("Mul", language, g.const(0, np.int32)), g.const(n, np.int32)) for n in (EMOTION, EVENT)]
    rows = [g.op("Unsqueeze", g.op("Gather", table, row), g.ints(1)) for row in (language, *rest, textnorm)]
    speech = g.op("Concat", *rows, speech, axis=1)
    lengths = g.op("Add", lengths, g.const(len(rows), np.int32), name="encoder_out_lens")

    mask = frame_mask(g, lengths)
    x = positions(g, g.op("Mul", speech, g.const(width**0.5)), shape.features)
    names = ["encoder.encoders0.0", *(f"encoder.encoders.{n}" for n in range(shape.blocks - 1))]
    x = blocks(g, x, names, shape, mask, lanes=len(LANES), entry=entry(shape))
    x = layer_norm(g, x, "encoder.after_norm", width)
    x = blocks(g, x, [f"encoder.tp_encoders.{n}" for n in range(shape.tp_blocks)], shape, mask, lanes=len(LANES))
    x = layer_norm(g, x, "encoder.tp_norm", width)
    scores = linear(g, x, "ctc.ctc_lo", (width, shape.vocabulary), *head(shape))
    g.op("Identity", scores, name="ctc_logits")
    g.output("ctc_logits", TensorProto.FLOAT, ["batch_size", "logits_length", shape.vocabulary])
    g.output("encoder_out_lens", TensorProto.INT32, ["batch_size"])
    return g


def codes(shape: SenseVoice) -> Array:
    """A pattern of signs for each prompt, (prompts, features), whatever the seed: nearly orthogonal to each other and
    to all speech."""
    signs = np.random.default_rng(0).integers(0, 2, (shape.prompts, shape.features))
    return (signs * 2 - 1).astype(np.float32)


def entry(shape: SenseVoice) -> Make:
    """The first block's weights: each lane's value is 20 where its prompt is, and noise of 1 in speech."""
    filters = np.zeros((shape.features, len(LANES)), np.float32)
    for row, token in SAYS.items():
        filters[:, LANES.index(token)] += codes(shape)[row] * np.float32(20 / shape.features)
    plain = query_key_value(shape.features, shape.width, 1.0, 0)
    return put(plain, (np.s_[:, 3 * shape.width - len(LANES) :], filters))


def head(shape: SenseVoice) -> tuple[Make, Make]:
    """Weights and biases of the scores: words at random, special tokens by their lane, blanks in between."""
    special = {token: number for number, token in specials(shape).items()}
    first = min(special.values())
    lanes = [(shape.width - len(LANES) + n, special[token]) for n, token in enumerate(LANES)]
    weight = put(
        normal(shape.width**-0.5),
        (np.s_[-len(LANES) :], 0.0),
        (np.s_[:, first:], 0.0),
        *((place, 6.0) for place in lanes),
    )
    bias = put(
        constant(0.0),
        ([1, 2], NEVER),
        (np.s_[first:], NEVER),
        ([number for _, number in lanes], -20.0),
        (BLANK, shape.logit_peak + SILENT * SWING),
    )

    def swinging(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
        array = weight(rng, size)
        array[:, BLANK] *= np.float32(SWING)
        return array

    return swinging, bias
