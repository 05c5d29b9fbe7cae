"""Models of the right shape with random weights: what a recognizer costs on a machine, before anyone downloads it.

A twin has the geometry, operators, inputs and outputs of a real model, so that its speed and memory are that model's.
Its text means nothing, but it depends on the audio: a segment delivered to the wrong client is still seen.
"""

from __future__ import annotations

from pathlib import Path

from capsexp.twin.shapes import SHAPES, shape_named

__all__ = ["SHAPES", "build", "shape_named"]


def build(shape: str, out: Path, seed: int = 0, quantize: bool = False) -> Path:
    """Write the twin `shape` into the folder `out`, which funasr-onnx and sherpa-onnx load unchanged; returns `out`.

    The same shape and seed give the same bytes. `quantize` adds model_quant.onnx (int8). Raises ConfigError for an
    unknown shape or a folder in use, EngineError where onnx is not installed.
    """
    from capsexp.errors import EngineError

    try:
        from capsexp.twin.folder import write
    except ImportError as error:
        raise EngineError(f"a twin is built with onnx ({error}); pip install 'capsexp[twin]'") from error
    return write(shape_named(shape), out, seed, quantize)
