"""From an operator's work to the amounts of each quantity, and what they cost before anything was measured.

    t = sum over features of cost * amount

Costs are non-negative. Work that threads share is divided by their number; the ``serial`` features hold what is left
of arithmetic and of memory traffic when there are more threads, and ``fork`` the hand-over of an operator to them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.profiling.calibrated.quantities import ALONE, ARITHMETIC, FIXED, MEMORY, NAMES, PRIOR, SERIAL
from edgekit.profiling.calibrated.work import Kind, Work

Array = NDArray[np.float64]
LANES, ROWS = 8, 4
"""A kernel computes that many channels and rows at once; remainders cost as much."""
NARROW, WINOGRAD = 8, 16
"""Channels below which a convolution's vectors are half empty, and from which Winograd's algorithm pays."""

INTEGER: dict[str, float] = {
    **dict.fromkeys(ARITHMETIC, 0.35), **dict.fromkeys(MEMORY, 0.5), "depthwise_mac": 0.5,
    "strided_depthwise_mac": 0.5, "narrow_mac": 0.2, "matmul_mac": 1.0, "dense_weight": 0.25, "weight": 0.25,
    "product_output": 2.0, "binary_element": 1.0, "error_function": 0.04, "moved": 0.25,
}  # fmt: skip
"""Cost of 8-bit arithmetic and elements before anything is known, as a part of float32's: a quarter of the bytes, but
sums are requantized, and a function of one element is a table."""
DOT_PRODUCTS = ("pointwise_mac", "conv_mac", "narrow_mac", "winograd_mac", "grouped_mac")
"""Arithmetic that instructions for dot products of bytes make twice as fast."""
MACHINES: dict[str, dict[str, float]] = {
    "cpu": {},
    "gpu": {"arithmetic": 2e-3, "memory": 0.03, "gathered": 0.1, "transcendental": 0.3,
            "error_function": 0.03, "matmul_mac": 0.5, "winograd_mac": 0.5, "serial": 1e-3},
    "mcu": {"arithmetic": 90.0, "memory": 35.0, "dense_weight": 1.1, "gathered": 0.1, "weight": 0.1, "fixed": 4.0},
}  # fmt: skip
"""How machines of other classes differ, as factors of groups of costs or of single ones: a GPU pays for launches, a
microcontroller for every load. What its kernels cost relative to each other is what edgekit's own take in the emulator
(targets/costs/firmware-estimate.toml, ``dsp``): per multiplication 1.3 times a convolution's instructions in a dense
layer, which uses each weight once, and four times in a depthwise convolution."""
_SHARED = {name for name in (*ARITHMETIC, *MEMORY) if name not in ALONE}


def prior(*, integer: bool, machine: str = "cpu") -> Array:
    """Logarithms of the costs, ms per unit, before anything was measured."""
    known = MACHINES[machine]
    integer = integer and machine == "cpu"
    groups = {"arithmetic": ARITHMETIC, "memory": MEMORY, "fixed": FIXED, "serial": SERIAL}
    group = {name: key for key, table in groups.items() for name in table}
    scale = [
        (INTEGER.get(name, 1.0) if integer else 1.0) * known.get(group[name], 1.0) * known.get(name, 1.0)
        for name in NAMES
    ]
    serial = [1e6 if name in SERIAL else 1.0 for name in NAMES]  # these amounts are in ms already
    return np.log(np.array(list(PRIOR.values())) * scale * serial * 1e-6)


def dot_products() -> Array:
    """What a processor with dot products of bytes adds to the logarithms of the costs of 8-bit arithmetic."""
    return np.array([np.log(0.5) if name in DOT_PRODUCTS else 0.0 for name in NAMES])


def amounts(work: Work) -> dict[str, float]:
    """What one execution of an operator on one thread amounts to, by feature."""
    kind = work.kind
    if kind is Kind.FREE:
        return {}
    found: dict[str, float] = {"operator": 1.0}
    if kind in (Kind.POINTWISE, Kind.CONV, Kind.DENSE) and not (kind is Kind.DENSE and work.rows <= 1):
        lanes = _padded(work.channels, LANES) * _padded(work.rows, ROWS)
        found |= {"kernel": 1.0, "product_output": work.outputs, "product_input": work.inputs, "weight": work.weights}
        found[_products(work)] = work.macs * lanes
        if kind is Kind.CONV:
            found["gathered"] = work.rows * work.depth
    elif kind is Kind.DENSE:
        found |= {"kernel": 1.0, "dense_weight": work.weights}
    elif kind is Kind.DEPTHWISE:
        name = "depthwise_mac" if work.stride == 1 else "strided_depthwise_mac"
        found |= {
            "kernel": 1.0,
            name: work.macs,
            "depthwise_element": work.inputs + work.outputs,
            "weight": work.weights,
        }
    elif kind is Kind.MATMUL:
        found |= {"kernel": 1.0, "matmul_mac": work.macs}
    elif kind is Kind.POOL:
        found["pooled"] = work.outputs * work.taps
    elif kind is Kind.MEAN:
        found["averaged"] = work.inputs
    elif kind is Kind.BINARY:
        found["binary_element"] = work.inputs + work.outputs
    elif kind is Kind.ACTIVATION:
        found["activated"] = work.inputs
    elif kind is Kind.TRANSCENDENTAL:
        found["transcendental"] = work.inputs
    elif kind is Kind.ERROR_FUNCTION:
        found["error_function"] = work.inputs
    elif kind is Kind.MOVE:
        found["moved"] = work.outputs
    else:
        found["other_element"] = work.inputs + work.outputs
    return found


def _products(work: Work) -> str:
    """Which kernel computes a product of matrices or a convolution."""
    if work.kind is not Kind.CONV:
        return "pointwise_mac"
    inputs = work.depth // max(1, work.taps)
    if work.groups > 1:
        return "grouped_mac"
    if inputs < NARROW:
        return "narrow_mac"
    wide = min(inputs, work.channels) >= WINOGRAD
    return "winograd_mac" if wide and work.taps == 9 and work.stride == 1 else "conv_mac"


def _padded(count: int, by: int) -> float:
    return -(-count // by) * by / count if count else 1.0


def features(works: Sequence[Work], *, integer: bool) -> Array:
    """Amounts ``[operators, features]`` on one thread."""
    place = {name: i for i, name in enumerate(NAMES)}
    cost = np.exp(prior(integer=integer))
    table = np.zeros((len(works), len(NAMES)))
    for row, work in zip(table, works, strict=True):
        for name, amount in amounts(work).items():
            row[place[name]] = amount
    for name, group in (("serial_arithmetic", ARITHMETIC), ("serial_memory", MEMORY)):
        columns = [place[key] for key in group if key in _SHARED]
        table[:, place[name]] = table[:, columns] @ cost[columns]
    return table


def on_threads(table: Array, threads: int, *, scaling: bool = True) -> Array:
    """The amounts when so many threads share the work.

    :param scaling: False where costs were fitted to one number of threads only: what does not scale is in the others.
    """
    made: Array = table * np.array([_scale(name, threads, scaling) for name in NAMES])
    made[:, NAMES.index("fork")] = table[:, NAMES.index("kernel")] * (scaling and threads > 1)
    return made


def _scale(name: str, threads: int, scaling: bool) -> float:
    if name in _SHARED:
        return 1.0 / threads
    return (1 - 1 / threads) * scaling if name in SERIAL else 1.0


def usual_speedup(threads: int) -> Array:
    """By how much more threads shorten each kind of work where nothing was measured, ``[features]``."""
    held = {**dict.fromkeys(ARITHMETIC, SERIAL["serial_arithmetic"]), **dict.fromkeys(MEMORY, SERIAL["serial_memory"]),
            **dict.fromkeys(ALONE, 1.0)}  # fmt: skip
    return np.array([1 / (1 / threads + held[name] * (1 - 1 / threads)) if name in held else 1.0 for name in NAMES])
