"""Graph <-> TFLite flatbuffer.

Reading verifies the structure (:mod:`edgekit.graph.flatbuffer`), then the meaning (:mod:`edgekit.graph.check`),
then repairs what is repairable (:mod:`edgekit.graph.repair`) and says so in ``Graph.notes``. Writing gives the
same bytes for the same Graph, with every constant aligned to 16 bytes as the schema asks.
"""

from __future__ import annotations

import struct
from pathlib import Path

from edgekit.errors import ModelError
from edgekit.files import temporary
from edgekit.graph import check, flatbuffer, repair
from edgekit.graph.ir import Graph
from edgekit.graph.schema import operator_names, schema
from edgekit.graph.tflite_reader import Reader
from edgekit.graph.tflite_writer import Writer

__all__ = ["dumps", "loads", "operator_names", "read", "schema", "write"]

MAX_FILE_BYTES = (2 << 30) - 1


def read(path: Path) -> Graph:
    """Read a ``.tflite`` file.

    :raises ModelError: if it is not one, is damaged, or means nothing.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{path.name} is larger than 2 GiB, which a TFLite file cannot be")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    return loads(data)


def loads(data: bytes) -> Graph:
    """Read a TFLite flatbuffer from memory. Constants stay views of ``data``."""
    flatbuffer.verify(data)
    try:
        graph = Reader(data).graph()
    except ModelError:
        raise
    except (
        struct.error,
        IndexError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        UnicodeDecodeError,
        AttributeError,
    ) as error:
        raise ModelError(f"the file is damaged: {error}") from error
    check.check_structure(graph)
    graph.notes += repair.repair(graph)
    check.check_quantization(graph)
    return graph


def write(graph: Graph, path: Path) -> None:
    """Write the Graph as a ``.tflite`` file, whole or not at all."""
    data = dumps(graph)
    with temporary.replacing(path) as file:
        file.write_bytes(data)


def dumps(graph: Graph) -> bytes:
    """Return the Graph as a TFLite flatbuffer; equal Graphs give equal bytes.

    :raises ModelError: if it would not fit in 2 GiB.
    """
    if sum(t.data.size for t in graph.constants() if t.data is not None) > MAX_FILE_BYTES:
        raise ModelError("the network is larger than 2 GiB, which a TFLite file cannot hold")
    return Writer(graph).build()
