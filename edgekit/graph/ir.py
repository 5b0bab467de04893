"""The Graph: edgekit's own reading of a network.

The structures follow the TFLite schema closely, because that flatbuffer is the pivot format, but they are
plain dataclasses: no builder, no offsets. Operator options stay the schema's own ``*OptionsT`` objects, so
an operator that edgekit does not know survives a round trip unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS: dict[str, int] = {
    "float32": 32, "float16": 16, "bfloat16": 16, "float64": 64, "complex64": 64, "complex128": 128,
    "int2": 2, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64,
    "uint4": 4, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64, "bool": 8,
}  # fmt: skip
"""Bits of one element, for the dtypes that have a fixed size (not string, resource, variant)."""


@dataclass(frozen=True)
class Quantization:
    """Affine quantization, ``real = scale * (q - zero_point)``.

    ``scale`` is float32 ``[n]``, ``zero_point`` int64 ``[n]``; n is 1 (per tensor) or the size of dimension
    ``axis`` (per channel). ``details`` keeps schema extras that edgekit does not interpret.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int = 0
    minimum: NDArray[np.float32] | None = None
    maximum: NDArray[np.float32] | None = None
    details: Any = None

    @property
    def per_channel(self) -> bool:
        """True if there is more than one scale."""
        return len(self.scale) > 1

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the real values of ``values`` (any integer dtype, the tensor's shape) as float32.

        Values beyond the range of float32 are infinite.
        """
        shape = [1] * values.ndim
        if self.per_channel:
            shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape), self.zero_point.reshape(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            return ((values.astype(np.float64) - zero) * scale).astype(np.float32)

    def quantize(self, values: NDArray[Any], dtype: str) -> NDArray[Any]:
        """Return ``values`` (float) in integers of ``dtype``, rounded half to even and saturated.

        A value that is not a number becomes the zero point.
        """
        info = np.iinfo(dtype)
        shape = [1] * values.ndim
        if self.per_channel:
            shape[self.axis] = -1
        scale, zero = self.scale.reshape(shape).astype(np.float64), self.zero_point.reshape(shape)
        q = np.rint(np.nan_to_num(values.astype(np.float64) / scale, nan=0.0)) + zero
        return np.clip(q, info.min, info.max).astype(dtype)


@dataclass
class Tensor:
    """A value in the network. Constants carry ``data``: their little-endian bytes as uint8 ``[bytes]``.

    ``keep_float`` asks the quantizing passes to compute it in float; it is not written to the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: NDArray[np.uint8] | None = None
    shape_signature: tuple[int, ...] | None = None
    is_variable: bool = False
    has_rank: bool = True
    sparsity: Any = None
    variant_tensors: Any = None
    keep_float: bool = False

    @property
    def elements(self) -> int:
        """Number of elements; unknown dimensions count as 1."""
        return math.prod(abs(d) for d in self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes the tensor takes when dense; 0 for strings and resources."""
        return (self.elements * BITS.get(self.dtype, 0) + 7) // 8

    @property
    def has_scale(self) -> bool:
        """True if the tensor's integers stand for real values."""
        return self.quantization is not None and self.quantization.scale.size > 0

    @property
    def is_dense(self) -> bool:
        """True for a constant of which :meth:`array` gives the values."""
        return self.data is not None and self.sparsity is None and self.dtype in BITS

    def array(self) -> NDArray[Any]:
        """Return the constant as an array of ``shape``; 2- and 4-bit values come unpacked as int8/uint8.

        :raises ValueError: if the tensor has no constant data, is sparse, or has no fixed-size dtype.
        """
        if self.data is None or not self.is_dense:
            raise ValueError(f"{self.name!r} has no dense constant data")
        if self.dtype in ("int4", "int2", "uint4"):
            return _unpack(self.data, BITS[self.dtype], self.elements, self.dtype[0] == "i").reshape(self.shape)
        if self.dtype == "bfloat16":
            wide = self.data.view("<u2").astype(np.uint32) << 16
            return wide.view(np.float32).reshape(self.shape)
        return self.data.view(np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)

    def json(self) -> dict[str, Any]:
        """Name, dtype, shape and per-tensor quantization, as the commands print them."""
        q = self.quantization if self.has_scale else None
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "quantization": {"scale": float(q.scale[0]), "zero_point": int(q.zero_point[0])} if q else None,
        }


def _unpack(data: NDArray[np.uint8], bits: int, count: int, signed: bool) -> NDArray[Any]:
    """Unpack ``count`` values of ``bits`` bits, least significant first, to int8 or uint8 ``[count]``."""
    per = 8 // bits
    shifts = np.arange(per, dtype=np.uint8) * bits
    values = ((data[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    if not signed:
        return values
    sign = 1 << (bits - 1)
    return ((values ^ sign).astype(np.int16) - sign).astype(np.int8)


@dataclass
class Operator:
    """One operation. ``op`` is the schema's name (``CONV_2D``), or a custom operator's own name.

    ``inputs`` and ``outputs`` index the subgraph's tensors; -1 is an absent optional input.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None
    custom: bool = False
    custom_options: bytes = b""
    version: int = 1
    intermediates: tuple[int, ...] = ()
    options2: Any = None


@dataclass
class Subgraph:
    """Tensors and operators in execution order. ``inputs``/``outputs`` index ``tensors``."""

    name: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass
class Signature:
    """A named entry point: maps names to tensor indices of subgraph ``subgraph``."""

    key: str
    inputs: dict[str, int]
    outputs: dict[str, int]
    subgraph: int = 0


@dataclass
class Graph:
    """A whole network: subgraph 0 is the main one, others are bodies of control flow.

    ``notes`` says, in words, what reading had to repair; it is not written to the file.
    """

    subgraphs: list[Subgraph]
    signatures: list[Signature] = field(default_factory=list)
    metadata: dict[str, bytes] = field(default_factory=dict)
    description: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def main(self) -> Subgraph:
        """The subgraph that the network's inputs and outputs belong to."""
        return self.subgraphs[0]

    @property
    def tensors(self) -> list[Tensor]:
        """The main subgraph's tensors."""
        return self.main.tensors

    @property
    def operators(self) -> list[Operator]:
        """The main subgraph's operators."""
        return self.main.operators

    @property
    def inputs(self) -> list[Tensor]:
        """The network's input tensors, in order."""
        return [self.main.tensors[i] for i in self.main.inputs]

    @property
    def outputs(self) -> list[Tensor]:
        """The network's output tensors, in order."""
        return [self.main.tensors[i] for i in self.main.outputs]

    def constants(self) -> Iterator[Tensor]:
        """All constant tensors of all subgraphs."""
        for subgraph in self.subgraphs:
            yield from (t for t in subgraph.tensors if t.data is not None)

    @property
    def is_quantized(self) -> bool:
        """True where activations are integers with a scale (a full-integer network)."""
        return any(
            t.quantization is not None
            and t.quantization.scale.size
            and t.data is None
            and t.dtype in ("int8", "uint8", "int16")
            for t in self.main.tensors
        )
