"""Build a TFLite flatbuffer from a Graph; use it through :mod:`edgekit.graph.tflite`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import flatbuffer
from edgekit.graph.ir import Graph, Operator, Quantization, Signature, Subgraph, Tensor
from edgekit.graph.schema import CUSTOM, dtype_codes, operator_codes, schema


class Writer:
    """Builds one flatbuffer. Children are written before their parents, as the format demands."""

    def __init__(self, graph: Graph) -> None:
        import flatbuffers

        self.graph = graph
        self.s = schema()
        self.builder: Any = flatbuffers.Builder(1 << 16)
        self.buffers: list[NDArray[np.uint8]] = [np.empty(0, np.uint8)]  # buffer 0 is empty by convention
        self.index_of: dict[bytes, int] = {}
        self.codes: dict[tuple[str, bool, int], int] = {}
        self.vectors: dict[tuple[str, bytes], int] = {}

    def build(self) -> bytes:
        """Write the Graph; return the bytes of the file."""
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
        """Write a vector of tables; ``start`` begins it. Return its offset."""
        start(self.builder, len(items))
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return int(self.builder.EndVector())

    def numbers(self, values: Any, dtype: str) -> int:
        """Write a vector of numbers, once: tables share equal ones (shapes, the zero points of all channels)."""
        array = np.asarray(values, dtype)
        key = dtype, array.tobytes()
        if key not in self.vectors:
            self.vectors[key] = int(self.builder.CreateNumpyVector(array))
        return self.vectors[key]

    def text(self, value: str) -> int:
        """Write a string, once."""
        return int(self.builder.CreateSharedString(value))

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
        """Write a buffer, aligned to 16 bytes; return its offset."""
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
        """Write an operator code; return its offset."""
        b, s = self.builder, self.s
        number = operator_codes()[CUSTOM if custom else op]
        name = b.CreateString(op) if custom else 0
        s.OperatorCodeStart(b)
        s.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))  # 127: PLACEHOLDER_FOR_GREATER_OP_CODES
        if custom:
            s.OperatorCodeAddCustomCode(b, name)
        s.OperatorCodeAddVersion(b, version)
        s.OperatorCodeAddBuiltinCode(b, number)
        return int(s.OperatorCodeEnd(b))

    def subgraph(self, graph: Subgraph) -> int:
        """Write a subgraph; return its offset."""
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
        """Write a tensor and keep its constant; return its offset."""
        b, s = self.builder, self.s
        shape, name = self.numbers(tensor.shape, "int32"), self.text(tensor.name)
        signature = self.numbers(tensor.shape_signature, "int32") if tensor.shape_signature else 0
        quantization = self.quantization(tensor.quantization) if tensor.quantization else 0
        sparsity = tensor.sparsity.Pack(b) if tensor.sparsity else 0
        variants = tensor.variant_tensors or []
        variants = self.offsets([v.Pack(b) for v in variants], s.TensorStartVariantTensorsVector) if variants else 0
        s.TensorStart(b)
        s.TensorAddShape(b, shape)
        s.TensorAddType(b, dtype_codes()[tensor.dtype])
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
        """Write quantization parameters; return their offset."""
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
        """Write an operator with its options; return its offset."""
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
        """Write a metadata entry; return its offset."""
        b, s = self.builder, self.s
        text = self.text(name)
        s.MetadataStart(b)
        s.MetadataAddName(b, text)
        s.MetadataAddBuffer(b, self.keep(np.frombuffer(content, np.uint8)))
        return int(s.MetadataEnd(b))

    def signature(self, signature: Signature) -> int:
        """Write a signature; return its offset."""
        b, s = self.builder, self.s

        def names(entries: dict[str, int], start: Any) -> int:
            items = []
            for name, index in entries.items():
                text = self.text(name)
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
