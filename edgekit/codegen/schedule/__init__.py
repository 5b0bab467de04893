"""Schedules: how the kernels of a network run on a class of machines.

:mod:`.cpu` and :mod:`.gpu` place tensors in buffers, choose tiles, and pack weights; what both do alike is in
:mod:`.elements`, :mod:`.strided` and :mod:`.windows`. The result is a :class:`~edgekit.codegen.program.Program`.
"""
