"""The bounds of ONNX files, each with a file that just keeps it and one that just does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.readers import onnx_wire
from tests.readers.wire import field, number, varint

VERSION = number(1, 8)
NODE = field(1, b"")
"""A node of a graph; in functions they are field 7."""


def check(folder: Path, *parts: bytes) -> int:
    """Check a file; the padding is its producer's name."""
    path = folder / "m.onnx"
    path.write_bytes(b"".join(parts) + field(2, b"a producer's name"))
    return onnx_wire.check(path)


def refused(folder: Path, *parts: bytes) -> str:
    with pytest.raises(ModelError) as caught:
        check(folder, *parts)
    assert "\n" not in caught.value.message
    return caught.value.message


def graph(*parts: bytes) -> bytes:
    return field(7, b"".join(parts))


def test_a_model_has_a_version_and_one_graph(tmp_path: Path) -> None:
    assert check(tmp_path, VERSION, graph(NODE)) == 0
    for parts in ((graph(NODE),), (VERSION,), (VERSION, graph(NODE), graph(NODE)), (number(5, 1), graph(NODE))):
        assert "is not an ONNX model: it has no graph" in refused(tmp_path, *parts)


@pytest.mark.parametrize(("size", "words"), [(15, "too short"), (16, "it has no graph")])
def test_the_shortest_file_that_is_looked_at(tmp_path: Path, size: int, words: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(field(2, b"x" * (size - 2)))
    with pytest.raises(ModelError, match=words):
        onnx_wire.check(path)


def test_the_number_of_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert onnx_wire.MAX_NODES == 200_000
    monkeypatch.setattr(onnx_wire, "MAX_NODES", 3)
    inner = field(1, field(5, field(6, NODE)))
    assert check(tmp_path, VERSION, graph(NODE * 3)) == check(tmp_path, VERSION, graph(inner, NODE)) == 0
    assert "more than 3 nodes" in refused(tmp_path, VERSION, graph(NODE * 4))
    assert "more than 3 nodes" in refused(tmp_path, VERSION, graph(inner, NODE * 2))
    uncalled = function("F", "own", b"", b"")
    assert check(tmp_path, VERSION, graph(NODE), uncalled) == 0
    assert "has more than 3 nodes" in refused(tmp_path, VERSION, graph(NODE * 2), uncalled)


@pytest.mark.parametrize("place", [6, 11])
def test_the_depth_of_graphs(tmp_path: Path, place: int) -> None:
    def nested(levels: int) -> bytes:
        inner = NODE
        for _ in range(levels):
            inner = field(1, field(5, field(place, inner)))
        return field(7, inner)

    assert onnx_wire.MAX_GRAPH_DEPTH == 16
    assert check(tmp_path, VERSION, nested(16)) == 0
    assert "nests graphs more than 16 levels deep" in refused(tmp_path, VERSION, nested(17))
    for levels in (17, 2000):  # calls are counted no further down
        some = function("F", "own", b"", b"")
        assert "nests graphs more than 16 levels deep" in refused(tmp_path, VERSION, nested(levels), some)


def value(rank: int) -> bytes:
    """An input, output or value named ``v``, with its rank."""
    return field(1, b"v") + field(2, field(1, field(2, field(1, b"") * rank)))


@pytest.mark.parametrize("place", [11, 12, 13])
def test_the_rank_of_values(tmp_path: Path, place: int) -> None:
    assert check(tmp_path, VERSION, graph(field(place, value(32)))) == 0
    message = refused(tmp_path, VERSION, graph(field(place, value(33))))
    assert "'v' has 33 dimensions; the most is 32" in message
    assert check(tmp_path, VERSION, graph(field(14, value(33)))) == 0


def in_initializers(tensor: bytes) -> bytes:
    return field(5, tensor)


def in_attribute(tensor: bytes) -> bytes:
    return field(1, field(5, field(5, tensor)))


def in_attributes(tensor: bytes) -> bytes:
    return field(1, field(5, field(10, tensor)))


def in_sparse_initializers(tensor: bytes) -> bytes:
    return field(15, field(1, tensor))


def in_sparse_indices(tensor: bytes) -> bytes:
    return field(15, field(2, tensor))


def in_sparse_attribute(tensor: bytes) -> bytes:
    return field(1, field(5, field(22, field(1, tensor))))


def in_sparse_attributes(tensor: bytes) -> bytes:
    return field(1, field(5, field(23, field(1, tensor))))


PLACES = [in_initializers, in_attribute, in_attributes, in_sparse_initializers, in_sparse_indices,
          in_sparse_attribute, in_sparse_attributes]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_the_size_of_constants(tmp_path: Path, place) -> None:  # type: ignore[no-untyped-def]
    name = field(8, b"w")
    packed = field(1, varint(1 << 16) + varint(1 << 15)) + name
    assert check(tmp_path, VERSION, graph(place(packed))) == 0
    assert check(tmp_path, VERSION, graph(place(number(1, 1 << 16) + number(1, 1 << 15)))) == 0
    assert check(tmp_path, VERSION, graph(place(field(1, b"\x01" * 32)))) == 0
    for large, words in (
        (field(1, varint((1 << 31) + 1)) + name, f"constant 'w' has 1 dimensions and {(1 << 31) + 1} elements"),
        (number(1, 1 << 16) + number(1, (1 << 15) + 1) + name, "constant 'w' has 2 dimensions"),
        (field(1, b"\x01" * 33) + name, "constant 'w' has 33 dimensions and 1 elements"),
    ):
        assert words in refused(tmp_path, VERSION, graph(place(large)))


def test_the_size_of_sparse_constants(tmp_path: Path) -> None:
    def sparse(shape: bytes) -> bytes:
        return graph(field(15, shape))

    assert check(tmp_path, VERSION, sparse(field(3, varint(1 << 16) + varint(1 << 15)))) == 0
    assert check(tmp_path, VERSION, sparse(number(3, 1 << 31))) == 0
    for shape in (field(3, varint(1 << 16) + varint((1 << 15) + 1)), number(3, (1 << 31) + 1)):
        assert "a sparse constant has over 2147483648 elements" in refused(tmp_path, VERSION, sparse(shape))


def call(name: str, domain: str = "", overload: str = "") -> bytes:
    """A node's content."""
    return field(4, name.encode()) + field(7, domain.encode()) + field(8, overload.encode())


def function(name: str, domain: str, *nodes: bytes, overload: str = "") -> bytes:
    body = b"".join(field(7, node) for node in nodes)
    return field(25, field(1, name.encode()) + field(10, domain.encode()) + field(13, overload.encode()) + body)


@pytest.mark.parametrize(
    ("domain", "good"), [("", True), ("ai.onnx", True), ("own", True), ("com.microsoft", False), ("ai.onnx.ml", False)]
)
def test_operators_are_of_the_standard_or_the_files_own(tmp_path: Path, domain: str, good: bool) -> None:
    own = function("F", "own", call("Relu"))
    nodes = graph(field(1, call("Op", domain)))
    if good:
        assert check(tmp_path, VERSION, nodes, own) == 0
    else:
        assert f"uses the operator 'Op' of '{domain}', which is outside" in refused(tmp_path, VERSION, nodes, own)
    training = field(20, field(1, field(1, call("Op", domain)))), field(20, field(2, field(1, call("Op", domain))))
    for one in training:
        assert good or "outside the ONNX standard" in refused(tmp_path, VERSION, graph(NODE), one, own)


def test_functions_do_not_call_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = graph(field(1, call("F", "own")))
    mutual = function("F", "own", call("G", "own")), function("G", "own", call("F", "own"))
    for functions in ((function("F", "own", call("F", "own")),), mutual):
        assert "functions that call themselves" in refused(tmp_path, VERSION, nodes, *functions)
    overloaded = function("F", "own", call("F", "own", "b")), function("F", "own", call("Relu"), overload="b")
    assert check(tmp_path, VERSION, nodes, *overloaded) == 0
    assert check(tmp_path, VERSION, graph(NODE), function("F", "own", call("F", "own"))) == 0  # nobody calls it

    def chain(length: int) -> list[bytes]:
        calls = [function(f"F{n}", "own", call(f"F{n + 1}", "own")) for n in range(length)]
        return [graph(field(1, call("F0", "own"))), *calls, function(f"F{length}", "own", call("Relu"))]

    assert onnx_wire.MAX_CALLS == 100
    monkeypatch.setattr(onnx_wire, "MAX_CALLS", 3)
    assert check(tmp_path, VERSION, *chain(3)) == 0
    assert "or over 3 levels deep" in refused(tmp_path, VERSION, *chain(4))


def test_functions_count_as_often_as_they_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_wire, "MAX_NODES", 8)
    two = function("F", "own", call("Relu"), call("Relu"))
    calls = field(1, call("F", "own"))
    assert check(tmp_path, VERSION, graph(calls * 4), two) == 0
    assert "functions that become more than 8 nodes" in refused(tmp_path, VERSION, graph(calls * 4, NODE), two)
    inner = field(1, field(5, field(6, calls * 4)))  # a node with a graph counts for itself and what is in it
    assert "functions that become more than 8 nodes" in refused(tmp_path, VERSION, graph(inner), two)


def external(folder: Path, size: int = 64, **entries: str) -> bytes:
    (folder / "data").write_bytes(bytes(size))
    pairs = {"location": "data", **entries}
    told = [field(13, field(1, key.encode()) + field(2, value.encode())) for key, value in pairs.items()]
    return graph(field(5, number(14, 1) + b"".join(told)))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, 64), ({"length": "64"}, 64), ({"length": "10"}, 10), ({"offset": "0", "length": "64"}, 64),
        ({"offset": "4", "length": "60"}, 60), ({"offset": "64", "length": "0"}, 0),
        ({"offset": "4", "length": "61"}, None), ({"length": "65"}, None), ({"offset": "65", "length": "0"}, None),
        ({"offset": "-1"}, None), ({"length": "\u0663"}, None), ({"length": "1.5"}, None), ({"length": ""}, None),
        ({"length": "0" * 18 + "9"}, 9), ({"length": "0" * 19 + "9"}, None),
    ],
)  # fmt: skip
def test_data_outside_lies_in_the_file(tmp_path: Path, entries: dict[str, str], expected: int | None) -> None:
    content = external(tmp_path, **entries)
    if expected is None:
        assert "external data 'data' is shorter (64 bytes) than the model says" in refused(tmp_path, VERSION, content)
    else:
        assert check(tmp_path, VERSION, content) == expected


def test_all_data_outside_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = external(tmp_path, length="64")
    twice = graph(content[2:] * 2)
    monkeypatch.setattr(onnx_wire, "MAX_MODEL_BYTES", 128)
    assert check(tmp_path, VERSION, twice) == 128
    monkeypatch.setattr(onnx_wire, "MAX_MODEL_BYTES", 127)
    assert "more than 127 bytes of external data" in refused(tmp_path, VERSION, twice)
