"""Dynamic int8, with the options of FunASR's exporter, so that the same matrices are int8 in the twin."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx


def quantized(model: Path, out: Path) -> None:
    """Weights of matrix products as 8 bit unsigned per channel; heads stay float. Needs onnxruntime."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    names = [node.name for node in onnx.load(model, load_external_data=False).graph.node]
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises to preprocess the model, which the exporter does not
    try:
        quantize_dynamic(
            model_input=model,
            model_output=out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=False,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=[name for name in names if "output" in name],
        )
    finally:
        logging.root.setLevel(before)
