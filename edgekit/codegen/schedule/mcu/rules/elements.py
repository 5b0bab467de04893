"""Functions of elements at the same place of their operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.codegen import kernels, parameters
from edgekit.codegen.kernels import Limits, Scale
from edgekit.codegen.schedule.mcu.base import McuScheduler, NoKernel, element_rows
from edgekit.codegen.schedule.mcu.rules.scales import factor
from edgekit.codegen.schedule.mcu.steps import Operand, Rows, Struct, Value
from edgekit.codegen.views import View

COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
EXTREMES = ("maximum", "minimum")
FLOATS = ("add", "sub", "mul", "div", "squared_difference", "prelu", "pow", "floor_div", "floor_mod", *EXTREMES)
WHOLE = ("add", "sub", "mul", "div", "squared_difference", "floor_div", "floor_mod", *EXTREMES)
"""Of int32 and int64."""


def elementwise(s: McuScheduler, kernel: kernels.Elementwise) -> None:
    """Arithmetic, comparisons, choices, conversions of types."""
    function, dtype = kernel.function, s.dtype(kernel.output)
    suffix = s.suffix(kernel.inputs[0].tensor)
    if function in COMPARISONS:
        _compared(s, kernel, suffix)
    elif function == "select":
        _walked(s, kernel, f"ek_select_{8 * s.item(kernel.output)}")
    elif function == "one_hot":
        _walked(s, kernel, f"ek_one_hot_{suffix}_{8 * s.item(kernel.output)}")
    elif function == "cast":
        _walked(s, kernel, f"ek_cast_{suffix}_{'bool' if dtype == 'bool' else s.suffix(kernel.output)}")
    elif function.startswith("logical_"):
        _walked(s, kernel, f"ek_{function}")
    elif dtype in ("int8", "int16"):
        _quantized(s, kernel)
    elif dtype == "float32":
        s.require(function in FLOATS, f"there is no kernel for {function} of float32")
        assert kernel.limits is not None
        limits = Struct("ek_limits_f32", {"low": float(kernel.limits[0]), "high": float(kernel.limits[1])})
        _walked(s, kernel, f"ek_{function}_f32", limits)
    else:
        s.require(function in WHOLE, f"there is no kernel for {dtype}")
        _walked(s, kernel, f"ek_{function}_{s.suffix(kernel.output)}")


def _walked(s: McuScheduler, kernel: kernels.Elementwise, function: str, data: Struct | None = None) -> None:
    """A step over the kernel's views."""
    shape, behind, rows = walked(s, (*kernel.inputs, kernel.result))
    s.step(function, kernel, s.operands(kernel.inputs), s.output(kernel.output), shape, data, 0, behind,
           kernel.function, rows)  # fmt: skip


def walked(s: McuScheduler, views: Sequence[View]) -> tuple[Struct, list[int | None], Rows | None]:
    """Loops over views, the last of which is written.

    :returns: the loops; how far the output must lie behind each operand; how a row of a feature map is computed.
    """
    shape, flat = s.walk(views)
    *given, made = views
    behind = [_behind(s, view, made) for view in given]
    rows = None
    if flat and len(given) <= 2 and len({s.item(view.tensor) for view in given}) == 1:
        place = next((n for n, view in enumerate(given) if s.network.tensors[view.tensor].data is None), 0)
        rows = element_rows(s.shape(made.tensor), len(views), place, (s.item(given[0].tensor), s.item(made.tensor)))
    return shape, behind, rows


def _behind(s: McuScheduler, source: View, made: View) -> int | None:
    """As far as a wider output runs ahead of a dense operand; None where an operand is not dense."""
    if not s.walk((source, made))[1]:
        return None
    return ahead(s, source.tensor, made.tensor)


def ahead(s: McuScheduler, source: int, made: int) -> int:
    """How many bytes an output of as many elements runs ahead of an input that is read in order."""
    return max(0, s.item(made) - s.item(source)) * s.elements(made)


def _compared(s: McuScheduler, kernel: kernels.Elementwise, suffix: str) -> None:
    """Comparisons; of int8 as TFLite's ``*WithScaling`` (reference/comparisons.h): both sides with 8 more bits."""
    if suffix != "s8":
        _walked(s, kernel, f"ek_{kernel.function}_{suffix}")
        return
    fields: dict[str, Value] = {}
    for name, view in zip("ab", kernel.inputs, strict=True):
        scale = s.network.scale(view.tensor)
        s.require(scale.scale < 1, "it compares numbers with a scale of 1 or more")
        side = parameters.comparison_parameters(scale)
        fields |= {f"{name}_zero": side.zero_point} | factor(side.factor, f"{name}_")
    _walked(s, kernel, f"ek_{kernel.function}_s8", Struct("ek_compare_data", fields))


def _quantized(s: McuScheduler, kernel: kernels.Elementwise) -> None:
    """Arithmetic on int8 and int16 as TFLite's reference kernels compute it."""
    function, suffix = kernel.function, s.suffix(kernel.output)
    if function in EXTREMES:
        _walked(s, kernel, f"ek_{function}_{suffix}")
        return
    assert kernel.limits is not None
    scales = [s.network.scale(view.tensor) for view in (*kernel.inputs, kernel.result)]
    if function in ("add", "sub"):
        shape, behind, rows = walked(s, (*kernel.inputs, kernel.result))
        added(s, kernel, function, s.operands(kernel.inputs), scales, kernel.limits, shape, behind, rows)
        return
    make = QUANTIZED.get((function, suffix))
    if make is None:
        raise NoKernel(f"there is no kernel for {s.dtype(kernel.output)}")
    _walked(s, kernel, f"ek_{function}_{suffix}", make(scales, kernel.limits))


def added(
    s: McuScheduler, kernel: kernels.Kernel, function: str, operands: Sequence[Operand], scales: Sequence[Scale],
    limits: Limits, shape: Struct, behind: Sequence[int | None], rows: Rows | None,
) -> None:  # fmt: skip
    """ADD and SUB: both sides with more bits, at twice the larger scale (reference/integer_ops/add.h)."""
    suffix = s.suffix(kernel.output)
    data = _sum(scales, limits, s.dtype(kernel.output))
    s.step(f"ek_{function}_{suffix}", kernel, operands, s.output(kernel.output), shape, data, 0, behind, function,
           rows)  # fmt: skip


def _sum(scales: Sequence[Scale], limits: Limits, dtype: str) -> Struct:
    a, b, out = scales
    return _two_sides(parameters.add_parameters(a, b, out, dtype), limits)


def _difference(scales: Sequence[Scale], limits: Limits) -> Struct:
    return _two_sides(parameters.squared_difference_parameters(*scales), limits)


def _two_sides(p: parameters.AddParameters, limits: Limits) -> Struct:
    zeros = _zeros(p.first.zero_point, p.second.zero_point, p.output.zero_point, limits)
    sides = factor(p.first.factor, "a_") | factor(p.second.factor, "b_") | factor(p.output.factor, "y_")
    return Struct("ek_add_data", zeros | sides)


def _zeros(a: int, b: int, y: int, limits: Limits) -> dict[str, Value]:
    return {"a_zero": a, "b_zero": b, "y_zero": y, "low": int(limits[0]), "high": int(limits[1])}


def _product(scales: Sequence[Scale], limits: Limits) -> Struct:
    p = parameters.mul_parameters(*scales)
    zeros = _zeros(p.first_zero, p.second_zero, p.output.zero_point, limits)
    return Struct("ek_mul_data", zeros | factor(p.output.factor))


def _prelu(scales: Sequence[Scale], limits: Limits) -> Struct:
    p = parameters.prelu_parameters(*scales)
    zeros = _zeros(p.zero, p.slope_zero, p.output_zero, limits)
    return Struct("ek_prelu_data", zeros | factor(p.same, "same_") | factor(p.sloped, "slope_"))


QUANTIZED: dict[tuple[str, str], Callable[[Sequence[Scale], Limits], Struct]] = {
    ("mul", "s8"): _product,
    ("mul", "s16"): _product,
    ("squared_difference", "s8"): _difference,
    ("prelu", "s8"): _prelu,
}
"""Parameters of quantized arithmetic by function and type."""
