"""Search a Keras model's configuration for code, without Keras.

A Keras configuration is JSON: nested objects with ``class_name``, ``config`` and, since Keras 3, ``module``
and ``registered_name``. A Lambda layer carries Python bytecode in it, and a custom object names Python code
that has to be imported: neither is run unless the user trusts the model.
"""

from __future__ import annotations

import re
from typing import Any

from edgekit.errors import ModelError
from edgekit.files import documents

MAX_CONFIG_BYTES = 16 << 20
MAX_DEPTH = 200
_NOT_LOADED = ("compile_config", "training_config")
"""Parts of the outermost object that loading leaves out (``compile=False``); custom losses may stand there."""

_CALLS = {"TFOpLambda": "function", "SlicingOpLambda": "function", "ClassMethod": "cls_symbol"}
"""Layers of Keras 2 that call a function of TensorFlow by its name, and where the name stands."""
_CALLED = re.compile(
    r"(compat\.v[12]\.)?((math|nn|image|linalg|signal|bitwise|dtypes|strings|sparse|ragged|random|sets|quantization"
    r"|__operators__|experimental\.numpy|keras\.(activations|backend|ops))\.\w+(\.\w+)*"
    r"|(?!load_|py_func|numpy_func|print)\w+)"
)
"""Functions that compute, and reach neither files nor Python."""

_MODULES = ("keras", "tf_keras", "builtins")


def parse(text: bytes | str, where: str) -> Any:
    """Parse a configuration.

    :raises ModelError: if it is not JSON, nested too deeply, or too large.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise ModelError(f"{where}: the configuration has {len(text)} bytes; the limit is {MAX_CONFIG_BYTES}")
    try:
        return documents.loads(text)
    except ValueError as error:
        raise ModelError(f"{where}: the configuration is not valid JSON: {error}") from None


def check(config: Any, where: str, trust: bool) -> None:
    """Refuse a configuration that carries or names code.

    :param trust: let Lambda layers pass; custom classes never do, because their code is not in the file.
    :raises ModelError: naming the layer.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), (dict, list)):
        raise ModelError(f"{where} does not hold a Keras model's configuration")
    loaded = {key: value for key, value in config.items() if key not in _NOT_LOADED}
    pending: list[tuple[Any, int, str]] = [(loaded, 0, "")]
    while pending:
        node, depth, layer = pending.pop()
        if depth > MAX_DEPTH:
            raise ModelError(f"{where}: the configuration is nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, list):
            pending += [(item, depth + 1, layer) for item in node if isinstance(item, (dict, list))]
        elif isinstance(node, dict):
            layer = _layer_name(node) or layer
            _check_object(node, where, layer, trust)
            pending += [(item, depth + 1, layer) for item in node.values() if isinstance(item, (dict, list))]


def _layer_name(node: dict[str, Any]) -> str:
    inner = node.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _check_object(node: dict[str, Any], where: str, layer: str, trust: bool) -> None:
    kind = node.get("class_name")
    if not isinstance(kind, str):
        return
    if kind in ("Lambda", "__lambda__") or kind.rpartition(">")[2] == "Lambda":
        if not trust:
            raise ModelError(
                f"{where}: layer {layer!r} is a Lambda, which is Python code inside the model",
                "pass --trust-model if you trust whoever made it, or replace the Lambda by a layer",
            )
        return
    _check_function(node, where, layer, kind, trust)
    module, registered = node.get("module"), node.get("registered_name")
    foreign = isinstance(module, str) and module.split(".")[0] not in _MODULES
    unknown = isinstance(registered, str) and (">" in registered or module is None)
    if foreign or unknown or ">" in kind:
        who = f"layer {layer!r}" if layer else "the model"
        raise ModelError(
            f"{where}: {who} is of the custom class {registered or kind!r}, whose code is not in the file",
            "export the model with its computation instead: model.export(folder) writes a SavedModel",
        )


def _check_function(node: dict[str, Any], where: str, layer: str, kind: str, trust: bool) -> None:
    """Refuse a layer that calls what could touch files or run Python."""
    config = node.get("config")
    if trust or kind not in _CALLS or not isinstance(config, dict):
        return
    called = config.get(_CALLS[kind])
    if not isinstance(called, str) or not _CALLED.fullmatch(called):
        raise ModelError(
            f"{where}: layer {layer!r} calls tf.{str(called)[:80]}, which may do more than compute",
            "pass --trust-model if you trust whoever made it",
        )
