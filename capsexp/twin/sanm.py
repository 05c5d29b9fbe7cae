"""The SAN-M blocks that Paraformer and SenseVoice are made of (Gao et al. 2020, arXiv:2006.01713).

Layouts are (batch, time, features); linear weights are (in, out); layer norms are written out, as exporters do.

The last features of the residual stream can be *lanes*, which no random weight writes to: in them the network carries
a few facts to its head, such as which token is the last one and where the prompts are.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from capsexp.twin.graph import Array, Graph, Make, constant, normal, put
from capsexp.twin.shapes import Shape

EPSILON = 1e-12  # of layer norms
MASKED = -10000.0  # added to the scores of frames that are padding
ONE, ZERO = constant(1.0), constant(0.0)


def linear(g: Graph, x: str, name: str, sizes: tuple[int, int], weight: Make, bias: Make | None = ZERO) -> str:
    """x @ weight + bias, `sizes` being (in, out). The node's name is what a quantizer's exclusion list matches."""
    scope = "/" + name.replace(".", "/")
    x = g.op("MatMul", x, g.weight(f"{name}.weight", sizes, weight), scope=scope)
    return x if bias is None else g.op("Add", x, g.weight(f"{name}.bias", sizes[1:], bias), scope=scope)


def layer_norm(g: Graph, x: str, name: str, size: int, scale: Make = ONE, shift: Make = ZERO) -> str:
    """Over the last axis, of `size`: Ba et al. 2016, of operators that this opset has."""
    centred = g.op("Sub", x, g.op("ReduceMean", x, axes=[-1]))
    variance = g.op("ReduceMean", g.op("Pow", centred, g.const(2.0)), axes=[-1])
    normed = g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, g.const(EPSILON))))
    scaled = g.op("Mul", normed, g.weight(f"{name}.weight", [size], scale))
    return g.op("Add", scaled, g.weight(f"{name}.bias", [size], shift))


def frame_mask(g: Graph, lengths: str) -> str:
    """Lengths (batch,) to 1.0 where a frame is real, (batch, longest)."""
    lengths = g.op("Cast", lengths, to=TensorProto.INT64)
    longest = g.op("ReduceMax", lengths, keepdims=0)
    frames = g.op("Range", g.const(0, np.int64), longest, g.const(1, np.int64))
    real = g.op("Less", frames, g.op("Unsqueeze", lengths, g.ints(-1)))
    return g.op("Cast", real, to=TensorProto.FLOAT)


def attention_bias(g: Graph, mask: str) -> str:
    """(batch, time) to what is added to scores, (batch, 1, 1, time)."""
    padding = g.op("Sub", g.const(1.0), g.op("Unsqueeze", mask, g.ints(1, 2)))
    return g.op("Mul", padding, g.const(MASKED))


def positions(g: Graph, x: str, size: int) -> str:
    """x plus the sinusoids of Vaswani et al. 2017, all sines before all cosines, counted from 1."""
    end = g.op("Add", g.op("Gather", g.op("Shape", x), g.const(1, np.int64)), g.const(1, np.int64))
    count = g.op("Range", g.const(1, np.int64), end, g.const(1, np.int64))
    rate = g.op("Exp", g.const(np.arange(size // 2) * -math.log(10000) / (size / 2 - 1)))
    angle = g.op("Mul", g.op("Unsqueeze", g.op("Cast", count, to=TensorProto.FLOAT), g.ints(0, 2)), rate)
    return g.op("Add", x, g.op("Concat", g.op("Sin", angle), g.op("Cos", angle), axis=2))


def fsmn(g: Graph, x: str, name: str, width: int, kernel: int, mask: str, taps: Make) -> str:
    """The memory: x and a depthwise convolution of it, padding held at zero. `mask` is (batch, time, 1)."""
    x = g.op("Mul", x, mask)
    side = (kernel - 1) // 2
    padded = g.op("Pad", g.op("Transpose", x, perm=[0, 2, 1]), g.ints(0, 0, side, 0, 0, kernel - 1 - side))
    kernels = g.weight(f"{name}.fsmn_block.weight", [width, 1, kernel], taps)
    memory = g.op("Conv", padded, kernels, group=width, kernel_shape=[kernel])
    return g.op("Mul", g.op("Add", g.op("Transpose", memory, perm=[0, 2, 1]), x), mask)


def differences(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Taps that take the mean of their window away from the frame in its middle.

    What all frames have in common would otherwise drown what tells them apart, and every token would be the same.
    """
    array = normal(0.3 * shape[-1] ** -0.5)(rng, shape)
    array -= (array.sum(-1, keepdims=True) + 1) / shape[-1]
    return array


def attend(g: Graph, query: str, key: str, value: str, heads: int, width: int, bias: str) -> str:
    """Softmax attention by `heads` parts of the features; (batch, time of the query, width)."""

    def split(x: str, order: list[int]) -> str:
        return g.op("Transpose", g.op("Reshape", x, g.ints(0, 0, heads, width // heads)), perm=order)

    query = g.op("Mul", split(query, [0, 2, 1, 3]), g.const((width // heads) ** -0.5))
    scores = g.op("Add", g.op("MatMul", query, split(key, [0, 2, 3, 1])), bias)
    context = g.op("MatMul", g.op("Softmax", scores, axis=-1), split(value, [0, 2, 1, 3]))
    return g.op("Reshape", g.op("Transpose", context, perm=[0, 2, 1, 3]), g.ints(0, 0, width))


def query_key_value(size: int, width: int, gain: float, lanes: int) -> Make:
    """Their joint weights; values, which enter the stream through the memory too, have standard deviation `gain`."""

    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        array = normal(size**-0.5)(rng, shape)
        array[:, 2 * width :] *= np.float32(gain)
        array[:, 3 * width - lanes :] = 0
        return array

    return make


def blocks(
    g: Graph, x: str, names: list[str], shape: Shape, mask: str, lanes: int = 0, entry: Make | None = None
) -> str:
    """Encoder blocks: attention with memory, then feed-forward, each after a layer norm and added to the stream.

    `mask` is (batch, time). With `entry`, the query-key-value weights of the first block, that block reads `features`
    instead of `width` and has nothing to add its attention to.
    """
    # Each branch adds this much to the stream, so that the input still counts after the last block.
    gain = 1 / math.sqrt(2 * shape.blocks)
    width = shape.width
    bias, mask = attention_bias(g, mask), g.op("Unsqueeze", mask, g.ints(2))
    closed = (np.s_[:, width - lanes :], 0.0)
    taps = put(differences, (np.s_[width - lanes :], 0.0))
    for number, name in enumerate(names):
        first = entry is not None and number == 0
        size = shape.features if first else width
        qkv = entry if first and entry else query_key_value(size, width, gain, lanes)
        normed = layer_norm(g, x, f"{name}.norm1", size)
        joint = linear(g, normed, f"{name}.self_attn.linear_q_k_v", (size, 3 * width), qkv)
        query, key, value = g.ops("Split", joint, names=("", "", ""), axis=-1)
        memory = fsmn(g, value, f"{name}.self_attn", width, shape.kernel, mask, taps)
        context = attend(g, query, key, value, shape.heads, width, bias)
        back = put(normal((gain if first else 1) * width**-0.5), closed)
        out = linear(g, context, f"{name}.self_attn.linear_out", (width, width), back)
        attended = g.op("Add", out, memory)
        x = attended if first else g.op("Add", attended, x)
        normed = layer_norm(g, x, f"{name}.norm2", width)
        hidden = linear(g, normed, f"{name}.feed_forward.w_1", (width, shape.ffn), normal(width**-0.5))
        back = put(normal(gain * (shape.ffn / 2) ** -0.5), closed)
        fed = linear(g, g.op("Relu", hidden), f"{name}.feed_forward.w_2", (shape.ffn, width), back)
        x = g.op("Add", fed, x)
    return x
