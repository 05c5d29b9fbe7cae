"""The trained weights in the graph that the twins have: a folder that funasr-onnx and sherpa-onnx open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from capsexp.files import write_json
from capsexp.twin import folder as twin
from capsexp.twin.graph import Array, Make
from capsexp.twin.quantize import quantized
from training.model import Bidirectional, Network

NAME = "paraformer-mini"
AGREE = 2e-3  # between the scores of torch and of ONNX Runtime


def weights(network: Network) -> dict[str, Array]:
    """The network's weights by their names in the graph, where linear ones are (in, out) and LSTMs are ONNX's."""
    found: dict[str, Array] = {}
    for name, module in network.named_modules():
        for part, value in module.named_parameters(recurse=False):
            array = value.detach().numpy()
            found[f"{name}.{part}"] = array.T if isinstance(module, torch.nn.Linear) and array.ndim == 2 else array
        if isinstance(module, Bidirectional):
            found |= {f"{name}.{part}": array for part, array in _lstm(module).items()}
    return found


def _lstm(cell: Bidirectional) -> dict[str, Array]:
    """Gates of torch (input, forget, cell, output) in the order of ONNX (input, output, forget, cell)."""

    def order(array: torch.Tensor) -> Array:
        i, f, c, o = array.detach().numpy().reshape(4, -1, *array.shape[1:])
        return np.concatenate([i, o, f, c])

    both = ("", "_reverse")
    biases = [np.concatenate([order(getattr(cell, f"bias_{p}_l0{d}")) for p in ("ih", "hh")]) for d in both]
    return {
        "W": np.stack([order(getattr(cell, f"weight_ih_l0{d}")) for d in both]),
        "R": np.stack([order(getattr(cell, f"weight_hh_l0{d}")) for d in both]),
        "B": np.stack(biases),
    }


def _fixed(array: Array) -> Make:
    return lambda rng, shape: np.ascontiguousarray(array.reshape(shape), np.float32)


def write(
    network: Network, out: Path, tokens: list[str], shift: NDArray[np.float64], scale: NDArray[np.float64],
    facts: dict[str, object], quantize: bool,
) -> None:  # fmt: skip
    """Fill the folder `out`; raises KeyError for a weight that the graph has and the network has not."""
    out.mkdir(parents=True, exist_ok=True)
    s, trained = network.s, weights(network)
    shifts, scales = ([round(float(v), 6) for v in np.tile(values, s.lfr_window)] for values in (shift, scale))
    g = twin.graph_of(s)
    for name, weight in g.weights.items():
        g.weights[name] = replace(weight, make=_fixed(trained[name]))
    g.metadata |= {
        "neg_mean": ",".join(map(str, shifts)), "inv_stddev": ",".join(map(str, scales)),
        "model_author": "capsexp", "comment": f"{NAME}: synthetic Mandarin of a closed lexicon",
    }  # fmt: skip
    g.save(out / "model.onnx", seed=0)
    if quantize:
        quantized(g, out / "model.onnx", out / "model_quant.onnx")
    twin.describe(s, out, tokens, shifts, scales)
    write_json(out / "model.json", {"name": NAME, "parameters": sum(w.size for w in g.weights.values()), **facts})


def check(network: Network, out: Path, speech: torch.Tensor) -> float:
    """The largest difference between the scores, and times, of torch and of the exported graph for one input (1,
    frames, features); raises ValueError above `AGREE` or where they find another number of characters."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    lengths = np.array([speech.shape[1]], np.int32)
    scores, count, fine, _ = session.run(None, {"speech": speech.numpy(), "speech_lengths": lengths})
    network.eval()
    with torch.no_grad():
        mine, times = network.scores(speech)
    if mine.shape != scores.shape or int(count[0]) != mine.shape[1]:
        raise ValueError(f"torch finds {mine.shape[1]} tokens, ONNX Runtime {int(count[0])}")
    off = max(float(np.abs(scores - mine.numpy()).max()), float(np.abs(fine - times.numpy()).max()))
    if off > AGREE:
        raise ValueError(f"torch and ONNX Runtime differ by {off}")
    return off
