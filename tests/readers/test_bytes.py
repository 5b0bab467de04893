"""What readers check before any library sees a file, byte by byte; and how results are held against each other."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, Operator, Tensor, tflite
from edgekit.readers import MAX_MODEL_BYTES, files, onnx_compare, protobuf, recurrent, shapes
from edgekit.readers.frozen import _unsupported, line
from edgekit.readers.onnx2tf import Sample
from edgekit.readers.shapes import Declared, settle
from tests.networks.small import Builder

# Protocol buffers


def walk(data: bytes) -> list[tuple[int, int | bytes]]:
    found = protobuf.Wire("m").fields(memoryview(data))
    return [(number, value if isinstance(value, int) else bytes(value)) for number, value in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []), (b"\x08\x96\x01", [(1, 150)]), (b"\x12\x07testing", [(2, b"testing")]),  # the guide's own examples
        (b"\x0d\x01\x02\x03\x04", [(1, b"\x01\x02\x03\x04")]), (b"\x09" + bytes(8), [(1, bytes(8))]),
        (b"\x12\x00\x08\x00", [(2, b""), (1, 0)]), (b"\x08" + b"\xff" * 9 + b"\x01", [(1, 2**64 - 1)]),
        (b"\xf8\xff\xff\xff\x0f\x01", [(2**29 - 1, 1)]), (b"\x80\x01\x05", [(16, 5)]),
    ],
)  # fmt: skip
def test_fields_on_the_wire(data: bytes, expected: list[tuple[int, int | bytes]]) -> None:
    assert walk(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x08", b"\x08\x80", b"\x12", b"\x12\x01", b"\x12\x08testing", b"\x0d\x01\x02\x03", b"\x09" + bytes(7),
        b"\x00\x01", b"\x80\x80\x80\x80\x10\x01", b"\x0b", b"\x0c", b"\x0e", b"\x0f", b"\x08" + b"\xff" * 10 + b"\x01",
    ],
)  # fmt: skip
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(ModelError, match="m is damaged"):
        walk(data)


def test_a_message_of_one_file_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf, "_LIMIT", 3)
    assert len(walk(b"\x08\x01" * 3)) == 3
    with pytest.raises(ModelError, match="more than 3 fields"):
        walk(b"\x08\x01" * 4)
    wire = protobuf.Wire("m")
    assert list(wire.varints(memoryview(b"\x01\x96\x01\x00"))) == [1, 150, 0]
    with pytest.raises(ModelError, match="more than 3 fields"):
        list(wire.varints(memoryview(b"\x01")))


def test_what_is_asked_of_a_message() -> None:
    data = memoryview(b"\x08\x01\x12\x01a\x08\x05\x12\x02bc")
    wire = protobuf.Wire("m")
    assert [bytes(value) for value in wire.messages(data, 2)] == [b"a", b"bc"] and not list(wire.messages(data, 3))
    assert (wire.text(data, 2), wire.text(data, 3)) == ("bc", "")
    assert (wire.number(data, 1), wire.number(data, 3), wire.number(data, 3, 7)) == (5, 0, 7)
    for ask in (lambda: list(wire.messages(data, 1)), lambda: wire.number(data, 2)):
        with pytest.raises(ModelError, match="damaged"):
            ask()
    long = memoryview(b"\x12\x89\x20" + b"x" * 4105)
    assert wire.text(long, 2) == "x" * 4096


# Files


@pytest.mark.parametrize(("content", "at", "found"), [
    (b"xxTFL3", 2, True), (b"TFL3", 0, True), (b"xTFL3", 0, False), (b"xxTFL", 2, False), (b"", 0, False),
])  # fmt: skip
def test_magic_bytes(tmp_path: Path, content: bytes, at: int, found: bool) -> None:
    (tmp_path / "m").write_bytes(content)
    assert files.starts_with(tmp_path / "m", b"TFL3", at) is found
    assert not files.starts_with(tmp_path / "none", b"") and not files.starts_with(tmp_path, b"")


def test_the_size_that_flatbuffers_and_protocol_buffers_can_have() -> None:
    assert MAX_MODEL_BYTES == files.MAX_MODEL_BYTES == 2**31


def test_a_file_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"12345")
    monkeypatch.setattr(files, "MAX_MODEL_BYTES", 5)
    assert files.check_file(path) == 5
    monkeypatch.setattr(files, "MAX_MODEL_BYTES", 4)
    for bad, words in (
        (path, "has 5 bytes; the limit is 4"),
        (tmp_path, "is not a file"),
        (tmp_path / "x", "not exist"),
    ):
        with pytest.raises(ModelError, match=words):
            files.check_file(bad)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        files.check_file(path)


def packed(path: Path, name: str, *, mode: int = 0, flags: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.external_attr = mode << 16
        archive.writestr(info, b"12345")
        info.filename = info.orig_filename = name
        info.flag_bits |= flags
    return path


@pytest.mark.parametrize(
    ("name", "mode", "flags", "words"),
    [
        ("a/b", 0, 0, ""), ("a", 0o100644, 0, ""), ("a/", 0o040755, 0, ""), ("a..b", 0, 0, ""), ("ab:c", 0, 0, ""),
        ("../a", 0, 0, "outside"), ("a/../b", 0, 0, "outside"), ("/a", 0, 0, "outside"), ("a\\..\\b", 0, 0, "outside"),
        ("c:a", 0, 0, "outside"), ("a", 0o120777, 0, "a link or a device"), ("a", 0o010644, 0, "a link or a device"),
        ("a", 0, 1, "encrypted"),
    ],
)  # fmt: skip
def test_members_of_archives(tmp_path: Path, name: str, mode: int, flags: int, words: str) -> None:
    path = packed(tmp_path / "m.zip", name, mode=mode, flags=flags)
    if not words:
        assert files.check_zip(path) == {name: 5}
        return
    with pytest.raises(ModelError, match=words):
        files.check_zip(path)


def test_a_member_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "m.zip", "placeholder")
    assert files.read_member(path, "placeholder", 5) == b"12345"
    with pytest.raises(ModelError, match="more than 4 bytes"):
        files.read_member(path, "placeholder", 4)
    with pytest.raises(ModelError, match="cannot be read"):
        files.read_member(path, "b", 4)
    size = path.stat().st_size
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1000))
    assert path.stat().st_size < size + 100
    for limit, good in ((1000, True), (999, False)):
        monkeypatch.setattr(files, "MAX_MODEL_BYTES", limit)
        if good:
            assert files.check_zip(path) == {"zeros": 1000}
        else:
            with pytest.raises(ModelError, match="bomb"):
                files.check_zip(path)


@pytest.mark.parametrize("version", range(4))
@pytest.mark.parametrize("missing", [0, 1])
def test_hdf5_files_have_the_length_they_tell(tmp_path: Path, version: int, missing: int) -> None:
    """Superblocks of the specification: offsets of 8 bytes, base address 16, end of file 84 behind it."""
    head = bytearray(100)
    head[:9] = files.HDF5_SIGNATURE + bytes([version])
    head[13 if version < 2 else 9] = 8
    base = {0: 24, 1: 28}.get(version, 12)
    head[base : base + 8] = struct.pack("<Q", 16)
    head[base + 16 : base + 24] = struct.pack("<Q", 84)
    (tmp_path / "m.h5").write_bytes(bytes(head)[: 100 - missing])
    if not missing:
        files.check_hdf5(tmp_path / "m.h5")
        return
    with pytest.raises(ModelError, match="it has 99 of 100 bytes"):
        files.check_hdf5(tmp_path / "m.h5")


@pytest.mark.parametrize("spoil", [
    lambda h: h[:63], lambda h: h[:8] + b"\x04" + h[9:], lambda h: h[:9] + b"\x03" + h[10:],
])  # fmt: skip
def test_superblocks_that_are_not_valid(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    head = files.HDF5_SIGNATURE + b"\x02\x08" + bytes(90)
    (tmp_path / "m.h5").write_bytes(head)
    files.check_hdf5(tmp_path / "m.h5")
    (tmp_path / "m.h5").write_bytes(spoil(head))
    with pytest.raises(ModelError, match="not valid"):
        files.check_hdf5(tmp_path / "m.h5")
    (tmp_path / "m.h5").write_bytes(b"x" + head)
    with pytest.raises(ModelError, match="not an HDF5 file"):
        files.check_hdf5(tmp_path / "m.h5")


# Shapes


@pytest.mark.parametrize(("text", "good"), [
    ("2147483648", True), ("2147483649", False), ("32768x65536", True), ("32768x65537", False),
    ("x".join("1" * 16), True), ("x".join("1" * 17), False), ("1X2", True), (" 1x2 ", True),
])  # fmt: skip
def test_the_largest_shape(text: str, good: bool) -> None:
    assert shapes.MAX_ELEMENTS == 2**31 and shapes.MAX_RANK == 16
    if good:
        assert len(shapes.parse([text])[""]) == text.strip().lower().count("x") + 1
        return
    with pytest.raises(UsageError, match="too large"):
        shapes.parse([text])


def test_declared_shapes_at_their_bounds() -> None:
    assert settle([Declared("x", [1, 2**31])], {}, "m").shapes == [(1, 2**31)]
    with pytest.raises(ModelError, match="input 'x' is too large"):
        settle([Declared("x", [1, 2**31 + 1])], {}, "m")
    with pytest.raises(ModelError, match="input 'x' has no shape") as caught:
        settle([Declared("x", None), Declared("y", [1])], {}, "m")
    assert caught.value.hint == "set it, for example: --shape x=1x3x224x224"
    with pytest.raises(ModelError, match="has no shape") as caught:
        settle([Declared("x", None)], {}, "m")
    assert caught.value.hint == "set it, for example: --shape 1x3x224x224"
    with pytest.raises(ModelError, match=r"dimension 1 \('w'\) of input 'a b'") as caught:
        settle([Declared("a b", [None, "w", 3]), Declared("y", [1])], {}, "m")
    assert caught.value.hint == "set it: --shape 'a b'=1x?x3, with a number for each question mark"
    settled = settle([Declared("x", None), Declared("y", ["n"])], {"x": (4, 5)}, "m")
    assert settled.shapes == [(4, 5), (1,)] and settled.given == ["x"]
    assert settled.notes == ["input 'x' was set to 4x5", "the dynamic batch was set to 1"]
    batch = settle([Declared("x", ["n", 3]), Declared("y", [2, "n"])], {}, "m")
    assert batch.shapes == [(1, 3), (2, 1)]
    for wrong, hint in (((1, 2, 3), "omit --shape"), ((1,), "omit --shape")):
        with pytest.raises(UsageError) as refused:
            settle([Declared("x", [1, 2])], {"": wrong}, "m")
        assert refused.value.hint == hint
    with pytest.raises(UsageError, match="shapes are fixed"):
        shapes.no_shapes(["1x2"])
    shapes.no_shapes([])


# What TensorFlow says


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first\nsecond", "first"), ("\x1b[31mred\x1b[0m\nsecond", "red"), ("\n\n  spaced  \n", "spaced"),
        ("in user code:\n  File x\n  ValueError: no good\n", "ValueError: no good"),
        ("first\nValueError: no good", "first"),
        ("in user code:\n  File x\n  ValueError: Exception encountered when calling A.\n  the reason", "the reason"),
        ("Exception encountered when calling Layer.call().\n\nthe reason", "the reason"),
        ("Exception encountered when calling Layer.call().", "Exception encountered when calling Layer.call()."),
        ("", "RuntimeError"), ("x" * 400, "x" * 300),
    ],
)  # fmt: skip
def test_the_line_that_says_what_is_wrong(text: str, expected: str) -> None:
    assert line(RuntimeError(text)) == expected


def test_operators_that_tflite_does_not_have() -> None:
    error = _unsupported(RuntimeError("x\nTF Select ops: B, A\nDetails\nCustom ops: C, A\n"), "m")
    assert error.message == "m uses operators that TFLite does not have: A, B, C"
    assert _unsupported(RuntimeError("broken\nmore"), "m").message == "m cannot be converted to TFLite: broken"


# Results of converted networks


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ([1.0, 2.0], [1.0, 4.0], 0.5), ([1.0, 4.0], [1.0, 2.0], 1.0), ([0.0], [0.0], 0.0), ([1e-6], [0.0], 1.0),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0), ([np.inf, 1.0], [np.inf, 1.0], 0.0), ([np.nan], [1.0], np.inf),
        ([1.0, 1.0], [np.inf, 1.0], np.inf), ([-np.inf, 1.0], [np.inf, 1.0], np.inf), ([1.0, 2.0], [1.0], None),
    ],
)  # fmt: skip
def test_the_distance_of_results(found: list[float], wanted: list[float], expected: float | None) -> None:
    result = onnx_compare.difference(np.array(found), np.array(wanted), None)
    assert result == (expected if expected is None else pytest.approx(expected))


def test_distances_of_integers_small_values_and_other_layouts() -> None:
    big = np.array([2**62, 1])
    assert onnx_compare.difference(big, big, None) == 0.0
    assert onnx_compare.difference(np.array([3]), np.array([4]), None) == 0.25
    assert onnx_compare.difference(np.array([0.001]), np.array([0.002]), None, 0.1) == pytest.approx(0.01)
    assert onnx_compare.difference(np.array([0.2]), np.array([0.4]), None, 0.1) == pytest.approx(0.5)
    pixels = np.arange(24.0).reshape(1, 2, 4, 3)
    moved = pixels.transpose(0, 3, 1, 2)
    assert onnx_compare.difference(pixels, moved, (0, 3, 1, 2)) == 0.0
    assert onnx_compare.difference(pixels, moved, None) is None
    assert onnx_compare.difference(np.ones(3), np.ones(3), (0, 3, 1, 2)) == 0.0

    def sample(litert: np.ndarray, onnx: np.ndarray) -> Sample:
        return Sample([], onnx=[onnx], litert=[litert])

    samples = [sample(pixels, moved), sample(pixels + 1, moved + 1)]
    assert onnx_compare._layout(samples, 0, 0.0) == ((0, 3, 1, 2), 0.0)
    square = np.arange(27.0).reshape(1, 3, 3, 3)
    assert onnx_compare._layout([sample(square, square)], 0, 0.0) == (None, 0.0)
    turned = [sample(square, square), sample(square, square.transpose(0, 3, 1, 2))]
    permutation, off = onnx_compare._layout(turned, 0, 0.0)
    assert off is not None and off > 0
    assert onnx_compare._layout([samples[0], sample(np.ones(2), np.ones(3))], 0, 0.0) == (None, None)
    assert onnx_compare._by_shape(samples, 0, [1, 3, 2, 4]) == (0, 3, 1, 2)
    assert onnx_compare._by_shape(samples, 0, [1, 2, 4, 3]) is None
    assert onnx_compare._by_shape(samples, 0, [9]) is None
    assert permutation in (None, (0, 3, 1, 2))


# Recurrent operators


def lstm(*, time_major: bool, reader_first: bool = False) -> Graph:
    """A fused LSTM of 2 units over 5 steps of a batch of 3, and a RELU that reads its hidden state."""
    b = Builder()
    x = b.tensor((5, 3, 4) if time_major else (3, 5, 4), name="x")
    weights = [b.constant(np.zeros((2, 4), np.float32)) for _ in range(17)]
    state = b.tensor((3, 2), name="h", is_variable=True)
    cell = b.tensor((3, 2), name="c", is_variable=True)
    options = tflite.schema().UnidirectionalSequenceLSTMOptionsT()
    options.timeMajor = time_major
    sequence = b.tensor((5, 3, 2) if time_major else (3, 5, 2), name="s")
    fused = Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", (x, *weights, state, cell), (sequence,), options)
    if not reader_first:
        b.operators.append(fused)
    last, other = b.add("RELU", (state,), (3, 2)), b.add("RELU", (cell,), (3, 2))
    if reader_first:
        b.operators.append(fused)
    return b.graph((x,), (sequence, last, other))


@pytest.mark.parametrize("time_major", [False, True])
def test_a_last_state_is_read_from_its_sequence(time_major: bool) -> None:
    graph = recurrent.from_sequences(lstm(time_major=time_major))
    fused, slicing, first, second = graph.operators
    assert [o.op for o in graph.operators] == ["UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "RELU", "RELU"]
    assert slicing.inputs[0] == fused.outputs[0] and first.inputs == slicing.outputs
    begin, end, strides = (graph.tensors[i].array().tolist() for i in slicing.inputs[1:])
    axis = 0 if time_major else 1
    assert begin == [4, 0, 0] if time_major else [0, 4, 0]
    assert end == [5, 3, 2] if time_major else [3, 5, 2]
    assert strides == [1, 1, 1] and slicing.options.shrinkAxisMask == 1 << axis
    result = graph.tensors[slicing.outputs[0]]
    assert (result.name, result.shape, result.dtype) == ("h_last", (3, 2), "float32")
    assert graph.tensors[second.inputs[0]].name == "c"


def test_states_that_are_read_before_or_not_at_all_stay() -> None:
    early = lstm(time_major=False, reader_first=True)
    assert recurrent.from_sequences(early) is early
    fixed = lstm(time_major=False)
    fixed.tensors[18].is_variable = False
    assert recurrent.from_sequences(fixed) is fixed
    short = lstm(time_major=False)
    short.operators[0].inputs = short.operators[0].inputs[:18]
    assert recurrent.from_sequences(short) is short


def test_variables_that_nobody_writes_are_zero() -> None:
    """X + (h W) is x where h stays 0; what has a bias, an activation or another shape is computed."""
    b = Builder()
    x = b.tensor((3, 2), name="x")
    h = b.tensor((3, 2), name="h", is_variable=True)
    product = b.add("MUL", (h, b.constant(np.ones((3, 2), np.float32))), (3, 2), options="Mul")
    total = b.add("ADD", (x, product), (3, 2), options="Add")
    active = b.add("ADD", (total, h), (3, 2), options="Add", fusedActivationFunction=1)
    wide = b.add("ADD", (h, active), (4, 3, 2), options="Add")
    biased = b.add("FULLY_CONNECTED", (h, b.constant(np.ones((2, 2), np.float32)), b.constant(np.ones(2, np.float32))),
                   (3, 2), options="FullyConnected")  # fmt: skip
    found = recurrent.zeros_folded(b.graph((x,), (wide, biased)))
    assert [o.op for o in found.operators] == ["ADD", "ADD", "FULLY_CONNECTED"]
    assert found.operators[0].inputs[0] == found.main.inputs[0]
    zero = found.tensors[found.operators[0].inputs[1]]
    assert zero.data is not None and not zero.array().any() and not zero.is_variable
    again = Builder()
    y = again.tensor((3, 2), name="x")
    plain = again.graph((y,), (again.add("RELU", (y,), (3, 2)),))
    assert recurrent.zeros_folded(plain) is plain
    whole = lstm(time_major=False)
    assert recurrent.zeros_folded(whole) is whole
    assert Tensor("x", (1,), "float32").is_variable is False
