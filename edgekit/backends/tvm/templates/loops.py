"""Loops that TVM's own ONNX frontend made (:mod:`edgekit.backends.tvm.onnx`), scheduled by a simple rule."""

from __future__ import annotations

from typing import Any

import tvm

from edgekit.backends.tvm.templates.common import Params


def made(params: Params) -> Any:
    """The function whose JSON is ``loops``."""
    return tvm.ir.load_json(params["loops"])
