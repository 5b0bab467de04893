"""What is folded before kernels become steps: padding that the convolution after it can do by itself."""

from __future__ import annotations

from dataclasses import replace

from edgekit.codegen.kernels import Conv2D, DepthwiseConv2D, Kernel, Network, Pad


def folded(network: Network) -> Network:
    """The same network without the padding of feature maps that one convolution alone reads.

    Both fill with what means 0, and windows lie where they lay. The padding stays if a window could lie outside of the
    feature map.
    """
    made = {kernel.output: kernel for kernel in network.kernels if isinstance(kernel, Pad)}
    kept, gone = list[Kernel](), set[int]()
    for kernel in network.kernels:
        pad = made.get(kernel.input) if isinstance(kernel, Conv2D | DepthwiseConv2D) else None
        if pad is not None and isinstance(kernel, Conv2D | DepthwiseConv2D) and _alone(network, pad):
            sides = _sides(network, pad, kernel)
            if sides is not None:
                kernel = replace(kernel, input=pad.input, padding=sides)
                gone.add(pad.output)
        kept.append(kernel)
    kernels = tuple(one for one in kept if not (isinstance(one, Pad) and one.output in gone))
    return replace(network, kernels=kernels)


def _alone(network: Network, pad: Pad) -> bool:
    changes = any(variable.tensor == pad.input for variable in network.variables)
    return len(network.readers.get(pad.output, ())) == 1 and pad.output not in network.outputs and not changes


def _sides(network: Network, pad: Pad, kernel: Conv2D | DepthwiseConv2D) -> tuple[int, int, int, int] | None:
    """Padding of both together; None if a window could lie in it as a whole."""
    x, y = network.tensors[pad.input].shape, network.tensors[pad.output].shape
    added = pad.top, pad.left, y[1] - x[1] - pad.top, y[2] - x[2] - pad.left
    top, left, bottom, right = (a + b for a, b in zip(added, kernel.padding, strict=True))
    window = kernel.weights.shape[:2] if isinstance(kernel, DepthwiseConv2D) else kernel.weights.shape[1:3]
    high, wide = ((k - 1) * d + 1 for k, d in zip(window, kernel.dilations, strict=True))
    return (top, left, bottom, right) if max(top, bottom) < high and max(left, right) < wide else None
