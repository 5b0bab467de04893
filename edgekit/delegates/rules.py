"""The rules that a delegate's table may name. Each returns why it does not hold, or None.

A rule gets the operator with its tensors (:class:`Node`) and its arguments, the words after its name. Files are
hostile: an operator whose options or inputs are not what its kind has breaks a rule, and never edgekit.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.delegates import options, tensors, windows
from edgekit.delegates.node import Node

Rule = Callable[[Node, list[str]], str | None]


def refusal(node: Node, rules: tuple[str, ...]) -> str:
    """Return the message of the first rule that does not hold; empty if all do.

    :raises KeyError: if there is no such rule: a mistake in a table, which tests find.
    """
    for text in rules:
        name, *arguments = text.split()
        rule = RULES[name]
        try:
            if reason := rule(node, arguments):
                return reason
        except (IndexError, AttributeError, TypeError, ValueError, OverflowError):
            return "its inputs or options are damaged"
    return ""


RULES: dict[str, Rule] = {
    "activation": options.activation,
    "axis_not_batch": options.axis_not_batch,
    "beta_one": options.beta_one,
    "bias": tensors.bias,
    "block": options.block,
    "channel_slope": tensors.channel_slope,
    "constant_shapes": tensors.constant_shapes,
    "default_weights": options.default_weights,
    "depth_multiple": tensors.depth_multiple,
    "depthwise_gpu": tensors.depthwise_gpu,
    "dtypes": tensors.dtypes,
    "inner_three": tensors.inner_three,
    "input_dtype": tensors.input_dtype,
    "inputs": tensors.inputs,
    "max_elements": tensors.max_elements,
    "not_batch": tensors.not_batch,
    "not_per_channel": tensors.not_per_channel,
    "one_covers": tensors.one_covers,
    "outputs": tensors.outputs,
    "pad_not_batch": tensors.pad_not_batch,
    "pad_positive": tensors.pad_positive,
    "pad_shape": tensors.pad_shape,
    "plain_slice": options.plain_slice,
    "pooling": options.pooling,
    "rank": tensors.rank,
    "reflect": options.reflect,
    "resize_corners": options.resize_corners,
    "runtime": tensors.runtime,
    "same_dilation": options.same_dilation,
    "static": tensors.static,
    "vector": tensors.vector,
    "weights": tensors.weights,
    "zero_padding": tensors.zero_padding,
    "half": tensors.half,
    "most_dimensions": tensors.most_dimensions,
    "most_size": tensors.most_size,
    "window": options.window,
    "most_stride": windows.most_stride,
    "pooled": windows.pooled,
    "same_scales": windows.same_scales,
    "scaled": windows.scaled,
    "small_zero": windows.small_zero,
    "batch_one": windows.batch_one,
    "last_axis": windows.last_axis,
    "upscale": windows.upscale,
}
