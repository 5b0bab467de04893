"""Functions of one element: tables of int8, conversions, functions of float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import fixed_point, kernels, parameters, tables
from edgekit.codegen.schedule.mcu import strides
from edgekit.codegen.schedule.mcu.base import McuScheduler, element_rows
from edgekit.codegen.schedule.mcu.rules import words
from edgekit.codegen.schedule.mcu.rules.elements import ahead
from edgekit.codegen.schedule.mcu.rules.scales import factor, single
from edgekit.codegen.schedule.mcu.steps import Struct, table

BYTES = ("int8", "uint8")
WORDS = (("s8", "s16"), ("s16", "s8"), ("s16", "s16"), ("s8", "s32"), ("s16", "s32"))
"""Integers that QUANTIZE converts, but for bytes."""


def mapped(s: McuScheduler, kernel: kernels.Map) -> None:
    """A function of each element; of int8 a table."""
    dtype, name = s.dtype(kernel.output), kernel.function.lower()
    if dtype == "int8":
        s.require(kernel.function in tables.FUNCTIONS, f"there is no kernel for {dtype}")
        scales = s.network.scale(kernel.input), s.network.scale(kernel.output)
        _table(s, kernel, np.roll(tables.table(kernel.function, *scales, kernel.options), 128), name)
        return
    if dtype == "int16":
        s.require(name in ("logistic", "tanh"), f"there is no kernel for {dtype}")
        _elements(s, kernel, f"ek_{name}_s16", words.sigmoid(s, kernel), name)
        return
    s.require(dtype == "float32" or (dtype != "int16" and name in ("abs", "neg")), f"there is no kernel for {dtype}")
    function = "gelu_tanh" if kernel.approximate else name
    data = Struct("ek_map_data", {"alpha": single(kernel.alpha or 0.0)}) if name == "leaky_relu" else None
    _elements(s, kernel, f"ek_{function}_{s.suffix(kernel.output)}", data, name)


def _elements(
    s: McuScheduler, kernel: kernels.Map | kernels.Convert, function: str, data: Struct | None, title: str
) -> None:
    """A function of each element, in order."""
    made, items = kernel.output, (s.item(kernel.input), s.item(kernel.output))
    rows = element_rows(s.shape(made), 2, 0, items) if s.shape(made) == s.shape(kernel.input) else None
    s.step(function, kernel, [s.operand(kernel.input)], s.output(made), strides.flat(s.elements(made), 2), data, 0,
           [ahead(s, kernel.input, made)], title, rows)  # fmt: skip


def _table(s: McuScheduler, kernel: kernels.Map | kernels.Convert, values: NDArray[np.integer], title: str) -> None:
    """:param values: results by the bits of the element, as an unsigned number."""
    _elements(
        s, kernel, "ek_table_8", Struct("ek_table_data", {"values": table(values.view(np.uint8), "uint8")}), title
    )


def convert(s: McuScheduler, kernel: kernels.Convert) -> None:
    """QUANTIZE and DEQUANTIZE."""
    source, target = s.dtype(kernel.input), s.dtype(kernel.output)
    suffixes = s.suffix(kernel.input), s.suffix(kernel.output)
    if source in BYTES and target in BYTES:
        _table(s, kernel, _requantized(s, kernel, source, target), "quantize")
        return
    if target == "float32":
        scale = s.network.scale(kernel.input)
        data = Struct("ek_scale_data", {"scale": single(scale.scale), "zero": scale.zero_point})
        _elements(s, kernel, f"ek_dequantize_{suffixes[0]}", data, "dequantize")
        return
    scale = s.network.scale(kernel.output)
    if source == "float32":
        data = Struct("ek_scale_data", {"scale": single(scale.scale), "zero": scale.zero_point})
        _elements(s, kernel, f"ek_quantize_{suffixes[1]}", data, "quantize")
        return
    s.require(suffixes in WORDS, f"there is no kernel from {source} to {target}")
    p = parameters.convert_parameters(s.network.scale(kernel.input), scale)
    fields = factor(p.factor) | {"x_zero": p.zero, "y_zero": p.output_zero}
    _elements(s, kernel, f"ek_requantize_{suffixes[0]}_{suffixes[1]}", Struct("ek_requantize_data", fields), "quantize")


def _requantized(s: McuScheduler, kernel: kernels.Convert, source: str, target: str) -> NDArray[np.integer]:
    """``reference_ops::Requantize`` of all 256 values (reference/requantize.h)."""
    p = parameters.convert_parameters(s.network.scale(kernel.input), s.network.scale(kernel.output))
    stored = np.arange(256, dtype=np.uint8).view(source).astype(np.int64) - p.zero
    scaled = fixed_point.multiply_by_quantized_multiplier(stored, p.factor.multiplier, p.factor.shift)
    limits = np.iinfo(target)
    return np.clip(scaled + p.output_zero, limits.min, limits.max).astype(target)
