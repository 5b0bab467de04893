"""Networks of ONNX operators through TVM's ONNX frontend: the frontend's loops as kernels of our Program.

``child`` runs TVM's frontend on each node and returns loops and calls; ``expand`` says what stands for nodes that the
frontend lacks or computes wrongly; ``lowering`` puts the calls together. The library is emitted like any other: no
runtime of TVM.
"""
