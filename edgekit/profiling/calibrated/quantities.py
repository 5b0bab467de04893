"""The quantities whose costs are fitted: their names, and their costs before anything was measured (no imports)."""

from __future__ import annotations

ARITHMETIC: dict[str, float] = {
    "pointwise_mac": 0.24, "conv_mac": 0.24, "narrow_mac": 0.8, "winograd_mac": 0.24, "grouped_mac": 0.5,
    "depthwise_mac": 0.8, "strided_depthwise_mac": 0.8, "matmul_mac": 0.8,
}  # fmt: skip
"""Multiplications with addition, by kernel: name and nanoseconds on one core of Cortex-A72's class. ``narrow_mac``: of
convolutions over few channels, as a network's first; ``winograd_mac``: of those that Winograd's algorithm could make
fewer of, which some runtimes use."""
MEMORY: dict[str, float] = {
    "dense_weight": 0.7, "product_output": 2.0, "product_input": 1.2, "gathered": 0.8, "weight": 2.0,
    "depthwise_element": 1.2, "pooled": 0.8, "averaged": 2.0, "binary_element": 1.2, "activated": 2.0,
    "transcendental": 4.0, "error_function": 40.0, "moved": 1.2, "other_element": 2.0,
}  # fmt: skip
"""Elements read and written, by kind of operator; ``gathered``: of the input, once for every tap of a kernel."""
FIXED: dict[str, float] = {"operator": 1000.0, "kernel": 1500.0, "fork": 5000.0}
"""Of each operator, of each with weights, of each that is shared among threads."""
SERIAL: dict[str, float] = {"serial_arithmetic": 0.1, "serial_memory": 0.3}
"""Part of one thread's time that more threads do not shorten."""
ALONE = ("matmul_mac", "error_function")
"""What one thread does while the others wait: runtimes have no kernels for threads for it."""
PRIOR: dict[str, float] = {**ARITHMETIC, **MEMORY, **FIXED, **SERIAL}
NAMES = tuple(PRIOR)
RELATED: tuple[tuple[str, ...], ...] = (
    tuple(ARITHMETIC), ("pointwise_mac", "conv_mac", "winograd_mac", "grouped_mac", "matmul_mac"),
    ("conv_mac", "winograd_mac"), ("depthwise_mac", "strided_depthwise_mac"), tuple(MEMORY),
    ("transcendental", "error_function"), tuple(FIXED), tuple(SERIAL),
)  # fmt: skip
"""Costs that are high or low together: the same kernel, the same memory, the same dispatch of operators."""
