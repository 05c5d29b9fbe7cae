"""Paraformer as FunASR exports it: features in, token scores and token times out (arXiv:2206.08317)."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from capsexp.twin.cif import predict, timestamps
from capsexp.twin.graph import Graph, constant, normal, put
from capsexp.twin.sanm import (
    attend,
    attention_bias,
    blocks,
    differences,
    frame_mask,
    fsmn,
    layer_norm,
    linear,
    positions,
    query_key_value,
)
from capsexp.twin.shapes import Paraformer

BLANK, START, END = 0, 1, 2  # the last token is <unk>
NEVER = -30.0  # bias of tokens that a recognizer does not say
GAIN = 0.25  # what a branch of the decoder adds to its stream


def network(shape: Paraformer) -> Graph:
    """Inputs speech (batch, frames, features), speech_lengths; outputs logits, token_num, us_alphas, us_cif_peak.

    A real model ends its text with </s>, which sherpa-onnx stops at and funasr-onnx cuts off (predictor_bias). So
    does the twin: the last feature is a lane that only the last token raises, as it alone has no right neighbour.
    """
    g, width = Graph("paraformer"), shape.width
    speech = g.input("speech", TensorProto.FLOAT, ["batch_size", "feats_length", shape.features])
    lengths = g.input("speech_lengths", TensorProto.INT32, ["batch_size"])
    mask = frame_mask(g, lengths)
    x = positions(g, g.op("Mul", speech, g.const(width**0.5)), shape.features)
    names = ["encoder.encoders0.0", *(f"encoder.encoders.{n}" for n in range(shape.blocks - 1))]
    x = blocks(g, x, names, shape, mask, entry=query_key_value(shape.features, width, 1.0, 0))
    hidden = layer_norm(g, x, "encoder.after_norm", width, put(constant(1.0), (-1, 0.0)))
    embeddings, token_num = predict(g, shape, hidden, mask)
    logits = decode(g, shape, hidden, mask, embeddings, token_num)
    g.op("LogSoftmax", logits, axis=-1, name="logits")
    timestamps(g, shape, hidden, mask, token_num)
    g.output("logits", TensorProto.FLOAT, ["batch_size", "logits_length", shape.vocabulary])
    g.output("token_num", TensorProto.INT32, ["batch_size"])
    g.output("us_alphas", TensorProto.FLOAT, ["batch_size", "alphas_length"])
    g.output("us_cif_peak", TensorProto.FLOAT, ["batch_size", "alphas_length"])
    g.not_in_file = shape.vocabulary * width  # the decoder's token embedding serves training only
    return g


def decode(g: Graph, shape: Paraformer, hidden: str, mask: str, x: str, token_num: str) -> str:
    """Embeddings x (batch, tokens, width) and the encoder's output to scores (batch, tokens, vocabulary)."""
    width, kernel = shape.width, shape.kernel
    bias, real = attention_bias(g, mask), g.op("Unsqueeze", frame_mask(g, token_num), g.ints(2))
    for number in range(shape.decoder_blocks):
        name = f"decoder.decoders.{number}"
        last = number == shape.decoder_blocks - 1
        fed = feed_forward(g, shape, x, name)
        level = (-1, 8.0 if last else 0.0)  # the lane before the memory: the same for every token
        scale = put(constant(GAIN), (-1, 0.0))
        normed = layer_norm(g, fed, f"{name}.norm2", width, scale, put(constant(0.0), level))
        # The lane's memory takes the right neighbour away: nothing is left except where there is none.
        taps = put(differences, (-1, 0.0), (np.s_[-1, :, (kernel - 1) // 2 + 1], -1.0))
        x = g.op("Add", x, fsmn(g, normed, f"{name}.self_attn", width, kernel, real, taps))
        x = g.op("Add", x, cross_attention(g, shape, x, hidden, bias, name))
    x = feed_forward(g, shape, x, "decoder.decoders3.0", reads_lane=True)
    x = layer_norm(g, x, "decoder.after_norm", width)
    words = put(normal(width**-0.5), (-1, 0.0), (np.s_[:, END], 0.0), ((-1, END), 6.0))
    biases = put(constant(0.0), ([BLANK, START, -1], NEVER), (END, -18.0))
    return linear(g, x, "decoder.output_layer", (width, shape.vocabulary), words, biases)


def feed_forward(g: Graph, shape: Paraformer, x: str, name: str, reads_lane: bool = False) -> str:
    """Layer norm, then feed-forward with a layer norm inside. If `reads_lane`, hidden unit 0 carries the lane over."""
    up, down = normal(shape.width**-0.5), normal(shape.ffn**-0.5)
    bias = constant(0.0)
    if reads_lane:
        up = put(up, (-1, 0.0), (np.s_[:, 0], 0.0), ((-1, 0), 4.0))
        bias = put(bias, (0, -6.0))
        down = put(down, (0, 0.0), (np.s_[:, -1], 0.0), ((0, -1), 1.0))
    normed = layer_norm(g, x, f"{name}.norm1", shape.width)
    inner = linear(g, normed, f"{name}.feed_forward.w_1", (shape.width, shape.ffn), up, bias)
    inner = layer_norm(g, g.op("Relu", inner), f"{name}.feed_forward.norm", shape.ffn)
    return linear(g, inner, f"{name}.feed_forward.w_2", (shape.ffn, shape.width), down, None)


def cross_attention(g: Graph, shape: Paraformer, x: str, memory: str, bias: str, name: str) -> str:
    """x (batch, tokens, width) attends to `memory` (batch, frames, width); `bias` is added to its scores. Returns
    (batch, tokens, width): Vaswani et al. 2017, section 3.2, behind a layer norm."""
    width = shape.width
    normed = layer_norm(g, x, f"{name}.norm3", width)
    query = linear(g, normed, f"{name}.src_attn.linear_q", (width, width), normal(width**-0.5))
    both = linear(g, memory, f"{name}.src_attn.linear_k_v", (width, 2 * width), normal(width**-0.5))
    key, value = g.ops("Split", both, names=("", ""), axis=-1)
    context = attend(g, query, key, value, shape.heads, width, bias)
    out = put(normal(GAIN * width**-0.5), (np.s_[:, -1], 0.0))
    return linear(g, context, f"{name}.src_attn.linear_out", (width, width), out)
