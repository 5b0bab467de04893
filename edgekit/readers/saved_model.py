"""Look into a SavedModel without TensorFlow: its signatures, and operators that must not run.

Source of the field numbers: TensorFlow's ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``,
``function.proto``.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.errors import ModelError
from edgekit.readers import files
from edgekit.readers.protobuf import Wire

MAX_FILES = 10_000

_PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Operators that run Python which is not in the file: they could never work on a device."""

_FILES = re.compile(
    r"(Read|Write|Append)File|MatchingFiles|.*Reader(V\d)?|(TFRecord|TextLine|FixedLengthRecord|Csv|Snapshot).*Dataset.*"
    r"|InitializeTableFromTextFile(V\d)?|(Load|Save)Dataset(V\d)?|DebugIdentity.*|.*(Rpc|Socket).*"
)
"""Operators that reach files or other machines. A checkpoint's own (``SaveV2``, ``RestoreV2``) are in every
SavedModel and pass: the sandbox keeps them from writing."""


def check(folder: Path, trust: bool = False) -> str:
    """Check a SavedModel; return its signature, ``serving_default`` where there is one, else the only one.

    Operators are checked in all functions, called or not, because loading itself runs some of them.

    :param trust: let operators that run Python or touch files pass.
    :raises ModelError: if it is damaged, has links that lead out of it, has no signature or several without
        a default, or if it would run Python or touch files.
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
        for graph in wire.messages(meta, 2):
            if not trust:
                _check_operators(folder, wire, graph)
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
            raise ModelError(f"{folder} holds something that is not a file: {path.relative_to(folder)}")


def _check_operators(folder: Path, wire: Wire, graph: memoryview) -> None:
    """Refuse operators that run Python or touch files, in the graph and in its library of functions."""
    bodies = [("", list(wire.messages(graph, 1)))]
    for library in wire.messages(graph, 2):
        for function in wire.messages(library, 1):
            name = next((wire.text(signature, 1) for signature in wire.messages(function, 1)), "")
            bodies.append((name, list(wire.messages(function, 3))))
    for name, nodes in bodies:
        where = f" (in function {name!r})" if name else ""
        for operator in {wire.text(node, 2) for node in nodes}:
            if operator in _PYTHON:
                raise ModelError(
                    f"{folder} calls back into Python with {operator}{where}, so it cannot run on a device",
                    "replace tf.py_function and tf.numpy_function by TensorFlow operators",
                )
            if _FILES.fullmatch(operator):
                raise ModelError(
                    f"{folder} has the operator {operator}{where}, which touches files",
                    "pass --trust-model if you trust whoever made it",
                )
