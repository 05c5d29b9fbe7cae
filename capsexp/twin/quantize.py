"""Dynamic int8, with the options of FunASR's exporter, so that the same matrices are int8 in the twin."""

from __future__ import annotations

import logging
from pathlib import Path

from capsexp.twin.graph import Graph


def quantized(graph: Graph, model: Path, out: Path) -> None:
    """Write `graph`, which was saved as `model`, with its matrix products in 8 bit, the heads' excepted.

    Needs onnxruntime, and for the large shapes a minute and 3 GB.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

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
            nodes_to_exclude=[node.name for node in graph.nodes if "output" in node.name],
        )
    finally:
        logging.root.setLevel(before)
