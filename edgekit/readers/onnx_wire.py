"""Inspect an ONNX file without the onnx package: bounds, operator sets, external data.

Pure Python on the wire format, so a hostile file can neither crash nor stall edgekit's own process.
Source of the field numbers: ``onnx/onnx.proto`` (ONNX 1.18).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgekit.errors import ModelError
from edgekit.readers import MAX_MODEL_BYTES, files
from edgekit.readers.protobuf import Wire

MAX_NODES = 200_000
MAX_GRAPH_DEPTH = 16
MAX_CALLS = 100
"""Functions that call each other, one within the other."""
MAX_RANK = 32
MAX_ELEMENTS = 1 << 31

_STANDARD = ("", "ai.onnx")
_EXTERNAL = 1


def check(path: Path) -> int:
    """Check a model; return the bytes of weights that it keeps in other files.

    :raises ModelError: if it is damaged, too large, uses operators outside the standard, or has external data
        that does not lie in whole files below the model's own folder.
    """
    if files.check_file(path) < 16:
        raise ModelError(f"{path} is too short to be an ONNX model")
    checker = _Checker(path)
    checker.model(memoryview(path.read_bytes()))
    return checker.external_bytes


class _Checker:
    """Walks one model; ``pending`` holds the graphs that are still to walk, each with its depth."""

    def __init__(self, path: Path) -> None:
        self.path, self.wire = path, Wire(str(path))
        self.nodes = self.external_bytes = 0
        self.domains = set(_STANDARD)
        self.pending: list[tuple[memoryview, int]] = []

    def model(self, data: memoryview) -> None:
        has_version, graphs = False, 0
        functions: list[memoryview] = []
        for number, value in self.wire.fields(data):
            if isinstance(value, int):
                has_version = has_version or number == 1
            elif number == 7:
                graphs += 1
                self.pending.append((value, 0))
            elif number == 20:  # how it was trained: its graphs of initialization and of a step
                self.pending += [(graph, 0) for place in (1, 2) for graph in self.wire.messages(value, place)]
            elif number == 25:
                functions.append(value)
                self.domains.add(self.wire.text(value, 10))
        if not has_version or graphs != 1:
            raise ModelError(f"{self.path} is not an ONNX model: it has no graph")
        self._check_calls([graph for graph, _ in self.pending], functions)
        for function in functions:
            self._nodes(self.wire.messages(function, 7), depth=0)
            for attribute in self.wire.messages(function, 11):
                self._attribute(attribute, depth=0)
        while self.pending:
            graph, depth = self.pending.pop()
            if depth > MAX_GRAPH_DEPTH:
                raise ModelError(f"{self.path} nests graphs more than {MAX_GRAPH_DEPTH} levels deep")
            self._nodes(self.wire.messages(graph, 1), depth)
            for tensor in self.wire.messages(graph, 5):
                self._tensor(tensor)
            for tensor in self.wire.messages(graph, 15):
                self._sparse(tensor)
            for number in (11, 12, 13):
                for value in self.wire.messages(graph, number):
                    self._rank(value)

    def _check_calls(self, graphs: list[memoryview], functions: list[memoryview]) -> None:
        """Refuse functions that call themselves, and those that become too many nodes where they are called."""
        bodies = {
            (self.wire.text(function, 10), self.wire.text(function, 1), self.wire.text(function, 13)): function
            for function in functions
        }
        sizes: dict[tuple[str, str, str], int] = {}
        active: list[tuple[str, str, str]] = []

        def size(nodes: Iterator[memoryview], depth: int) -> int:
            total = 0
            for node in nodes:
                key = (self.wire.text(node, 7), self.wire.text(node, 4), self.wire.text(node, 8))
                total += called(key) if key in bodies else 1
                for attribute in self.wire.messages(node, 5):
                    for number, value in self.wire.fields(attribute):
                        if number in (6, 11) and not isinstance(value, int) and depth < MAX_GRAPH_DEPTH:
                            total += size(self.wire.messages(value, 1), depth + 1)
                if total > MAX_NODES:
                    raise ModelError(f"{self.path} has functions that become more than {MAX_NODES} nodes")
            return total

        def called(key: tuple[str, str, str]) -> int:
            if key in active or len(active) > MAX_CALLS:
                raise ModelError(f"{self.path} has functions that call themselves, or over {MAX_CALLS} levels deep")
            if key not in sizes:
                active.append(key)
                sizes[key] = size(self.wire.messages(bodies[key], 7), 0)
                active.pop()
            return sizes[key]

        for graph in graphs if bodies else ():
            size(self.wire.messages(graph, 1), 0)

    def _nodes(self, nodes: Iterator[memoryview], depth: int) -> None:
        for node in nodes:
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise ModelError(f"{self.path} has more than {MAX_NODES} nodes")
            domain = self.wire.text(node, 7)
            if domain not in self.domains:
                raise ModelError(
                    f"{self.path} uses the operator {self.wire.text(node, 4)!r} of {domain!r}, "
                    "which is outside the ONNX standard",
                    "export the model with standard operators only",
                )
            for attribute in self.wire.messages(node, 5):
                self._attribute(attribute, depth)

    def _attribute(self, data: memoryview, depth: int) -> None:
        for number, value in self.wire.fields(data):
            if isinstance(value, int):
                continue
            if number in (6, 11):
                self.pending.append((value, depth + 1))
            elif number in (5, 10):
                self._tensor(value)
            elif number in (22, 23):
                self._sparse(value)

    def _rank(self, value: memoryview) -> None:
        """Bound the dimensions of an input, an output, or a value whose shape is stated."""
        for kind in self.wire.messages(value, 2):
            for tensor in self.wire.messages(kind, 1):
                for shape in self.wire.messages(tensor, 2):
                    rank = sum(1 for _ in self.wire.messages(shape, 1))
                    if rank > MAX_RANK:
                        name = self.wire.text(value, 1)
                        raise ModelError(f"{self.path}: {name[:80]!r} has {rank} dimensions; the most is {MAX_RANK}")

    def _sparse(self, data: memoryview) -> None:
        """Check a sparse constant: its values, its indices, and the size that it has once it is filled up."""
        elements = 1
        for number, value in self.wire.fields(data):
            if number in (1, 2) and not isinstance(value, int):
                self._tensor(value)
            elif number == 3:
                for size in [value] if isinstance(value, int) else self.wire.varints(value):
                    elements *= size
                    if elements > MAX_ELEMENTS:
                        raise ModelError(f"{self.path}: a sparse constant has over {MAX_ELEMENTS} elements: too large")

    def _tensor(self, data: memoryview) -> None:
        elements, rank, location = 1, 0, 0
        for number, value in self.wire.fields(data):
            if number == 1:
                packed = [value] if isinstance(value, int) else list(self.wire.varints(value))
                rank += len(packed)
                for size in packed:
                    elements *= size
            elif number == 14 and isinstance(value, int):
                location = value
        if rank > MAX_RANK or elements > MAX_ELEMENTS:
            name = self.wire.text(data, 8)
            raise ModelError(f"{self.path}: constant {name!r} has {rank} dimensions and {elements} elements: too large")
        if location == _EXTERNAL:
            self._external(data)

    def _external(self, tensor: memoryview) -> None:
        entries = {self.wire.text(e, 1): self.wire.text(e, 2) for e in self.wire.messages(tensor, 13)}
        location = entries.get("location", "")
        size = resolve(self.path, location).stat().st_size
        offset, length = _count(entries.get("offset", "0")), _count(entries.get("length", str(size)))
        if offset is None or length is None or offset + length > size:
            raise ModelError(f"{self.path}: external data {location!r} is shorter ({size} bytes) than the model says")
        self.external_bytes += length
        if self.external_bytes > MAX_MODEL_BYTES:
            raise ModelError(f"{self.path} has more than {MAX_MODEL_BYTES} bytes of external data")


def resolve(model: Path, location: str) -> Path:
    """Return the file of external data at ``location``.

    :raises ModelError: if it is not a regular file below the model's folder, reached without links.
    """
    pure = PurePosixPath(location)
    escapes = not location or pure.is_absolute() or ".." in pure.parts or "\\" in location or "\0" in location
    path = model.parent
    for part in () if escapes else pure.parts:
        path = path / part
        escapes = escapes or path.is_symlink()
    if escapes:
        raise ModelError(
            f"{model} keeps weights outside its own folder: {location!r}: refused",
            "external data must be a file in the model's folder, without links",
        )
    if not path.is_file():
        raise ModelError(f"{model} keeps weights in {location!r}, which does not exist", "copy that file along with it")
    if not os.access(path, os.R_OK):
        raise ModelError(f"{model} keeps weights in {location!r}, which cannot be read")
    return path


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
