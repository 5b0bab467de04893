"""The target-neutral middle end: Graph -> typed kernels -> loops for a class of machines.

:func:`edgekit.codegen.lower.lower` decides *what* is computed: a :class:`~edgekit.codegen.kernels.Network` of frozen
dataclasses with unpacked weights, in TFLite's integer arithmetic. A schedule (:mod:`edgekit.codegen.schedule`) decides
*how* on a class of machines: layouts, register tiles, packed weights. Nothing here imports TVM or calls a compiler.
"""
