"""Tiles for GPUs: as large as loads want them, as small as it takes to give every multiplier a work-item."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.backends.tvm.program import Kernel, Program, Storage, View

WAVES = 2
"""Work-items wanted for each multiplier, so that some compute while others wait for memory."""
DEPTHWISE_PIXELS = (4, 2, 1)


def tiled(program: Program, multipliers: int) -> Program:
    """The program with convolutions cut so that ``WAVES * multipliers`` work-items run, where there are so many.

    A tile of channels is a block of the packed weights, so these are packed anew.
    """
    made = replace(program, storages=list(program.storages), kernels=[])
    for kernel in program.kernels:
        if kernel.template == "conv":
            kernel = _convolution(made, kernel, WAVES * multipliers)
        elif kernel.template == "depthwise":
            kernel = _depthwise(kernel, WAVES * multipliers)
        made.kernels.append(kernel)
    return made


def smaller(tile: tuple[int, int, int], shape: tuple[int, int, int], wanted: int) -> tuple[int, int, int]:
    """Pixels, channels and lanes of a tile of which ``shape`` (height, width, channels) holds ``wanted``, or nearly.

    Of the two sides the longer is cut, to its next smaller divisor; channels stay multiples of the lanes.
    """
    (pixels, channels, lanes), (height, width, count) = tile, shape
    while height * (width // pixels) * (count // channels) < wanted and (pixels > 1 or channels > lanes):
        if pixels > channels // lanes:
            pixels = max(n for n in range(1, pixels) if width % n == 0)
        else:
            channels = max(n for n in range(lanes, channels, lanes) if count % n == 0)
    return pixels, channels, lanes


def _convolution(program: Program, kernel: Kernel, wanted: int) -> Kernel:
    given = tuple(kernel.params["tile"])
    tile = smaller(given, tuple(kernel.params["shape"]), wanted)
    if tile == given:
        return kernel
    place = len(kernel.params["in"])  # weights follow the inputs
    data = program.storages[kernel.args[place].storage].data
    assert data is not None
    rows, columns, depth = data.shape[1:4]
    whole = np.moveaxis(data, 0, -2).reshape(rows, columns, depth, -1, tile[1])
    packed = np.ascontiguousarray(np.moveaxis(whole, -2, 0))
    number = program.add(Storage("constant", packed.nbytes, packed))
    args = list(kernel.args)
    args[place] = View(number, packed.shape, str(packed.dtype))
    return replace(kernel, params={**kernel.params, "tile": list(tile)}, args=tuple(args))


def _depthwise(kernel: Kernel, wanted: int) -> Kernel:
    height, width, count = kernel.params["shape"]
    pixels = next(n for n in DEPTHWISE_PIXELS if width % n == 0)
    lanes = next(n for n in (4, 2, 1) if count % n == 0)
    tile = smaller((pixels, lanes, lanes), (height, width, count), wanted)
    return replace(kernel, params={**kernel.params, "tile": list(tile)})
