"""Inspect a SavedModel without TensorFlow: its signatures, and operators that must not run.

Source of the field numbers: TensorFlow's ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``,
``function.proto``.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.errors import ModelError
from edgekit.readers import files
from edgekit.readers.protobuf import Wire
from edgekit.readers.tensorflow_operators import COMPUTING

MAX_FILES = 10_000

_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Operators that run Python which is not in the file: they could never work on a device."""

_RESTORE = "RestoreV2"
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_HANDLES = frozenset({"Placeholder", "VarHandleOp"})
_STRING = 7
"""``DT_STRING`` in ``types.proto``."""
_UNNAMED = re.compile(r"_?[A-Z][A-Za-z0-9>.]*")
"""Names as TensorFlow's own operators have them; functions that are called by their names have others."""


def check(folder: Path, trust: bool = False) -> str:
    """Check a SavedModel; return its signature, ``serving_default`` where there is one, else the only one.

    Operators are checked in all functions, called or not, because loading itself runs some of them.

    :param trust: let all operators pass.
    :raises ModelError: if it is damaged, has links that lead out of it, has no signature or several without
        a default, or if it would run Python, touch files or do anything but compute.
    """
    _check_folder(folder)
    path = folder / "saved_model.pb"
    files.check_file(path)
    wire, data = Wire(str(path)), memoryview(path.read_bytes())
    graphs = list(wire.messages(data, 2))
    if not graphs:
        raise ModelError(f"{path} holds no graph")
    signatures: set[str] = set()
    for meta in graphs:
        signatures |= {wire.text(entry, 1) for entry in wire.messages(meta, 5)}
        if not trust:
            _check_assets(folder, wire, meta)
            bodies = _bodies(wire, meta)
            _check_operators(folder, wire, bodies)
            _check_restoring(folder, wire, meta, bodies)
    names = sorted(name for name in signatures if not name.startswith("__saved_model"))
    if "serving_default" in names:
        return "serving_default"
    if len(names) == 1:
        return names[0]
    if not names:
        raise ModelError(f"{folder} has no signature to call", "save it with model.export(folder), or pass signatures=")
    raise ModelError(
        f"{folder} has no signature 'serving_default' but several others: {', '.join(names)}",
        "save it with the one you want as signatures={'serving_default': ...}",
    )


def _check_folder(folder: Path) -> None:
    """Refuse links that lead out of the folder, and folders without end."""
    root = folder.resolve()
    for count, path in enumerate(folder.rglob("*")):
        if count >= MAX_FILES:
            raise ModelError(f"{folder} has more than {MAX_FILES} files")
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ModelError(f"{folder} has a link that leads out of it: {path.relative_to(folder)}")
        if not path.is_symlink() and not path.is_dir() and not path.is_file():
            raise ModelError(f"{folder} contains something that is not a file: {path.relative_to(folder)}")


Bodies = dict[str, list[memoryview]]
"""The nodes of each function by its name, those of the graph itself under ``""``."""


def _check_assets(folder: Path, wire: Wire, meta: memoryview) -> None:
    """Refuse assets whose names lead out of their folder: loading hands the graph their paths."""
    for asset in wire.messages(meta, 6):
        name = wire.text(asset, 2)
        if name.startswith("/") or ".." in name.split("/"):
            raise ModelError(f"{folder} has an asset whose name leads out of it: {_shown(name)}")


def _bodies(wire: Wire, meta: memoryview) -> Bodies:
    bodies: Bodies = {"": []}
    for graph in wire.messages(meta, 2):
        bodies[""] += wire.messages(graph, 1)
        for library in wire.messages(graph, 2):
            for function in wire.messages(library, 1):
                names = [name for signature in wire.messages(function, 1) if (name := wire.text(signature, 1))]
                if not names or names[-1] in bodies:
                    raise wire.damaged()
                bodies[names[-1]] = list(wire.messages(function, 3))
    return bodies


def _check_operators(folder: Path, wire: Wire, bodies: Bodies) -> None:
    """Refuse operators that do not compute, in the graph and in its library of functions."""
    for name, nodes in bodies.items():
        where = f" (in function {_shown(name)})" if name else ""
        for operator in sorted({wire.text(node, 2) for node in nodes} - COMPUTING):
            if operator in bodies and operator and not _UNNAMED.fullmatch(operator):
                continue
            if operator in _PYTHON:
                raise ModelError(
                    f"{folder} calls back into Python with {operator}{where}, so it cannot run on a device",
                    "replace tf.py_function and tf.numpy_function by TensorFlow operators",
                )
            raise ModelError(
                f"{folder} has the operator {_shown(operator)}{where}, which is not among those known only to compute",
                "pass --trust-model if you trust whoever made it",
            )


def _check_restoring(folder: Path, wire: Wire, meta: memoryview, bodies: Bodies) -> None:
    """Refuse graphs that restore from any checkpoint but the model's own.

    TensorFlow feeds the path of the model's variables to the graph through a placeholder, and the graph hands it to
    ``RestoreV2``, mostly as the argument of a function. So the path may come from a placeholder or an argument and
    from nothing else, and functions that restore are called where the same holds.
    """
    restoring: dict[str, bytes] = {}
    index: dict[str, dict[str, memoryview]] = {}
    found = True
    while found:
        found = False
        for name, nodes in bodies.items():
            for node in nodes:
                operator, held = wire.text(node, 2), bytes(node) if restoring else b""
                calls = any(called in held for called in restoring.values())
                if operator != _RESTORE and not calls:
                    continue
                if name not in restoring and name:
                    restoring[name], found = name.encode(), True
                sources = [bytes(value).decode(errors="replace") for value in wire.messages(node, 3)]
                ends = sources[:1] if operator == _RESTORE else sources
                called_plainly = operator == _RESTORE or operator in _CALLS or operator in restoring
                if name not in index:
                    index[name] = {wire.text(other, 1): other for other in nodes}
                if not called_plainly or not all(_harmless(wire, index[name], end, bool(name)) for end in ends):
                    raise ModelError(
                        f"{folder} restores values from a checkpoint other than its own, with {_RESTORE}",
                        "pass --trust-model if you trust whoever made it",
                    )
    for objects in wire.messages(meta, 7):
        for entry in wire.messages(objects, 2):
            if wire.text(entry, 1) in restoring:
                raise ModelError(
                    f"{folder} restores values in a function that can be called, with {_RESTORE}",
                    "pass --trust-model if you trust whoever made it",
                )


def _harmless(wire: Wire, nodes: dict[str, memoryview], source: str, function: bool) -> bool:
    """Whether a value is an argument, a placeholder or a variable's handle, or a constant that is not another path."""
    for _ in range(8):  # of them, TensorFlow 1 writes two
        if source.startswith("^"):
            return True
        node = nodes.get(source.split(":")[0])
        if node is None:
            return function  # one of its arguments
        operator = wire.text(node, 2)
        if operator in _HANDLES:
            return True
        if operator == "Const":
            return _harmless_constant(wire, node)
        if operator not in ("Identity", "PlaceholderWithDefault"):
            return False
        source = next((bytes(value).decode(errors="replace") for value in wire.messages(node, 3)), "")
    return False


def _harmless_constant(wire: Wire, node: memoryview) -> bool:
    """A constant that is not a string, or the one that TensorFlow 1 writes where the path is fed: ``model``."""
    tensors = [
        tensor
        for entry in wire.messages(node, 5)
        for value in wire.messages(entry, 2)
        for tensor in wire.messages(value, 8)
    ]
    if len(tensors) != 1:
        return False
    strings = [bytes(value) for value in wire.messages(tensors[0], 8)]
    return strings == [b"model"] if wire.number(tensors[0], 1) == _STRING else not strings


def _shown(name: str) -> str:
    """A name from the file, safe to print and not too long."""
    short = name if len(name) <= 80 else f"{name[:77]}..."
    return short if re.fullmatch(r"[\w>.]+", short, re.ASCII) else repr(short)
