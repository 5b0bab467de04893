"""Rules about an operator's options (:mod:`edgekit.delegates.rules`)."""

from __future__ import annotations

from edgekit.delegates.node import Node

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


def activation(node: Node, arguments: list[str]) -> str | None:
    """The fused activation is one of the arguments."""
    name = ACTIVATIONS[int(node.option("fusedActivationFunction"))]
    return None if name in arguments else f"it has the activation {name} fused into it"


def same_dilation(node: Node, arguments: list[str]) -> str | None:
    """The dilation is the same in height and width."""
    height, width = int(node.option("dilationHFactor", 1)), int(node.option("dilationWFactor", 1))
    return None if height == width else f"its dilation is {height} in height and {width} in width"


def beta_one(node: Node, arguments: list[str]) -> str | None:
    """The softmax's beta is 1."""
    beta = float(node.option("beta", 1.0))
    return None if beta == 1 else f"its beta is {beta:g}, not 1"


def plain_slice(node: Node, arguments: list[str]) -> str | None:
    """No masks that change the rank; ``strides``: all are 1."""
    for name, words in (("ellipsisMask", "an ellipsis"), ("newAxisMask", "a new axis"), ("shrinkAxisMask", "an index")):
        if name[:-4].lower() in arguments and int(node.option(name)):
            return f"it slices with {words}"
    if "strides" in arguments:
        tensor = node.input(3)
        if tensor is None or tensor.data is None or (tensor.array() != 1).any():
            return "not all of its strides are 1"
    return None


def block(node: Node, arguments: list[str]) -> str | None:
    """The block size is more than 1."""
    size = int(node.option("blockSize"))
    return None if size > 1 else f"its block size is {size}, not more than 1"


def pooling(node: Node, arguments: list[str]) -> str | None:
    """1 x 1 pooling with a stride is no pooling."""
    kernel = (int(node.option("filterHeight")), int(node.option("filterWidth")))
    stride = (int(node.option("strideH")), int(node.option("strideW")))
    return f"it is a 1x1 pooling with stride {stride[0]}" if kernel == (1, 1) and stride != (1, 1) else None


def default_weights(node: Node, arguments: list[str]) -> str | None:
    """The weights are not shuffled."""
    return "its weights are shuffled" if int(node.option("weightsFormat")) else None


def resize_corners(node: Node, arguments: list[str]) -> str | None:
    """The resize does not have both ``align_corners`` and ``half_pixel_centers``."""
    both = bool(node.option("alignCorners", False)) and bool(node.option("halfPixelCenters", False))
    return "it has both align_corners and half_pixel_centers" if both else None


def reflect(node: Node, arguments: list[str]) -> str | None:
    """The padding mirrors by reflection, without the edge itself."""
    return "it mirrors symmetrically, not by reflection" if int(node.option("mode")) else None


def axis_not_batch(node: Node, arguments: list[str]) -> str | None:
    """PACK, SPLIT: the option or input that names the axis does not name the batch of a 4-dimensional tensor."""
    tensor = node.input(0) if node.operator.op == "SPLIT" else None
    value = int(tensor.array().reshape(-1)[0]) if tensor is not None else int(node.option("axis"))
    shape = node.outputs[0].shape
    batch = len(shape) == 4 and value in (0, -4)
    return "it works along the batch dimension" if batch else None


def window(node: Node, arguments: list[str]) -> str | None:
    """No window of a pool or convolution (weights ``[o, h, w, i]``) is larger than so many rows or columns."""
    tensor = node.input(1)
    size = tensor.shape[1:3] if tensor is not None else (node.option("filterHeight"), node.option("filterWidth"))
    return f"its window is {size[0]}x{size[1]}, more than {arguments[0]}" if max(size) > int(arguments[0]) else None
