"""Convert a verified TFLite flatbuffer to a Graph; use it through :mod:`edgekit.graph.tflite`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph.check import MAX_RANK
from edgekit.graph.ir import Graph, Operator, Quantization, Signature, Subgraph, Tensor
from edgekit.graph.schema import CUSTOM, dtype_names, operator_names, schema

_SPARE_BYTES = 64 << 20
_MOST_SHARED = 64
"""Tensors that have the same constant, on average: each of many signatures has tensors of its own."""


class Reader:
    """Turns one verified flatbuffer into a Graph."""

    def __init__(self, data: bytes) -> None:
        self.data = np.frombuffer(data, np.uint8)
        self.model = schema().Model.GetRootAs(data, 0)
        self.copied = self.constants = 0

    def graph(self) -> Graph:
        """Read the whole file."""
        model = self.model
        if model.ExternalBuffersLength():
            raise ModelError("its weights are in other files, which edgekit does not read", "save it as one file")
        if not model.SubgraphsLength():
            raise ModelError("it holds no network")
        metadata = {}
        for i in range(model.MetadataLength()):
            entry = model.Metadata(i)
            content = self.buffer(entry.Buffer())
            metadata[_text(entry.Name())] = b"" if content is None else self.copy(content)
        return Graph(
            subgraphs=[self.subgraph(model.Subgraphs(i)) for i in range(model.SubgraphsLength())],
            signatures=[self.signature(model.SignatureDefs(i)) for i in range(model.SignatureDefsLength())],
            metadata=metadata,
            description=_text(model.Description()),
        )

    def buffer(self, index: int) -> NDArray[np.uint8] | None:
        """Return a buffer's bytes; None for an empty one."""
        if index >= self.model.BuffersLength():
            raise ModelError(f"a tensor names buffer {index}, but there are {self.model.BuffersLength()}")
        buffer = self.model.Buffers(index)
        if buffer.Size() > 1 or buffer.Offset() > 1:
            return self.outside(buffer.Offset(), buffer.Size())
        data = buffer.DataAsNumpy()
        return data if isinstance(data, np.ndarray) and data.size else None

    def copy(self, content: NDArray[np.uint8]) -> bytes:
        """Return bytes of the file as an object of their own; many tables may name the same ones."""
        self.copied += content.size
        if self.copied > self.data.size + _SPARE_BYTES:
            raise ModelError("the file describes more than a network can have: its tables share their contents")
        return content.tobytes()

    def constant(self, index: int) -> NDArray[np.uint8] | None:
        """Return a buffer's bytes for a tensor."""
        data = self.buffer(index)
        self.constants += 0 if data is None else data.size
        if self.constants > _MOST_SHARED * self.data.size + _SPARE_BYTES:
            raise ModelError("the file describes more than a network can have: its tensors share their constants")
        return data

    def outside(self, offset: int, size: int) -> NDArray[np.uint8]:
        """Bytes that lie behind the flatbuffer in the same file."""
        if offset + size > self.data.size:
            raise ModelError("the file is truncated: a buffer reaches beyond its end")
        return self.data[offset : offset + size]

    def subgraph(self, table: Any) -> Subgraph:
        """Read a subgraph."""
        return Subgraph(
            name=_text(table.Name()),
            tensors=[self.tensor(table.Tensors(i)) for i in range(table.TensorsLength())],
            operators=[self.operator(table.Operators(i)) for i in range(table.OperatorsLength())],
            inputs=_ints(table.InputsAsNumpy()),
            outputs=_ints(table.OutputsAsNumpy()),
        )

    def tensor(self, table: Any) -> Tensor:
        """Read a tensor, with its constant if it has one."""
        if table.Type() not in dtype_names():
            raise ModelError(f"tensor {_text(table.Name())!r} has an unknown type ({table.Type()})")
        rank = max(table.ShapeLength(), table.ShapeSignatureLength())
        if rank > MAX_RANK:
            raise ModelError(f"tensor {_text(table.Name())[:80]!r} has {rank} dimensions; the most is {MAX_RANK}")
        sparsity = table.Sparsity()
        return Tensor(
            name=_text(table.Name()),
            shape=_ints(table.ShapeAsNumpy()),
            dtype=dtype_names()[table.Type()],
            quantization=self.quantization(table.Quantization()),
            data=self.constant(table.Buffer()),
            shape_signature=_ints(table.ShapeSignatureAsNumpy()) if table.ShapeSignatureLength() else None,
            is_variable=bool(table.IsVariable()),
            has_rank=bool(table.HasRank()) or table.ShapeLength() > 0,
            sparsity=schema().SparsityParametersT.InitFromObj(sparsity) if sparsity else None,
            variant_tensors=[
                schema().VariantSubTypeT.InitFromObj(table.VariantTensors(i))
                for i in range(table.VariantTensorsLength())
            ]
            or None,
        )

    def quantization(self, table: Any) -> Quantization | None:
        """Read a tensor's quantization; None if it has none."""
        if table is None or (not table.ScaleLength() and not table.MinLength() and not table.DetailsType()):
            return None
        scale = _array(table.ScaleAsNumpy(), np.float32)
        zero_point = _array(table.ZeroPointAsNumpy(), np.int64)
        if zero_point.size == 0:
            zero_point = np.zeros(scale.size, np.int64)
        details = None
        if table.DetailsType():
            details = (table.DetailsType(), schema().QuantizationDetailsCreator(table.DetailsType(), table.Details()))
        return Quantization(
            scale=scale,
            zero_point=zero_point,
            axis=int(table.QuantizedDimension()),
            minimum=_array(table.MinAsNumpy(), np.float32) if table.MinLength() else None,
            maximum=_array(table.MaxAsNumpy(), np.float32) if table.MaxLength() else None,
            details=details,
        )

    def operator(self, table: Any) -> Operator:
        """Read an operator with its options."""
        if table.OpcodeIndex() >= self.model.OperatorCodesLength():
            raise ModelError(f"an operator has code {table.OpcodeIndex()}, which is not in the file's list")
        opcode = self.model.OperatorCodes(table.OpcodeIndex())
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())  # schema.fbs: old files use the latter
        if code not in operator_names():
            raise ModelError(f"builtin operator {code} is newer than this edgekit", "update edgekit")
        custom = operator_names()[code] == CUSTOM
        custom_options = table.CustomOptionsAsNumpy()
        content = self.copy(custom_options) if isinstance(custom_options, np.ndarray) else b""
        if table.LargeCustomOptionsSize() > 1:
            content = self.copy(self.outside(table.LargeCustomOptionsOffset(), table.LargeCustomOptionsSize()))
        return Operator(
            op=_text(opcode.CustomCode()) if custom else operator_names()[code],
            inputs=_ints(table.InputsAsNumpy()),
            outputs=_ints(table.OutputsAsNumpy()),
            options=schema().BuiltinOptionsCreator(table.BuiltinOptionsType(), table.BuiltinOptions()),
            custom=custom,
            custom_options=content,
            version=opcode.Version(),
            intermediates=_ints(table.IntermediatesAsNumpy()),
            options2=schema().BuiltinOptions2Creator(table.BuiltinOptions2Type(), table.BuiltinOptions2()),
        )

    def signature(self, table: Any) -> Signature:
        """Read a signature."""

        def names(length: int, item: Any) -> dict[str, int]:
            return {_text(item(i).Name()): int(item(i).TensorIndex()) for i in range(length)}

        return Signature(
            key=_text(table.SignatureKey()),
            inputs=names(table.InputsLength(), table.Inputs),
            outputs=names(table.OutputsLength(), table.Outputs),
            subgraph=int(table.SubgraphIndex()),
        )


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in values) if isinstance(values, np.ndarray) else ()


def _array(values: Any, dtype: type) -> NDArray[Any]:
    return np.array(values, dtype) if isinstance(values, np.ndarray) else np.empty(0, dtype)
