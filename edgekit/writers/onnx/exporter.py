"""The ONNX graph under construction: nodes, constants, and the layouts in which each tensor is available."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Tensor

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
HALF_MOST = 65504.0
"""The largest float16."""
FLOATS = ("float32", "float16")
KINDS = {"float32": 1, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10}
"""ONNX's numbers of types (``TensorProto.DataType``)."""
LIMITS = {1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activations by the schema's ActivationFunctionType."""


class Refusal(Exception):
    """Why an operator cannot be written, in a few words."""


def _plain(name: str) -> str:
    """A name that trtexec's options take: without colons, commas and the like."""
    return re.sub(r"[^A-Za-z0-9_./-]+", "_", name).strip("_")


class Exporter:
    """Collects nodes. A tensor's value lies under a name in its own layout, as a picture ``[n, c, h, w]``, or both."""

    def __init__(self, graph: Graph, *, half: bool = False, dry: bool = False) -> None:
        """:param dry: only see whether it can be written: constants are not kept."""
        self.graph, self.half, self.dry = graph, half, dry
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._own: dict[int, str] = {}
        self._pictures: dict[int, str] = {}
        self._folded: dict[int, NDArray[Any]] = {}
        self._kept: dict[bytes, str] = {}
        self._read = {index for operator in graph.operators for index in operator.inputs}
        self._names: set[str] = set()
        self.inputs = [self._unique(_plain(graph.tensors[i].name) or f"input_{i}") for i in graph.main.inputs]
        self.outputs = [self._unique(_plain(graph.tensors[i].name) or f"output_{i}") for i in graph.main.outputs]
        for index, name in zip(graph.main.inputs, self.inputs, strict=True):
            self.put(index, self.node("Cast", [name], to=self._kind("float16")) if self._halved(index) else name)

    # Values

    def tensor(self, index: int) -> Tensor:
        """Return the Graph's tensor ``index``."""
        return self.graph.tensors[index]

    def constant(self, index: int) -> NDArray[Any] | None:
        """A constant's real values (or integers, where it has no scale); None for what is computed."""
        if index in self._folded:
            return self._folded[index]
        tensor = self.tensor(index)
        if tensor.data is None:
            return None
        values = tensor.array()
        if tensor.has_scale and tensor.quantization is not None:
            return tensor.quantization.dequantize(values)
        return values

    def integers(self, index: int) -> list[int]:
        """A constant's values, flat.

        :raises Refusal: if it is computed.
        """
        values = self.constant(index)
        if values is None:
            raise Refusal("its shape or places are computed as it runs")
        return [int(v) for v in values.reshape(-1)]

    def fold(self, index: int, values: NDArray[Any]) -> None:
        """The tensor is a constant after all."""
        self._folded[index] = values

    def own(self, index: int) -> str:
        """Its name in the Graph's layout."""
        values = self.constant(index)
        if values is not None:
            return self.keep(values)
        if index not in self._own:
            self._own[index] = self.node("Transpose", [self._pictures[index]], perm=TO_NHWC)
        return self._own[index]

    def picture(self, index: int) -> str:
        """Its name as ``[n, c, h, w]``."""
        values = self.constant(index)
        if values is not None:
            wide = values.reshape((1,) * (4 - values.ndim) + values.shape)
            return self.keep(wide.transpose(TO_NCHW))
        if index not in self._pictures:
            self._pictures[index] = self.node("Transpose", [self._own[index]], perm=TO_NCHW)
        return self._pictures[index]

    def only_picture(self, index: int) -> bool:
        """True if it is there as a picture, and not in the Graph's layout."""
        return index in self._pictures and index not in self._own

    def put(self, index: int, name: str, *, picture: bool = False, exact: bool = False) -> None:
        """A tensor's value is made; it is rounded if an operator reads it.

        :param exact: it has no more values than its input had, so it need not be rounded.
        """
        q = self.tensor(index).quantization if self.tensor(index).has_scale else None
        if q is not None and not exact and not q.zero_point[0] and index in self._read:
            name = self._rounded(name, float(q.scale[0]))
        (self._pictures if picture else self._own)[index] = name

    def give_up(self, operator: Operator) -> None:
        """Stand in for the result of an operator that cannot be written, so that the others are examined, too."""
        for index in operator.outputs:
            self._own[index] = self._unique("unwritten")

    # Nodes and constants

    def node(self, op: str, inputs: Sequence[str], outputs: int | Sequence[str] = 1, **attributes: Any) -> Any:
        """Add a node; return its output's name, or a list of names where there are several."""
        names = [self._unique(op) for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self.nodes.append((op, list(inputs), names, attributes))
        return names[0] if outputs == 1 else names

    def keep(self, values: NDArray[Any], dtype: str = "") -> str:
        """Add a constant, equal ones once; floats in the file's precision unless ``dtype`` says another."""
        if self.dry:
            return "constant"
        if dtype:
            values = values.astype(dtype)
        elif str(values.dtype) in FLOATS:
            values = values.astype(np.float32)
            values = np.clip(values, -HALF_MOST, HALF_MOST).astype(np.float16) if self.half else values
        values = np.asarray(values, order="C")
        key = repr((values.dtype.str, values.shape)).encode() + values.tobytes()
        if key not in self._kept:
            self._kept[key] = self._unique("constant")
            self.constants[self._kept[key]] = values
        return self._kept[key]

    def number(self, value: float) -> str:
        """Return the name of a float32 constant of this value."""
        return self.keep(np.array(value, np.float32))

    def shape(self, sizes: Sequence[int]) -> str:
        """A list of sizes, axes or places, as ONNX takes them: int64."""
        return self.keep(np.array(list(sizes), np.int64))

    def activated(self, name: str, fused: int) -> str:
        """The value after a fused activation."""
        if fused == 0:
            return name
        if fused == 4:
            return str(self.node("Tanh", [name]))
        if fused not in LIMITS:
            raise Refusal("edgekit does not write its fused activation to ONNX")
        low, high = LIMITS[fused]
        if high is None:
            return str(self.node("Relu", [name]))
        return str(self.node("Clip", [name, self.number(low), self.number(high)]))

    def weights(self, index: int, arranged: tuple[int, ...], shape: Sequence[int], axis: int) -> str:
        """A constant of weights, transposed to ``arranged``, then in ``shape``; int8 ones behind a DequantizeLinear.

        :param axis: of the channels, afterwards.
        :raises Refusal: if it is computed, or has zero points.
        """
        tensor = self.tensor(index)
        values = self.constant(index)
        if values is None:
            raise Refusal("its weights are computed as it runs")
        if not tensor.has_scale or index in self._folded:
            return self.keep(values.transpose(arranged).reshape(tuple(shape)))
        q = tensor.quantization
        assert q is not None
        if tensor.dtype != "int8" or np.any(q.zero_point):
            raise Refusal("its weights are not int8 with zero point 0, and TensorRT takes no others")
        raw = self.keep(tensor.array().transpose(arranged).reshape(tuple(shape)), "int8")
        scale = q.scale if q.per_channel else np.repeat(q.scale, shape[axis])
        given = [raw, self.keep(scale, "float32"), self.keep(np.zeros(len(scale)), "int8")]
        return str(self.node("DequantizeLinear", given, axis=axis))

    def _rounded(self, name: str, scale: float) -> str:
        given = [self.keep(np.array(scale, np.float32), "float32"), self.keep(np.zeros(()), "int8")]
        return str(self.node("DequantizeLinear", [self.node("QuantizeLinear", [name, *given]), *given]))

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 0
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    # The whole

    def admit(self, operator: Operator) -> None:
        """:raises Refusal: if a tensor of the operator has a type or a shape that cannot be written."""
        for index in (*operator.inputs, *operator.outputs):
            if index < 0:
                continue
            tensor = self.tensor(index)
            if any(size < 1 for size in tensor.shape) and tensor.data is None:
                raise Refusal("its shape is not known")
            if tensor.data is None and tensor.has_scale and tensor.dtype != "int8":
                raise Refusal(f"TensorRT has no {tensor.dtype} activations")
            if tensor.data is None and tensor.dtype not in KINDS:
                raise Refusal(f"edgekit does not write {tensor.dtype} to ONNX")

    def _kind(self, dtype: str) -> int:
        if dtype not in KINDS:
            raise Refusal(f"edgekit does not write {dtype} to ONNX")
        return KINDS[dtype]

    def kind(self, index: int) -> int:
        """ONNX's number for a tensor's type in the file."""
        tensor = self.tensor(index)
        return self._kind(("float16" if self.half else "float32") if self._real(tensor) else tensor.dtype)

    @staticmethod
    def _real(tensor: Tensor) -> bool:
        return tensor.has_scale or tensor.dtype in FLOATS

    def _halved(self, index: int) -> bool:
        return self.half and self._real(self.tensor(index))

    def model(self, opset: int, ir: int) -> bytes:
        """The file's bytes, once every operator is written."""
        from onnx import checker, helper, numpy_helper

        for index, name in zip(self.graph.main.outputs, self.outputs, strict=True):
            op, given = ("Cast", {"to": self._kind("float32")}) if self._halved(index) else ("Identity", {})
            self.node(op, [self.own(index)], [name], **given)
        sides = []
        for indices, names in ((self.graph.main.inputs, self.inputs), (self.graph.main.outputs, self.outputs)):
            kinds = ["float32" if self._real(self.tensor(i)) else self.tensor(i).dtype for i in indices]
            sides.append([
                helper.make_tensor_value_info(name, self._kind(kind), list(self.tensor(i).shape))
                for i, name, kind in zip(indices, names, kinds, strict=True)
            ])  # fmt: skip
        nodes = [helper.make_node(op, given, made, name=made[0], **more) for op, given, made, more in self.nodes]
        kept = [numpy_helper.from_array(values, name) for name, values in self.constants.items()]
        graph = helper.make_graph(nodes, "network", *sides, kept)
        made = helper.make_model(
            graph, producer_name="edgekit", ir_version=ir, opset_imports=[helper.make_opsetid("", opset)]
        )
        checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))
