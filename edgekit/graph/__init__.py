"""The Graph, its file form and its statistics.

``read`` and ``write`` convert to and from TFLite; ``statistics`` counts MACs, parameters and memory.
"""

from edgekit.graph.ir import Graph, Operator, Quantization, Signature, Subgraph, Tensor

__all__ = ["Graph", "Operator", "Quantization", "Signature", "Subgraph", "Tensor"]
