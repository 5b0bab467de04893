"""Look into a SavedModel without TensorFlow: its signatures, and operators that must not run.

Source of the field numbers: TensorFlow's ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``,
``function.proto``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import ModelError
from edgekit.readers import files
from edgekit.readers.protobuf import Wire

MAX_FILES = 10_000

PYTHON = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Run Python that is not in the file: they could never work on a device."""

_TOUCHES_FILES = re.compile(
    r"(Read|Write|Append)File|MatchingFiles|Save(Slices|V2)?|MergeV2Checkpoints|.*(Reader|Dataset|Iterator)(V\d)?"
    r"|(InitializeTableFromTextFile)(V\d)?|PrintV2|Print|.*Summary(Writer|V\d)?|LoadLibrary|.*(Remote|Rpc|Socket).*"
)
"""Operators that reach out of the network: files, consoles, other machines."""

_CHECKPOINTING = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
"""Every SavedModel holds these, in the functions that save and restore it; the restoring reads ``variables/``."""


@dataclass(frozen=True)
class _Function:
    """Operators of a function, and every name it mentions (which may be a function it calls)."""

    operators: frozenset[str]
    mentions: frozenset[str]


def check(folder: Path) -> tuple[str, list[str]]:
    """Check a SavedModel and choose its signature.

    :returns: the signature (``serving_default`` where there is one, else the only one) and all of them.
    :raises ModelError: if it is damaged, has links that lead out of it, has no signature or several without
        a default, or if what the signature reaches would run Python or touch files.
    """
    _check_folder(folder)
    path = folder / "saved_model.pb"
    files.check_file(path)
    wire, data = Wire(str(path)), memoryview(path.read_bytes())
    graphs = list(wire.messages(data, 2))
    if not graphs:
        raise ModelError(f"{path} holds no graph")
    signatures: dict[str, memoryview] = {}
    functions: dict[str, _Function] = {}
    nodes: list[memoryview] = []
    for meta in graphs:
        for entry in wire.messages(meta, 5):
            signatures[wire.text(entry, 1)] = entry
        for graph in wire.messages(meta, 2):
            nodes += wire.messages(graph, 1)
            for library in wire.messages(graph, 2):
                for function in wire.messages(library, 1):
                    name = next((wire.text(s, 1) for s in wire.messages(function, 1)), "")
                    functions[name] = _function(wire, list(wire.messages(function, 3)))
    main = _function(wire, nodes)
    _check_operators(folder, main, functions)
    names = sorted(name for name in signatures if not name.startswith("__saved_model"))
    if "serving_default" in names:
        return "serving_default", names
    if len(names) == 1:
        return names[0], names
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


def _function(wire: Wire, nodes: list[memoryview]) -> _Function:
    """Read the operators of some NodeDefs and the names their function attributes mention."""
    operators, mentions = set(), set()
    for node in nodes:
        operators.add(wire.text(node, 2))
        for attribute in wire.messages(node, 5):
            for value in wire.messages(attribute, 2):
                mentions.update(_function_names(wire, value))
    return _Function(frozenset(operators), frozenset(mentions | operators))


def _function_names(wire: Wire, value: memoryview) -> list[str]:
    """Names in an AttrValue: ``func`` (10) is a NameAttrList, ``list`` (1) may hold some as its field 9."""
    names = [wire.text(func, 1) for func in wire.messages(value, 10)]
    for several in wire.messages(value, 1):
        names += [wire.text(func, 1) for func in wire.messages(several, 9)]
    return names


def _check_operators(folder: Path, main: _Function, functions: dict[str, _Function]) -> None:
    """Refuse operators that run Python or touch files in whatever the graph or any of its functions does.

    Saving and restoring is in every SavedModel's main graph and in functions of its own, so there the
    operators of a checkpoint pass.
    """
    for name, function in [("", main), *functions.items()]:
        for operator in sorted(function.operators):
            where = f" (in function {name})" if name else ""
            if operator in PYTHON:
                raise ModelError(
                    f"{folder} calls back into Python with {operator}{where}, so it cannot run on a device",
                    "replace tf.py_function and tf.numpy_function by TensorFlow operators",
                )
            if operator not in _CHECKPOINTING and _TOUCHES_FILES.fullmatch(operator):
                raise ModelError(f"{folder} has the operator {operator}{where}, which reaches out of the network")
