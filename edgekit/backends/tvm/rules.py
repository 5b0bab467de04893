"""Which rule lowers each operator, on which types, and what says that it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgekit.backends.tvm import convolutions, elements, indices, logic, padding, reductions, strided, windows
from edgekit.backends.tvm.prepare import REPEAT, STUFF
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

_REARRANGED = (
    "TRANSPOSE", "SLICE", "STRIDED_SLICE", "BROADCAST_TO", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "TILE", "REVERSE_V2",
)  # fmt: skip
_REDUCED = ("SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
_BATCHES = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
_GATHERS = ("GATHER", "GATHER_ND", "EMBEDDING_LOOKUP")
Rule = Callable[["Lowering", int, Operator], None]
LOWER: dict[str, Rule] = {
    **dict.fromkeys(("CONV_2D", "FULLY_CONNECTED"), convolutions.convolution),
    "DEPTHWISE_CONV_2D": convolutions.depthwise,
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), windows.pool),
    "MEAN": windows.mean,
    "SOFTMAX": windows.softmax,
    **dict.fromkeys(elements.BINARIES, elements.binary),
    **dict.fromkeys(elements.REAL, elements.mapped),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), elements.reshape),
    "PAD": elements.padded,
    "PADV2": padding.filled,
    "MIRROR_PAD": padding.mirrored,
    **dict.fromkeys(_BATCHES, padding.batches),
    "GATHER": indices.gathered,
    "EMBEDDING_LOOKUP": indices.looked_up,
    "GATHER_ND": indices.gathered_nd,
    "ONE_HOT": indices.one_hot,
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), indices.largest),
    "CUMSUM": indices.running,
    **dict.fromkeys((*logic.COMPARISONS, *logic.LOGICAL, *logic.SELECTS, "CAST"), logic.typed),
    STUFF: strided.stuffed,
    REPEAT: strided.repeated,
    **dict.fromkeys(_REDUCED, reductions.reduced),
    "CONCATENATION": strided.concatenation,
    **dict.fromkeys(("SPLIT", "SPLIT_V"), strided.split),
    "PACK": strided.pack,
    "UNPACK": strided.unpack,
    **dict.fromkeys(_REARRANGED, strided.rearranged),
    "BATCH_MATMUL": reductions.matmul,
    "RESIZE_BILINEAR": windows.bilinear,
    "RESIZE_NEAREST_NEIGHBOR": windows.nearest,
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), elements.convert),
}
"""Every operator that can be compiled."""
OBSTACLES: dict[str, Callable[[Graph, Operator], str]] = {
    **dict.fromkeys(("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"), convolutions.weights_obstacle),
    **dict.fromkeys(("MEAN", *_REDUCED), reductions.reduced_obstacle),
    **dict.fromkeys(
        ("SPLIT", "SPLIT_V", *_REARRANGED, "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), strided.constants_obstacle
    ),
    **dict.fromkeys(("CONCATENATION", "PACK", "UNPACK"), strided.joined_obstacle),
    **dict.fromkeys(("PAD", "PADV2"), padding.padding_obstacle),
    "MIRROR_PAD": padding.mirrored_obstacle,
    **dict.fromkeys(_BATCHES, padding.batches_obstacle),
    **dict.fromkeys(_GATHERS, indices.gathered_obstacle),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "CUMSUM", "ONE_HOT"), indices.axis_obstacle),
    **dict.fromkeys((*logic.COMPARISONS, *logic.LOGICAL, *logic.SELECTS, "CAST"), logic.typed_obstacle),
    **dict.fromkeys(elements.BINARIES, strided.broadcast_obstacle),
}
_WHOLE = frozenset(("int32", "int64"))
_PLAIN = _WHOLE | {"bool", "uint8"}
_BOTH = frozenset(("float32", "int8"))
_ONE_TYPE = frozenset(("float32",))
TYPES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PAD", "PADV2", "MIRROR_PAD", "CONCATENATION", "SPLIT", "SPLIT_V",
            "PACK", "UNPACK", *_REARRANGED, *_BATCHES, *_GATHERS, *logic.COMPARISONS, *logic.SELECTS, "CAST",
            "ONE_HOT", "ARG_MAX", "ARG_MIN",
        ),
        _BOTH | _PLAIN,
    ),
    **dict.fromkeys((*elements.WHOLE, "SUM", "REDUCE_MAX", "REDUCE_MIN", "ABS", "NEG"), _BOTH | _WHOLE),
    **dict.fromkeys(("CUMSUM", "REDUCE_PROD"), _ONE_TYPE | _WHOLE),
    **dict.fromkeys((*logic.LOGICAL, "REDUCE_ANY", "REDUCE_ALL"), frozenset(("bool",))),
    "POW": _ONE_TYPE,
    "FLOOR_DIV": _ONE_TYPE | _WHOLE,
    "FLOOR_MOD": _ONE_TYPE | _WHOLE,
}  # fmt: skip
"""Of activations; float32 and int8 where nothing else is said."""
MIXED = frozenset(
    ("QUANTIZE", "DEQUANTIZE", "CAST", "ONE_HOT", "ARG_MAX", "ARG_MIN", *_GATHERS, *logic.COMPARISONS, *logic.SELECTS)
)
"""What may have activations of more than one type."""
PICTURES = frozenset(
    (
        "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
        STUFF, REPEAT,
    )
)  # fmt: skip
"""What takes one picture at a time."""
