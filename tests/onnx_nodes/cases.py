"""The official ONNX node tests (``onnx.backend.test``) as plain values: model, inputs, wanted outputs, what is tested.

The onnx package makes models and data when its modules are imported, the same in every run. A *case* is one of them.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_MAIN = {"FLOAT": "float", "INT8": "int8", "UINT8": "int8"}
_BESIDE = {"INT32", "INT64", "BOOL"}
GROUPS = ("float", "int8", "other types", "other domains")


@dataclass(frozen=True)
class Case:
    """One node test. ``inputs`` and ``outputs`` are None where they are not all plain arrays of numbers."""

    name: str
    model: Any
    rtol: float
    atol: float
    inputs: list[NDArray[Any]] | None
    outputs: list[NDArray[Any]] | None

    @cached_property
    def operator(self) -> str:
        """The operator that is tested. ``*_expanded`` cases test the function body of the case without that ending."""
        nodes = (self.whole or self).model.graph.node
        return str(nodes[-1].op_type) if nodes else ""

    @property
    def whole(self) -> Case | None:
        """Of an ``*_expanded`` case: the case that it is the expanded form of."""
        return by_name().get(self.name.split("_expanded")[0]) if self.expanded else None

    @cached_property
    def group(self) -> str:
        """One of :data:`GROUPS`.

        A case is of the standard domain if all its operators are. It is *float* if among its inputs' and outputs'
        types is float32, *int8* if none is but int8 or uint8 is, and both only if there is no other type beside them
        than int32, int64 and bool (indices, shapes, masks).
        """
        if any(node.domain not in ("", "ai.onnx") for node in self.model.graph.node):
            return GROUPS[3]
        types = set(_types(self.model.graph))
        main = {_MAIN[kind] for kind in types & _MAIN.keys()}
        if not main or types - _MAIN.keys() - _BESIDE:
            return GROUPS[2]
        return min(main)

    @property
    def expanded(self) -> bool:
        return "_expanded" in self.name


def _types(graph: Any) -> Iterable[str]:
    for value in [*graph.input, *graph.output]:
        if value.type.WhichOneof("value") == "tensor_type":
            yield onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        else:
            yield "other"


@lru_cache(maxsize=1)
def load() -> tuple[Case, ...]:
    """All cases, sorted by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows that some cases are about
        from onnx.backend.test.loader import load_model_tests

        tests = load_model_tests(kind="node")
    found = []
    for test in tests:
        (inputs, outputs), *_ = test.data_sets
        found.append(Case(test.name, test.model, test.rtol, test.atol, _numbers(inputs), _numbers(outputs)))
    return tuple(sorted(found, key=lambda case: case.name))


@lru_cache(maxsize=1)
def by_name() -> dict[str, Case]:
    return {case.name: case for case in load()}


def _numbers(values: Sequence[Any]) -> list[NDArray[Any]] | None:
    arrays = [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]
    plain = all(isinstance(array, np.ndarray | np.generic) for array in arrays)
    return [np.asarray(array) for array in arrays] if plain else None


def sample(cases: Sequence[Case], share: int, part: int = 0) -> list[Case]:
    """Every ``share``-th case, chosen by its name's checksum, so that a new case moves no other."""
    return [case for case in cases if zlib.crc32(case.name.encode()) % share == part]
