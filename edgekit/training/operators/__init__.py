"""Each operator in differentiable TensorFlow: one function per operator, found by a table.

Importing this needs no TensorFlow: each function gets it with its :class:`~edgekit.training.operators.call.Call`.
"""

from edgekit.training.operators.call import FUSED, Call, Kind
from edgekit.training.operators.elementwise import ELEMENTWISE
from edgekit.training.operators.layers import LAYERS
from edgekit.training.operators.pictures import PICTURES
from edgekit.training.operators.recurrent import RECURRENT
from edgekit.training.operators.shapes import SHAPES

__all__ = ["FUSED", "OPERATORS", "Call", "Kind"]

OPERATORS: dict[str, Kind] = {**LAYERS, **ELEMENTWISE, **SHAPES, **PICTURES, **RECURRENT}
"""Every operator that can be trained through."""
