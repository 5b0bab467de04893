"""What hls4ml's child process is given: a program as JSON and arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.hls import Layer, Program, Value
from edgekit.codegen.schedule.hls.layers import Range, Rounding

Arrays = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Settings:
    """What the project is for.

    :param reuse: cycles in which a layer reuses its multipliers, by the number of its value.
    """

    part: str
    clock_ns: float
    reuse: dict[int, int]


def of_program(program: Program, settings: Settings) -> tuple[dict[str, Any], Arrays]:
    """The job's document, and its arrays by ``NUMBER.NAME``."""
    layers, arrays = list[dict[str, Any]](), Arrays()
    for layer in program.layers:
        number = layer.output.number
        plain, own = _divided(layer)
        arrays |= {f"{number}.{name}": values for name, values in own.items()}
        layers.append({"kind": type(layer).__name__, "reuse": settings.reuse.get(number, 1), **plain})
    document = {
        "part": settings.part, "clock_ns": settings.clock_ns, "layers": layers,
        "inputs": [_value(one) for one in program.inputs], "outputs": [one.number for one in program.outputs],
    }  # fmt: skip
    return document, arrays


def _divided(layer: Layer) -> tuple[dict[str, Any], Arrays]:
    """A layer's plain values and its arrays, a rounding's among them."""
    plain, arrays = dict[str, Any](), Arrays()
    found = {field.name: getattr(layer, field.name) for field in fields(layer)}
    rounding = found.pop("rounding", None)
    if isinstance(rounding, Rounding):
        names = ("gain", "other")[: len(rounding.gains)]
        arrays |= dict(zip(names, rounding.gains, strict=True))
        arrays |= {name: getattr(rounding, name) for name in ("offset", "below", "border")}
        plain |= {"shift": rounding.shift, "total": _bits(rounding.total), "split": rounding.split}
        plain |= {"low": rounding.range.low, "high": rounding.range.high}
    for name, value in found.items():
        if isinstance(value, Value):
            plain[name] = _value(value)
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            plain[name] = list(value) if isinstance(value, tuple) else value
    return plain, arrays


def _value(value: Value) -> dict[str, Any]:
    return {"number": value.number, "shape": list(value.shape), "low": value.range.low, "type": _bits(value.range)}


def _bits(numbers: Range) -> str:
    return f"{'' if numbers.signed else 'u'}int<{numbers.bits}>"
