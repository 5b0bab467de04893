"""Networks kept in ONNX's own operators: a Graph of ``ONNX_`` operators, made, evaluated, taken to TVM.

The modules here that import ``onnx`` run in sandbox children only: ``static`` settles shapes and constants, ``node``
packs one node into an operator's options, ``evaluate`` computes with ONNX's reference implementation. ``convert`` is
the parent's side of the reader.
"""
