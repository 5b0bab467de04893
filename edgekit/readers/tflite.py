"""Reads ``.tflite`` files, in this process: they are parsed natively and checked.

Nothing is executed, except where sizes are open or computed: then LiteRT infers the shapes, in a sandbox
(:mod:`edgekit.readers.tflite_child`).
"""

from __future__ import annotations

from pathlib import Path

from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions, files, shapes


class TFLiteReader:
    """The pivot format."""

    name = "tflite"

    def matches(self, path: Path) -> bool:
        """By the name's ending (``.tflite``, ``.lite``), or the identifier TFL3 at byte 4."""
        return path.suffix.lower() in (".tflite", ".lite") or files.starts_with(path, b"TFL3", at=4)

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """See :class:`edgekit.readers.Reader`."""
        files.check_file(path)
        graph = tflite.read(path)
        settled = shapes.settle(_declared(graph, bool(options.shapes)), options.shapes, str(path))
        from edgekit.readers.tflite_shapes import fixed, resized

        if options.shapes or settled.shapes != [tensor.shape for tensor in graph.inputs]:
            graph = resized(graph, settled, path, options)
        else:
            graph = fixed(graph, str(path), options)
        graph.notes += settled.notes
        return graph


def _declared(graph: Graph, given: bool) -> list[shapes.Declared]:
    """The inputs, with -1 in the shape's signature as an open size.

    A converter writes 1 beside it in the shape. Where the file holds a batch, or another size than 1, that is what
    the network has unless shapes are ``given``.
    """
    names: dict[int, list[str]] = {}
    for signature in graph.signatures:
        for name, index in signature.inputs.items() if signature.subgraph == 0 else ():
            names.setdefault(index, []).append(name)
    found = []
    for index, tensor in zip(graph.main.inputs, graph.inputs, strict=True):
        also = tuple(names.get(index, ()))
        signature_sizes = tensor.shape_signature or tensor.shape
        if len(signature_sizes) != len(tensor.shape):
            signature_sizes = tensor.shape
        sizes = [
            None if size < 1 or (declared == -1 and (given or size == 1)) else size
            for axis, (size, declared) in enumerate(zip(tensor.shape, signature_sizes, strict=True))
        ]
        unknown = given and not tensor.shape and not tensor.has_rank
        found.append(shapes.Declared(tensor.name or next(iter(also), ""), None if unknown else sizes, also))
    return found
