"""Continuous integrate-and-fire: from frames to tokens and their times (Dong & Xu 2020, arXiv:1905.11235).

Each frame has a weight below one; a token ends where the weights add up to one. A second head of three times the
resolution fires as often and says when, as in BiCif (arXiv:2301.12343).
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from capsexp.twin.graph import Array, Graph, Make, constant, normal
from capsexp.twin.sanm import linear
from capsexp.twin.shapes import Paraformer

TOKENS_PER_FRAME = 0.24  # 4 a second, as Mandarin is spoken
FIRE = 1.0
PEAK = FIRE - 1e-4  # of the second head, whose sum is scaled to the number of tokens and may fall short by a rounding


def predict(g: Graph, shape: Paraformer, hidden: str, mask: str) -> tuple[str, str]:
    """hidden (batch, frames, width), mask (batch, frames) to embeddings (batch, tokens, width), token_num (batch,)."""
    width, name = shape.width, "predictor"
    kernel = g.weight(f"{name}.cif_conv1d.weight", [width, width, 3], normal((3 * width) ** -0.5))
    bias = g.weight(f"{name}.cif_conv1d.bias", [width], constant(0.0))
    padded = g.op("Pad", g.op("Transpose", hidden, perm=[0, 2, 1]), g.ints(0, 0, 1, 0, 0, 1))
    near = g.op("Transpose", g.op("Relu", g.op("Conv", padded, kernel, bias, kernel_shape=[3])), perm=[0, 2, 1])
    logit = math.log(TOKENS_PER_FRAME / (1 - TOKENS_PER_FRAME))
    score = linear(g, near, f"{name}.cif_output", (width, 1), balanced(0.5), constant(logit))
    alphas = g.op("Relu", g.op("Sigmoid", score))
    alphas = g.op("Squeeze", g.op("Mul", alphas, g.op("Unsqueeze", mask, g.ints(2))), g.ints(2))
    alphas, hidden = _tail(g, shape, alphas, hidden, mask)
    tokens = g.op("Floor", g.op("ReduceSum", alphas, g.ints(-1), keepdims=0))
    token_num = g.op("Cast", g.op("Round", tokens), name="token_num", to=TensorProto.INT32)
    return fire(g, shape, alphas, hidden, token_num), token_num


def balanced(scale: float) -> Make:
    """Weights that add up to zero: what is the same in all inputs, which are never negative, moves nothing."""

    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        array = normal(scale * shape[0] ** -0.5)(rng, shape)
        array -= array.mean()
        return array

    return make


def _tail(g: Graph, shape: Paraformer, alphas: str, hidden: str, mask: str) -> tuple[str, str]:
    """One more frame, of silence, and the tail's weight on the first frame after the audio."""
    none = g.op("Mul", g.op("Slice", mask, g.ints(0), g.ints(1), g.ints(1)), g.const(0.0))  # (batch, 1)
    some = g.op("Add", none, g.const(1.0))
    before, after = g.op("Concat", some, mask, axis=1), g.op("Concat", mask, none, axis=1)
    tail = g.op("Mul", g.op("Sub", before, after), g.const(shape.tail_threshold))
    alphas = g.op("Add", g.op("Concat", alphas, none, axis=1), tail)
    silence = g.op("Mul", g.op("Slice", hidden, g.ints(0), g.ints(1), g.ints(1)), g.const(0.0))
    return alphas, g.op("Concat", hidden, silence, axis=1)


def fire(g: Graph, shape: Paraformer, alphas: str, hidden: str, token_num: str) -> str:
    """Sum frames by their weights and let each full sum be a token."""
    body = Graph("fire", prefix="/fire")
    step, going = body.input("fire_step", TensorProto.INT64, []), body.input("fire_going", TensorProto.BOOL, [])
    integral = body.input("fire_integral", TensorProto.FLOAT, ["batch"])
    frame = body.input("fire_frame", TensorProto.FLOAT, ["batch", shape.width])
    alpha, here = body.op("Gather", alphas, step, axis=1), body.op("Gather", hidden, step, axis=1)
    total = body.op("Add", integral, alpha, name="fire_total")
    fires = body.op("GreaterOrEqual", total, body.const(FIRE))
    body.op("Sub", total, body.op("Cast", fires, to=TensorProto.FLOAT), name="fire_rest")
    used = body.op("Where", fires, body.op("Sub", body.const(1.0), integral), alpha)
    left = body.op("Sub", alpha, used)
    whole = body.op("Mul", body.op("Unsqueeze", used, body.ints(1)), here)
    whole = body.op("Add", frame, whole, name="fire_whole")
    begun = body.op("Mul", body.op("Unsqueeze", left, body.ints(1)), here)
    body.op("Where", body.op("Unsqueeze", fires, body.ints(1)), begun, whole, name="fire_begun")
    body.op("Identity", going, name="fire_goes_on")
    body.output("fire_goes_on", TensorProto.BOOL, [])
    body.output("fire_rest", TensorProto.FLOAT, ["batch"])
    body.output("fire_begun", TensorProto.FLOAT, ["batch", shape.width])
    body.output("fire_total", TensorProto.FLOAT, ["batch"])
    body.output("fire_whole", TensorProto.FLOAT, ["batch", shape.width])

    frames = g.op("Gather", g.op("Shape", alphas), g.const(1, np.int64))
    nothing = g.op("Mul", g.op("Gather", alphas, g.const(0, np.int64), axis=1), g.const(0.0))
    empty = g.op("Mul", g.op("Gather", hidden, g.const(0, np.int64), axis=1), g.const(0.0))
    _, _, totals, wholes = g.ops("Loop", frames, "", nothing, empty, names=("", "", "", ""), body=body.proto())
    fired = g.op("Transpose", g.op("GreaterOrEqual", totals, g.const(FIRE)), perm=[1, 0])
    return _gather(g, fired, g.op("Transpose", wholes, perm=[1, 0, 2]), frames, token_num)


def _gather(g: Graph, fired: str, wholes: str, frames: str, token_num: str) -> str:
    """The frames that fired, in order, padded with zeros to the longest; as many as `token_num` promises.

    The two counts differ where rounding puts a sum on the other side of a whole number; the real graph then fails.
    """
    until_end = g.op("Cast", g.op("Range", frames, g.const(0, np.int64), g.const(-1, np.int64)), to=TensorProto.FLOAT)
    rank = g.op("Mul", g.op("Cast", fired, to=TensorProto.FLOAT), until_end)
    longest = g.op("ReduceMax", g.op("Cast", token_num, to=TensorProto.INT64), keepdims=1)
    ranks, where = g.ops("TopK", rank, longest, names=("", ""), axis=1)
    tokens = g.op("GatherND", wholes, g.op("Unsqueeze", where, g.ints(2)), batch_dims=1)
    real = g.op("Cast", g.op("Cast", ranks, to=TensorProto.BOOL), to=TensorProto.FLOAT)
    return g.op("Mul", tokens, g.op("Unsqueeze", real, g.ints(2)))


def timestamps(g: Graph, shape: Paraformer, hidden: str, mask: str, token_num: str) -> None:
    """The outputs us_alphas and us_cif_peak, (batch, frames x upsample); a token starts where the peak reaches 1."""
    width, times, name = shape.width, shape.upsample, "predictor"
    kernel = g.weight(f"{name}.upsample_cnn.weight", [width, width, times], normal(width**-0.5))
    bias = g.weight(f"{name}.upsample_cnn.bias", [width], constant(0.0))
    up = g.op("Transpose", hidden, perm=[0, 2, 1])
    up = g.op("ConvTranspose", up, kernel, bias, kernel_shape=[times], strides=[times])
    cell = [
        g.weight(f"{name}.blstm.{part}", [2, *sizes], normal(width**-0.5))
        for part, sizes in (("W", (4 * width, width)), ("R", (4 * width, width)), ("B", (8 * width,)))
    ]
    up = g.op("LSTM", g.op("Transpose", up, perm=[2, 0, 1]), *cell, direction="bidirectional", hidden_size=width)
    up = g.op("Reshape", g.op("Transpose", up, perm=[2, 0, 1, 3]), g.ints(0, 0, -1))
    score = g.op("Sigmoid", linear(g, up, f"{name}.cif_output2", (2 * width, 1), normal(width**-0.5)))
    score = g.op("Sub", g.op("Mul", score, g.const(shape.smooth_factor2)), g.const(shape.noise_threshold2))
    alphas = g.op("Squeeze", g.op("Relu", score), g.ints(2))
    repeated = g.op("Tile", g.op("Unsqueeze", mask, g.ints(2)), g.ints(1, 1, times))
    alphas = g.op("Mul", alphas, g.op("Reshape", repeated, g.ints(0, -1)))
    total = g.op("ReduceSum", alphas, g.ints(-1), keepdims=1)
    wanted = g.op("Unsqueeze", g.op("Cast", token_num, to=TensorProto.FLOAT), g.ints(1))
    alphas = g.op("Mul", alphas, g.op("Div", wanted, total), name="us_alphas")

    body = Graph("peak", prefix="/peak")
    step, going = body.input("peak_step", TensorProto.INT64, []), body.input("peak_going", TensorProto.BOOL, [])
    integral = body.input("peak_integral", TensorProto.FLOAT, ["batch"])
    total = body.op("Add", integral, body.op("Gather", alphas, step, axis=1), name="peak_total")
    fires = body.op("GreaterOrEqual", total, body.const(PEAK))
    spent = body.op("Mul", body.op("Cast", fires, to=TensorProto.FLOAT), body.const(PEAK))
    body.op("Sub", total, spent, name="peak_rest")
    body.op("Identity", going, name="peak_goes_on")
    body.output("peak_goes_on", TensorProto.BOOL, [])
    body.output("peak_rest", TensorProto.FLOAT, ["batch"])
    body.output("peak_total", TensorProto.FLOAT, ["batch"])
    frames = g.op("Gather", g.op("Shape", alphas), g.const(1, np.int64))
    nothing = g.op("Mul", g.op("Gather", alphas, g.const(0, np.int64), axis=1), g.const(0.0))
    _, totals = g.ops("Loop", frames, "", nothing, names=("", ""), body=body.proto())
    g.op("Transpose", totals, perm=[1, 0], name="us_cif_peak")
