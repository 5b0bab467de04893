"""Runs in the sandboxed child process: LiteRT resizes a network's inputs and infers all shapes that follow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.reference.litert import brief

Arrays = Mapping[str, NDArray[Any]]


def infer(args: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the shape of each tensor of the main subgraph, by its index, and the values of those ``wanted``.

    Values that take more than ``bytes`` are left out. The network runs once on zeros, because shapes that operators
    compute are known only then.
    """
    from ai_edge_litert import interpreter as litert

    try:
        interpreter = litert.Interpreter(
            model_content=arrays["model"].tobytes(), num_threads=1, experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )  # fmt: skip
        for index, shape in zip(args["inputs"], args["shapes"], strict=True):
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{args['shown']} does not work with these shapes: LiteRT says: {_line(error)}",
            "other sizes may work; or the model contains a fixed size that only its source can change",
        ) from error
    details = {int(d["index"]): d for d in interpreter.get_tensor_details()}
    values = {}
    for index in args["wanted"]:
        detail = details[index]
        if detail["dtype"] is not bytes and math.prod(detail["shape"]) * detail["dtype"]().itemsize <= args["bytes"]:
            values[str(index)] = interpreter.get_tensor(index)
    return {"shapes": {index: [int(size) for size in d["shape"]] for index, d in details.items()}}, values


def _line(error: Exception) -> str:
    """LiteRT's message without the names of its source files."""
    return re.sub(r"\S+\.(?:cc|h)(?::\d+)?:? +", "", brief(error)).replace("Node number", ": operator")
