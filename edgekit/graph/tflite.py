"""Graph <-> TFLite flatbuffer.

Reading verifies the structure (:mod:`edgekit.graph.flatbuffer`), then the meaning (:mod:`edgekit.graph.check`),
then repairs what is repairable (:mod:`edgekit.graph.repair`) and says so in ``Graph.notes``. Writing gives the
same bytes for the same Graph, with every constant aligned to 16 bytes as the schema asks.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph import check, flatbuffer, repair
from edgekit.graph.ir import Graph, Operator, Quantization, Signature, Subgraph, Tensor

MAX_FILE_BYTES = (2 << 30) - 1
CUSTOM = "CUSTOM"


@cache
def schema() -> ModuleType:
    """The generated TFLite schema that ships with ai-edge-litert (imported late: it is 690 kB of Python)."""
    import ai_edge_litert.schema_py_generated as generated

    module: ModuleType = generated
    return module


@cache
def operator_names() -> dict[int, str]:
    """Builtin operator names by code."""
    return {code: name for name, code in vars(schema().BuiltinOperator).items() if not name.startswith("_")}


@cache
def _operator_codes() -> dict[str, int]:
    return {name: code for code, name in operator_names().items()}


@cache
def _dtypes() -> dict[int, str]:
    return {code: name.lower() for name, code in vars(schema().TensorType).items() if not name.startswith("_")}


@cache
def _dtype_codes() -> dict[str, int]:
    return {name: code for code, name in _dtypes().items()}


def read(path: Path) -> Graph:
    """Read a ``.tflite`` file.

    :raises ModelError: if it is not one, is damaged, or means nothing.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{path.name} is larger than 2 GiB, which a TFLite file cannot be")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    return loads(data)


def loads(data: bytes) -> Graph:
    """Read a TFLite flatbuffer from memory. Constants stay views of ``data``."""
    flatbuffer.verify(data)
    try:
        graph = _Reader(data).graph()
    except ModelError:
        raise
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        UnicodeDecodeError,
        AttributeError,
    ) as error:
        raise ModelError(f"the file is damaged: {error}") from error
    check.check_structure(graph)
    graph.notes += repair.repair(graph)
    check.check_quantization(graph)
    return graph


class _Reader:
    """Turns one verified flatbuffer into a Graph."""

    def __init__(self, data: bytes) -> None:
        self.data = np.frombuffer(data, np.uint8)
        self.model = schema().Model.GetRootAs(data, 0)

    def graph(self) -> Graph:
        model = self.model
        if model.ExternalBuffersLength():
            raise ModelError("its weights lie in other files, which edgekit does not read", "save it as one file")
        if not model.SubgraphsLength():
            raise ModelError("it holds no network")
        metadata = {}
        for i in range(model.MetadataLength()):
            entry = model.Metadata(i)
            content = self.buffer(entry.Buffer())
            metadata[_text(entry.Name())] = b"" if content is None else content.tobytes()
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

    def outside(self, offset: int, size: int) -> NDArray[np.uint8]:
        """Bytes that lie behind the flatbuffer in the same file."""
        if offset + size > self.data.size:
            raise ModelError("the file is truncated: a buffer reaches beyond its end")
        return self.data[offset : offset + size]

    def subgraph(self, table: Any) -> Subgraph:
        return Subgraph(
            name=_text(table.Name()),
            tensors=[self.tensor(table.Tensors(i)) for i in range(table.TensorsLength())],
            operators=[self.operator(table.Operators(i)) for i in range(table.OperatorsLength())],
            inputs=_ints(table.InputsAsNumpy()),
            outputs=_ints(table.OutputsAsNumpy()),
        )

    def tensor(self, table: Any) -> Tensor:
        if table.Type() not in _dtypes():
            raise ModelError(f"tensor {_text(table.Name())!r} has an unknown type ({table.Type()})")
        sparsity = table.Sparsity()
        return Tensor(
            name=_text(table.Name()),
            shape=_ints(table.ShapeAsNumpy()),
            dtype=_dtypes()[table.Type()],
            quantization=self.quantization(table.Quantization()),
            data=self.buffer(table.Buffer()),
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
        if table.OpcodeIndex() >= self.model.OperatorCodesLength():
            raise ModelError(f"an operator has code {table.OpcodeIndex()}, which is not in the file's list")
        opcode = self.model.OperatorCodes(table.OpcodeIndex())
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())  # schema.fbs: old files use the latter
        if code not in operator_names():
            raise ModelError(f"builtin operator {code} is newer than this edgekit", "update edgekit")
        custom = operator_names()[code] == CUSTOM
        custom_options = table.CustomOptionsAsNumpy()
        content = custom_options.tobytes() if isinstance(custom_options, np.ndarray) else b""
        if table.LargeCustomOptionsSize() > 1:
            content = self.outside(table.LargeCustomOptionsOffset(), table.LargeCustomOptionsSize()).tobytes()
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


def write(graph: Graph, path: Path) -> None:
    """Write the Graph as a ``.tflite`` file, whole or not at all."""
    data = dumps(graph)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def dumps(graph: Graph) -> bytes:
    """Return the Graph as a TFLite flatbuffer; equal Graphs give equal bytes.

    :raises ModelError: if it would not fit in 2 GiB.
    """
    if sum(t.data.size for t in graph.constants() if t.data is not None) > MAX_FILE_BYTES:
        raise ModelError("the network is larger than 2 GiB, which a TFLite file cannot hold")
    return _Writer(graph).build()


class _Writer:
    """Builds one flatbuffer. Children are written before their parents, as the format demands."""

    def __init__(self, graph: Graph) -> None:
        import flatbuffers

        self.graph = graph
        self.s = schema()
        self.builder: Any = flatbuffers.Builder(1 << 16)
        self.buffers: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)]  # buffer 0 is empty by convention
        self.index_of: dict[bytes, int] = {}
        self.codes: dict[tuple[str, bool, int], int] = {}

    def build(self) -> bytes:
        graph, s, b = self.graph, self.s, self.builder
        subgraphs = self.offsets([self.subgraph(g) for g in graph.subgraphs], s.ModelStartSubgraphsVector)
        metadata = self.offsets([self.metadata(*item) for item in graph.metadata.items()], s.ModelStartMetadataVector)
        signatures = self.offsets([self.signature(x) for x in graph.signatures], s.ModelStartSignatureDefsVector)
        codes = self.offsets([self.code(*key) for key in self.codes], s.ModelStartOperatorCodesVector)
        buffers = self.offsets([self.buffer(data) for data in self.buffers], s.ModelStartBuffersVector)
        description = b.CreateString(graph.description)
        s.ModelStart(b)
        s.ModelAddVersion(b, 3)
        s.ModelAddOperatorCodes(b, codes)
        s.ModelAddSubgraphs(b, subgraphs)
        s.ModelAddDescription(b, description)
        s.ModelAddBuffers(b, buffers)
        if graph.metadata:
            s.ModelAddMetadata(b, metadata)
        if graph.signatures:
            s.ModelAddSignatureDefs(b, signatures)
        b.Finish(s.ModelEnd(b), file_identifier=flatbuffer.IDENTIFIER)
        return bytes(b.Output())

    def offsets(self, items: list[int], start: Any) -> int:
        start(self.builder, len(items))
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return int(self.builder.EndVector())

    def numbers(self, values: Any, dtype: str) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype)))

    def keep(self, data: NDArray[np.uint8] | None) -> int:
        """Give ``data`` a place among the buffers; equal contents share one."""
        if data is None or data.size == 0:
            return 0
        key = data.tobytes()
        if key not in self.index_of:
            self.index_of[key] = len(self.buffers)
            self.buffers.append(data)
        return self.index_of[key]

    def buffer(self, data: NDArray[np.uint8]) -> int:
        b = self.builder
        if data.size:
            raw = data.tobytes()
            b.StartVector(1, len(raw), 16)
            b.head -= len(raw)
            b.Bytes[b.head : b.head + len(raw)] = raw
            vector = b.EndVector()
        self.s.BufferStart(b)
        if data.size:
            self.s.BufferAddData(b, vector)
        return int(self.s.BufferEnd(b))

    def code(self, op: str, custom: bool, version: int) -> int:
        b, s = self.builder, self.s
        number = _operator_codes()[CUSTOM if custom else op]
        name = b.CreateString(op) if custom else 0
        s.OperatorCodeStart(b)
        s.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))  # 127: PLACEHOLDER_FOR_GREATER_OP_CODES
        if custom:
            s.OperatorCodeAddCustomCode(b, name)
        s.OperatorCodeAddVersion(b, version)
        s.OperatorCodeAddBuiltinCode(b, number)
        return int(s.OperatorCodeEnd(b))

    def subgraph(self, graph: Subgraph) -> int:
        b, s = self.builder, self.s
        tensors = self.offsets([self.tensor(t) for t in graph.tensors], s.SubGraphStartTensorsVector)
        operators = self.offsets([self.operator(o) for o in graph.operators], s.SubGraphStartOperatorsVector)
        inputs, outputs = self.numbers(graph.inputs, "int32"), self.numbers(graph.outputs, "int32")
        name = b.CreateString(graph.name)
        s.SubGraphStart(b)
        s.SubGraphAddTensors(b, tensors)
        s.SubGraphAddInputs(b, inputs)
        s.SubGraphAddOutputs(b, outputs)
        s.SubGraphAddOperators(b, operators)
        s.SubGraphAddName(b, name)
        return int(s.SubGraphEnd(b))

    def tensor(self, tensor: Tensor) -> int:
        b, s = self.builder, self.s
        shape, name = self.numbers(tensor.shape, "int32"), b.CreateString(tensor.name)
        signature = self.numbers(tensor.shape_signature, "int32") if tensor.shape_signature else 0
        quantization = self.quantization(tensor.quantization) if tensor.quantization else 0
        sparsity = tensor.sparsity.Pack(b) if tensor.sparsity else 0
        variants = tensor.variant_tensors or []
        variants = self.offsets([v.Pack(b) for v in variants], s.TensorStartVariantTensorsVector) if variants else 0
        s.TensorStart(b)
        s.TensorAddShape(b, shape)
        s.TensorAddType(b, _dtype_codes()[tensor.dtype])
        s.TensorAddBuffer(b, self.keep(tensor.data))
        s.TensorAddName(b, name)
        if quantization:
            s.TensorAddQuantization(b, quantization)
        s.TensorAddIsVariable(b, tensor.is_variable)
        if sparsity:
            s.TensorAddSparsity(b, sparsity)
        if signature:
            s.TensorAddShapeSignature(b, signature)
        s.TensorAddHasRank(b, tensor.has_rank)
        if variants:
            s.TensorAddVariantTensors(b, variants)
        return int(s.TensorEnd(b))

    def quantization(self, q: Quantization) -> int:
        b, s = self.builder, self.s
        scale, zero_point = self.numbers(q.scale, "float32"), self.numbers(q.zero_point, "int64")
        minimum = self.numbers(q.minimum, "float32") if q.minimum is not None else 0
        maximum = self.numbers(q.maximum, "float32") if q.maximum is not None else 0
        details = q.details[1].Pack(b) if q.details and q.details[1] else 0
        s.QuantizationParametersStart(b)
        if minimum:
            s.QuantizationParametersAddMin(b, minimum)
        if maximum:
            s.QuantizationParametersAddMax(b, maximum)
        if q.scale.size:
            s.QuantizationParametersAddScale(b, scale)
            s.QuantizationParametersAddZeroPoint(b, zero_point)
        if details:
            s.QuantizationParametersAddDetailsType(b, q.details[0])
            s.QuantizationParametersAddDetails(b, details)
        s.QuantizationParametersAddQuantizedDimension(b, q.axis)
        return int(s.QuantizationParametersEnd(b))

    def operator(self, operator: Operator) -> int:
        b, s = self.builder, self.s
        code = self.codes.setdefault((operator.op, operator.custom, operator.version), len(self.codes))
        inputs, outputs = self.numbers(operator.inputs, "int32"), self.numbers(operator.outputs, "int32")
        intermediates = self.numbers(operator.intermediates, "int32") if operator.intermediates else 0
        options = operator.options.Pack(b) if operator.options is not None else 0
        options2 = operator.options2.Pack(b) if operator.options2 is not None else 0
        custom = b.CreateByteVector(operator.custom_options) if operator.custom_options else 0
        s.OperatorStart(b)
        s.OperatorAddOpcodeIndex(b, code)
        s.OperatorAddInputs(b, inputs)
        s.OperatorAddOutputs(b, outputs)
        if options:
            s.OperatorAddBuiltinOptionsType(b, _union_code(s.BuiltinOptions, operator.options))
            s.OperatorAddBuiltinOptions(b, options)
        if custom:
            s.OperatorAddCustomOptions(b, custom)
        if intermediates:
            s.OperatorAddIntermediates(b, intermediates)
        if options2:
            s.OperatorAddBuiltinOptions2Type(b, _union_code(s.BuiltinOptions2, operator.options2))
            s.OperatorAddBuiltinOptions2(b, options2)
        return int(s.OperatorEnd(b))

    def metadata(self, name: str, content: bytes) -> int:
        b, s = self.builder, self.s
        text = b.CreateString(name)
        s.MetadataStart(b)
        s.MetadataAddName(b, text)
        s.MetadataAddBuffer(b, self.keep(np.frombuffer(content, np.uint8)))
        return int(s.MetadataEnd(b))

    def signature(self, signature: Signature) -> int:
        b, s = self.builder, self.s

        def names(entries: dict[str, int], start: Any) -> int:
            items = []
            for name, index in entries.items():
                text = b.CreateString(name)
                s.TensorMapStart(b)
                s.TensorMapAddName(b, text)
                s.TensorMapAddTensorIndex(b, index)
                items.append(int(s.TensorMapEnd(b)))
            return self.offsets(items, start)

        inputs = names(signature.inputs, s.SignatureDefStartInputsVector)
        outputs = names(signature.outputs, s.SignatureDefStartOutputsVector)
        key = b.CreateString(signature.key)
        s.SignatureDefStart(b)
        s.SignatureDefAddInputs(b, inputs)
        s.SignatureDefAddOutputs(b, outputs)
        s.SignatureDefAddSignatureKey(b, key)
        s.SignatureDefAddSubgraphIndex(b, signature.subgraph)
        return int(s.SignatureDefEnd(b))


def _union_code(union: Any, options: Any) -> int:
    """The union's number for an options object: ``Conv2DOptionsT`` is ``BuiltinOptions.Conv2DOptions``."""
    return int(getattr(union, type(options).__name__.removesuffix("T")))
