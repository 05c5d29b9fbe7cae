"""A thin builder of ONNX graphs whose weights are made only when they are written."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Make = Callable[[np.random.Generator, tuple[int, ...]], Array]

OPSET = 14  # what FunASR's exporter writes


def normal(std: float) -> Make:
    """Of weights: normally distributed around 0."""
    return lambda rng, shape: rng.standard_normal(shape, np.float32) * np.float32(std)


def constant(value: float) -> Make:
    """Of weights: all the same."""
    return lambda rng, shape: np.full(shape, value, np.float32)


def put(make: Make, *changes: tuple[Any, Any]) -> Make:
    """`make`, then `array[index] = value` for each (index, value)."""

    def made(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        array = make(rng, shape)
        for index, value in changes:
            array[index] = value
        return array

    return made


@dataclass(frozen=True)
class Weight:
    name: str
    shape: tuple[int, ...]
    make: Make

    @property
    def size(self) -> int:
        return prod(self.shape)

    def tensor(self, seed: int) -> TensorProto:
        """Each weight has a generator of its own, so that no weight depends on the order of the others."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return numpy_helper.from_array(self.make(rng, self.shape), self.name)


@dataclass
class Graph:
    """Nodes and weights in the making. Values are named after the node that gives them."""

    name: str = "twin"
    prefix: str = ""  # of all names: the body of a loop sees the names around it and must not repeat one
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Weight] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    not_in_file: int = 0  # parameters of the trained model that its exported graph does not use
    _names: Counter[str] = field(default_factory=Counter)

    def op(self, kind: str, *inputs: str, name: str = "", scope: str = "", **attributes: Any) -> str:
        """One node with one output, which may be given a name."""
        return self.ops(kind, *inputs, names=(name,), scope=scope, **attributes)[0]

    def ops(self, kind: str, *inputs: str, names: Sequence[str], scope: str = "", **attributes: Any) -> list[str]:
        """One node with an output for each of `names`, "" for a name of our making."""
        node = self._fresh(f"{self.prefix}{scope}/{kind}")
        outputs = [name or (node if len(names) == 1 else f"{node}.{n}") for n, name in enumerate(names)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=node, **attributes))
        return outputs

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def weight(self, name: str, shape: Sequence[int], make: Make) -> str:
        self.weights[name] = Weight(name, tuple(shape), make)
        return name

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, name: str, dtype: int, shape: Sequence[int | str]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def proto(self) -> onnx.GraphProto:
        """The graph without its weights."""
        return helper.make_graph(self.nodes, self.name, self.inputs, self.outputs)

    @property
    def parameters(self) -> int:
        """As the trained model counts them, which is what model cards print."""
        return sum(weight.size for weight in self.weights.values()) + self.not_in_file

    def operators(self) -> Counter[str]:
        """How many nodes of each kind, bodies of loops not counted."""
        return Counter(node.op_type for node in self.nodes)

    def chunks(self, seed: int) -> Iterator[bytes]:
        """The model file in pieces, one weight each, so that 0.9 GB are never held at once.

        Serialized protobuf messages written one after another are read as one message with their fields merged.
        """
        model = helper.make_model(self.proto(), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        model.producer_name = "capsexp.twin"
        helper.set_model_props(model, self.metadata)
        yield model.SerializeToString(deterministic=True)
        for weight in self.weights.values():
            graph = onnx.GraphProto(initializer=[weight.tensor(seed)])
            yield onnx.ModelProto(graph=graph).SerializeToString(deterministic=True)

    def save(self, path: Path, seed: int) -> None:
        with path.open("wb") as file:
            for chunk in self.chunks(seed):
                file.write(chunk)

    def _fresh(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name] - 1}"
