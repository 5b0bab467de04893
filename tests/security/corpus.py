# ruff: noqa: E501  (one file a line)
"""Hostile files of every format that edgekit reads, made from one seed.

``python -m tests.security.corpus [--few] [FAMILY...]`` runs them through the verbs that read them, and says what each did.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from edgekit import bundle
from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite
from tests.networks.small import Builder, dense

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\r\u202egnp"
Command = tuple[str, ...]
Codes = tuple[int, ...]
DATA, READS, RUNS = (0, 2), (0, 3), (0, 2, 3, 5, 6)
"""Exit codes that docs/formats.md has for wrong data and recipes, for models, and for bundles that are run."""


@dataclass(frozen=True)
class Case:
    """One hostile file or folder.

    :param commands: what to call, with ``{path}``, ``{out}`` and ``{good}``, a sound network.
    :param codes: exit codes that are right.
    """

    name: str
    path: Path
    commands: tuple[Command, ...]
    codes: Codes = READS


HOST = ("-t", "host", "-o", "{out}")
MODEL: tuple[Command, ...] = (("inspect", "{path}"), ("compile", "{path}", *HOST))
VERBS: tuple[Command, ...] = (("inspect", "{path}"), ("verify", "{path}"), ("run", "{path}", "--on", "host"))


# TFLite


def _tables(tensors: int = 3, metadata: int = 0, rank: int = 2, buffer: int = 64, name: int = 4) -> bytes:
    """A file with so many tensors that are all the same table, and so many entries of metadata with one buffer."""
    b = flatbuffers.Builder(1 << 16)

    def vector(offsets: Sequence[int]) -> int:
        b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return int(b.EndVector())

    def table(**slots: Any) -> int:
        b.StartObject(12)
        for slot, value in slots.items():
            number = int(slot[1:])
            if isinstance(value, tuple):
                b.PrependInt32Slot(number, value[0], 0)
            else:
                b.PrependUOffsetTRelativeSlot(number, value, 0)
        return int(b.EndObject())

    data = table(_0=b.CreateByteVector(bytes(buffer)))
    nothing = table()
    shape = b.CreateNumpyVector(np.ones(rank, np.int32))
    scales = b.CreateNumpyVector(np.ones(1, np.float32))
    text = b.CreateString("n" * name)
    tensor = table(_0=shape, _2=(1,), _3=text, _4=table(_2=scales))
    ends = b.CreateNumpyVector(np.array([0, 1], np.int32))
    operator = table(_1=ends, _2=ends)
    graph = table(_0=vector([tensor] * tensors), _1=ends, _2=ends, _3=vector([operator]))
    about = table(_0=text, _1=(1,))
    model = table(_0=(3,), _1=vector([table()]), _2=vector([graph]), _4=vector([nothing, data]),
                  _6=vector([about] * metadata))  # fmt: skip
    b.Finish(model, file_identifier=b"TFL3")
    return bytes(b.Output())


def _network(change: Callable[[Graph], object]) -> bytes:
    graph = dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    change(graph)
    return tflite.dumps(graph)


def _one(
    op: str, shape: tuple[int, ...], out: tuple[int, ...], *constants: Any, dtype: str = "float32", **options: Any
) -> bytes:
    b = Builder()
    x = b.tensor(shape, dtype, name="x")
    y = b.add(op, (x, *(b.constant(np.asarray(c)) for c in constants)), out, dtype, **options)
    return tflite.dumps(b.graph((x,), (y,)))


def _loop() -> bytes:
    """WHILE whose body is itself."""
    b = Builder()
    x = b.tensor((1,), name="x")
    y = b.add("WHILE", (x,), (1,), options="While", condSubgraphIndex=0, bodySubgraphIndex=0)
    return tflite.dumps(b.graph((x,), (y,)))


def _flipped(data: bytes, rng: random.Random, count: int) -> bytes:
    found = bytearray(data)
    for _ in range(count):
        found[rng.randrange(len(found))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(found)


def tflite_files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    good = _network(lambda graph: None)
    for share in (0.02, 0.3, 0.6, 0.97):
        yield f"cut at {share}", good[: int(share * len(good))]
    for number in range(14):
        yield f"flipped {number}", _flipped(good, rng, rng.choice((1, 2, 8, 40)))
    yield "nothing but its identifier", b"\x08\0\0\0TFL3"
    yield "endless offset", b"\xff\xff\xff\xffTFL3" + bytes(100)
    yield "shared tensors", _tables(tensors=350_000)
    yield "shared names", _tables(tensors=30_000, name=1 << 20)
    yield "shared metadata", _tables(metadata=10_000, buffer=1 << 20)
    yield "shared constants", _tables(tensors=20_000, buffer=1 << 20)
    yield "rank of a million", _tables(rank=1 << 20)
    yield "shared ranks", _tables(tensors=5_000, rank=200_000)

    def shapes(*shape: int) -> Callable[[Graph], object]:
        return lambda graph: setattr(graph.tensors[0], "shape", shape)

    for shape in ((1 << 30, 8), (0, 8), (2**31 - 1,), (65_536, 65_536, 65_536), (1, -1), (-5, 8), (1, 1, 8)):
        yield f"input of {shape}", _network(shapes(*shape))
    yield "hostile names", _network(lambda graph: [setattr(t, "name", EVIL + t.name) for t in graph.tensors])
    yield "name of a megabyte", _network(lambda graph: setattr(graph.tensors[0], "name", "n" * (1 << 20)))
    yield "no outputs", _network(lambda graph: setattr(graph.main, "outputs", ()))
    yield "no inputs", _network(lambda graph: setattr(graph.main, "inputs", ()))
    yield "input of text", _network(lambda graph: setattr(graph.tensors[0], "dtype", "string"))
    yield "output of text", _network(lambda graph: setattr(graph.outputs[0], "dtype", "string"))
    yield "output of resources", _network(lambda graph: setattr(graph.outputs[0], "dtype", "resource"))
    yield "tile without end", _one("TILE", (1, 4), (1, 4), np.array([1 << 20, 1 << 10], np.int32))
    yield "pad without end", _one("PAD", (1, 4), (1, 4), np.array([[0, 1 << 30], [0, 1 << 30]], np.int32))
    yield "fill without end", _one("BROADCAST_TO", (1, 4), (1, 4), np.array([1 << 15, 1 << 15, 4], np.int32))
    yield "gather from nowhere", _one("GATHER", (4, 4), (1, 4), np.array([1 << 30], np.int32), options="Gather")
    yield "stride of 0", _one(
        "CONV_2D", (1, 4, 4, 1), (1, 4, 4, 1), np.ones((1, 3, 3, 1), np.float32), np.zeros(1, np.float32),
        options="Conv2D", strideH=0, strideW=0,
    )  # fmt: skip
    yield "pool of 0", _one("MAX_POOL_2D", (1, 4, 4, 1), (1, 4, 4, 1), options="Pool2D", filterHeight=0, strideH=0)
    yield "its own loop", _loop()


# ONNX


def _onnx(nodes: list[Any], initializers: list[Any] = [], dims: Sequence[Any] = (1, 4), **fields: Any) -> Any:  # noqa: B006
    from onnx import TensorProto, helper

    kind = fields.pop("kind", TensorProto.FLOAT)
    x = helper.make_tensor_value_info("x", kind, dims)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    opset = fields.pop("opset", 17)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **fields)


def onnx_files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    from onnx import TensorProto, helper, numpy_helper

    def node(op: str, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ("y",), **more: Any) -> Any:
        return helper.make_node(op, list(inputs), list(outputs), **more)

    good = _onnx([node("Relu")]).SerializeToString()
    for share in (0.1, 0.5, 0.9):
        yield f"cut at {share}", good[: int(share * len(good))]
    for number in range(10):
        yield f"flipped {number}", _flipped(good, rng, rng.choice((1, 3, 10)))
    yield "noise", rng.randbytes(3000)
    for name, place in (("absolute", "/etc/passwd"), ("above", "../../etc/passwd"), ("hostile", EVIL)):
        value = helper.make_tensor("w", TensorProto.FLOAT, [4], [0.0] * 4)
        value.ClearField("float_data")
        value.data_location = TensorProto.EXTERNAL
        value.external_data.add(key="location", value=place)
        yield f"external data, {name}", _onnx([node("Add", ("x", "w"))], [value]).SerializeToString()
    sparse = _onnx([node("Relu")])
    entry = sparse.graph.sparse_initializer.add(dims=[1 << 40])
    entry.values.CopyFrom(helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0]))
    entry.indices.CopyFrom(helper.make_tensor("i", TensorProto.INT64, [1], [1 << 39]))
    yield "sparse initializer", sparse.SerializeToString()
    sparse.graph.node[0].CopyFrom(node("Add", ("x", "s")))
    yield "sparse initializer in use", sparse.SerializeToString()
    training = _onnx([node("Relu")])
    training.training_info.add().algorithm.CopyFrom(training.graph)
    yield "training info", training.SerializeToString()
    for name, calls in (("functions that double", 40), ("functions that double a little", 12)):
        made = _onnx([node("f0", domain="own")])
        for level in range(calls):
            inner = "Relu" if level == calls - 1 else f"f{level + 1}"
            domain = "" if inner == "Relu" else "own"
            body = [node(inner, ("a",), ("b",), domain=domain), node(inner, ("b",), ("c",), domain=domain)]
            imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
            made.functions.append(helper.make_function("own", f"f{level}", ["a"], ["c"], body, imports))
        yield name, made.SerializeToString()
    itself = _onnx([node("f", domain="own")])
    own = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    itself.functions.append(
        helper.make_function("own", "f", ["a"], ["b"], [node("f", ("a",), ("b",), domain="own")], own)
    )
    yield "function of itself", itself.SerializeToString()
    graph = _onnx([node("Relu")]).graph
    for _ in range(60):
        branch = helper.make_graph([node("If", ("c",), ("y",), then_branch=graph, else_branch=graph)], "g", [], list(graph.output))  # fmt: skip
        graph = branch
        if len(graph.SerializeToString()) > 1 << 20:
            break
    nested = _onnx([])
    nested.graph.node.extend(graph.node)
    yield "nested branches", nested.SerializeToString()
    yield "input of text", _onnx([node("Relu")], kind=TensorProto.STRING).SerializeToString()
    yield "input of 2^40", _onnx([node("Relu")], dims=(1 << 20, 1 << 20)).SerializeToString()
    yield "negative sizes", _onnx([node("Relu")], dims=(-5, 4)).SerializeToString()
    yield "input without end", _onnx([node("Relu")], dims=[1] * 3000).SerializeToString()
    yield "opset of the future", _onnx([node("Relu")], opset=9999).SerializeToString()
    yield "operator of nobody", _onnx([node("Evil" + EVIL, domain="own")]).SerializeToString()
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "w")
    yield "expand without end", _onnx([node("Expand", ("x", "w"))], [shape], dims=(1, 1)).SerializeToString()
    fill = _onnx([node("ConstantOfShape", ("w",), ("v",)), node("Add", ("x", "v"))], [shape], dims=(1, 1))
    yield "constant without end", fill.SerializeToString()
    claims = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    claims.dims[0] = 1 << 33
    yield "constant that claims", _onnx([node("Add", ("x", "w"))], [claims]).SerializeToString()
    raw = numpy_helper.from_array(np.zeros(4, np.float32), "w")
    raw.raw_data = b"123"
    yield "constant cut short", _onnx([node("Add", ("x", "w"))], [raw]).SerializeToString()
    raw.data_type = 99
    yield "constant of no type", _onnx([node("Add", ("x", "w"))], [raw]).SerializeToString()
    yield (
        "circle",
        _onnx(
            [node("Relu", ("b",), ("a",)), node("Relu", ("a",), ("b",)), node("Add", ("x", "b"))]
        ).SerializeToString(),
    )
    yield "no nodes", _onnx([]).SerializeToString()
    many = _onnx([node("Relu", ("x" if n == 0 else f"t{n}",), (f"t{n + 1}",)) for n in range(201_000)])
    yield "too many nodes", many.SerializeToString()
    named = _onnx([node("Relu", name=EVIL)])
    named.graph.input[0].name = named.graph.node[0].input[0] = "x" + EVIL
    yield "hostile names", named.SerializeToString()


# Keras

_LAYER = {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
          "config": {"name": "d", "units": 2, "build_config": {"input_shape": [None, 4]}}}  # fmt: skip
_INPUT = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
          "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"}}  # fmt: skip


def _config(*layers: Any, **more: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "registered_name": None,
            "config": {"name": "s", "layers": [_INPUT, *layers], **more}}  # fmt: skip


def _keras(
    config: Any, method: int = zipfile.ZIP_DEFLATED, weights: bytes = b"\x89HDF\r\n\x1a\n", **members: bytes
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", config if isinstance(config, (bytes, str)) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _spoil_member(data: bytes, name: str, rng: random.Random) -> bytes:
    """Damage the compressed bytes of a member."""
    found = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(name)
    begin = info.header_offset + 30 + len(name)
    for at in range(begin + 2, min(begin + info.compress_size, begin + 60)):
        found[at] = rng.randrange(256)
    return bytes(found)


def _with_info(config: Any, **fields: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (("config.json", json.dumps(config)), ("model.weights.h5", "x"), ("link", "/etc/passwd")):
            info = zipfile.ZipInfo(name)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, data)
    return file.getvalue()


def keras_files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    good = _keras(_config(_LAYER))
    yield "cut", good[: len(good) // 2]
    for method, name in ((zipfile.ZIP_DEFLATED, "zlib"), (zipfile.ZIP_LZMA, "lzma"), (zipfile.ZIP_BZIP2, "bzip2")):
        yield f"bad {name} member", _spoil_member(_keras(_config(_LAYER), method), "config.json", rng)
        yield (
            f"bad {name} weights",
            _spoil_member(_keras(_config(_LAYER), method, weights=rng.randbytes(500)), "model.weights.h5", rng),
        )
    for number in range(4):
        yield f"flipped {number}", _flipped(good, rng, 12)
    yield "deep configuration", _keras("[" * 100_000)
    yield "deep layer", _keras('{"config": ' * 5000 + "{}" + "}" * 5000)
    yield (
        "wide configuration",
        _keras('{"class_name": "Sequential", "config": {"layers": [' + "[]," * 5_400_000 + "[]]}}"),
    )
    yield "configuration of 40 MB", _keras('{"config": {"name": "' + "n" * (40 << 20) + '"}}')
    yield "configuration of another kind", _keras("[1, 2]")
    yield "configuration that is no text", _keras(b"\xff\xfe{}")
    yield "numbers without end", _keras('{"config": {"n": ' + "9" * 10_000 + "}}")
    yield "above its folder", _keras(_config(_LAYER), **{"../../evil.txt": b"x"})
    yield "link", _with_info(_config(_LAYER), external_attr=(stat.S_IFLNK | 0o777) << 16)
    yield "method of nobody", good.replace(b"PK\x01\x02\x14\x03\x14\0\0\0\x08\0", b"PK\x01\x02\x14\x03\x14\0\0\0\x63\0")
    yield "zip bomb", _keras(_config(_LAYER), weights=bytes(200 << 20))
    yield "60,000 members", _keras(_config(_LAYER), zipfile.ZIP_STORED, **{f"m{n}": b"" for n in range(60_000)})
    yield "lambda", _keras(_config({"module": "keras.layers", "class_name": "Lambda", "config": {"name": EVIL}}))
    yield "class of nobody", _keras(_config({**_LAYER, "module": "os", "class_name": "system", "registered_name": "x"}))
    yield "layer without end", _keras(_config({**_LAYER, "config": {"name": "d", "units": 1 << 40}}))
    yield "hostile names", _keras(_config({**_LAYER, "config": {"name": EVIL, "units": 2}}))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(2):
                archive.writestr("config.json", json.dumps(_config(_LAYER)))
        archive.writestr("model.weights.h5", b"x")
    yield "two configurations", twice.getvalue()


def h5_files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    import h5py

    def made(write: Callable[[Any], object]) -> bytes:
        file = io.BytesIO()
        with h5py.File(file, "w") as h5:
            write(h5)
        return file.getvalue()

    def config(text: Any) -> Callable[[Any], object]:
        return lambda h5: h5.attrs.__setitem__("model_config", text)

    good = made(config(json.dumps(_config(_LAYER))))
    for share in (0.01, 0.5, 0.95):
        yield f"cut at {share}", good[: int(share * len(good))]
    for number in range(6):
        yield f"flipped {number}", _flipped(good, rng, 20)
    yield "signature and noise", b"\x89HDF\r\n\x1a\n" + rng.randbytes(2000)
    yield "configuration of numbers", made(config(np.arange(3)))
    yield "deep configuration", made(config("[" * 60_000))
    yield "no model", made(lambda h5: h5.create_group("g"))
    yield (
        "link to a file",
        made(lambda h5: (config("{}")(h5), h5.__setitem__("w", h5py.ExternalLink("/etc/passwd", "/")))),
    )
    yield (
        "data set without end",
        made(
            lambda h5: (
                config(json.dumps(_config(_LAYER)))(h5),
                h5.create_dataset("w", (1 << 40,), "f4", chunks=(1024,)),
            )
        ),
    )


def saved_models(folder: Path, rng: random.Random) -> Iterator[Path]:
    def varint(value: int) -> bytes:
        found = b""
        while value > 127:
            found, value = found + bytes([value & 127 | 128]), value >> 7
        return found + bytes([value])

    def field(number: int, data: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(data)) + data

    def saved(*operators: str) -> bytes:
        graph = b"".join(field(1, field(1, b"n") + field(2, op.encode())) for op in operators)
        return field(2, field(2, graph) + field(5, field(1, b"serving_default") + field(2, b"")))

    contents = {
        "noise": rng.randbytes(4000), "empty": b"", "overflow": b"\x12" + b"\xff" * 40, "python": saved("PyFunc"),
        "files": saved("ReadFile"), "hostile operator": saved("Op" + EVIL), "hollow": saved(),
        "fields without end": b"\x08\x01" * 12_000_000, "cut": saved("Relu")[:-3],
    }  # fmt: skip
    for name, data in contents.items():
        path = folder / f"saved {name}"
        path.mkdir()
        (path / "saved_model.pb").write_bytes(data)
        yield path
    linked = folder / "saved link"
    linked.mkdir()
    (linked / "saved_model.pb").write_bytes(saved("Relu"))
    (linked / "variables").symlink_to("/etc")
    yield linked
    fifo = folder / "saved fifo"
    fifo.mkdir()
    os.mkfifo(fifo / "saved_model.pb")
    yield fifo


# Data


def _npy(header: str | dict[str, Any], data: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else repr(header)).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + data


def _npz(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def _array(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values), allow_pickle=True)
    return file.getvalue()


def data_files(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    x = np.zeros((4, 8), np.float32)
    good = _npz(x=_array(x), y=_array([0, 1, 2, 3]))
    yield "cut.npz", good[:-50]
    for number in range(4):
        yield f"flipped {number}.npz", _flipped(good, rng, 6)
    yield "objects.npz", _npz(x=_array(np.array([{}, []], object)))
    yield "claims.npz", _npz(x=_npy({"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 8)}))
    yield "negative.npz", _npz(x=_npy({"descr": "<f4", "fortran_order": False, "shape": (-1, 8)}))
    yield "deep.npz", _npz(x=_npy("(" * 5000))
    yield "deeper.npz", _npz(x=_npy("{'descr': " + "-" * 5000 + "1}"))
    yield "long.npz", _npz(x=_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 60_000 + ")}"))
    yield "code.npz", _npz(x=_npy("__import__('os').system('touch /tmp/evil')"))
    yield (
        "bomb.npz",
        _npz(
            zipfile.ZIP_DEFLATED,
            x=_npy({"descr": "<f4", "fortran_order": False, "shape": (200 << 15, 8)}, bytes(200 << 20)),
        ),
    )
    yield "zlib.npz", _spoil_member(_npz(zipfile.ZIP_DEFLATED, x=_array(rng.choices(range(9), k=900))), "x.npy", rng)
    yield "lzma.npz", _spoil_member(_npz(zipfile.ZIP_LZMA, x=_array(rng.choices(range(9), k=900))), "x.npy", rng)
    yield "text.npz", _npz(x=_array(["a", EVIL]))
    yield "scalar.npz", _npz(x=_array(3))
    yield "complex.npz", _npz(x=_array(np.ones((2, 8), complex)))
    yield "void.npz", _npz(x=_npy({"descr": "|V0", "fortran_order": False, "shape": (1 << 60,)}))
    yield "nothing.npz", _npz()
    yield "names.npz", _npz(**{EVIL: _array(x)})
    yield "labels.npz", _npz(x=_array(x), y=_array([1e300, np.nan, -1, 2]))
    yield "array.npy", _array(x)
    yield "noise.npy", rng.randbytes(2000)


def pictures(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(width: int, height: int, *more: bytes, data: bytes = b"", depth: int = 8) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    rows = zlib.compress(bytes(17 * 16))
    good = png(16, 16, data=rows)
    yield "bomb.png", png(60_000, 60_000, data=zlib.compress(bytes(1 << 20)))
    yield "large.png", png(8000, 8000, data=zlib.compress(bytes(8001 * 8000), 9))
    yield "text.png", png(16, 16, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100 << 20))), data=rows)
    yield "profile.png", png(16, 16, chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100 << 20))), data=rows)
    yield "cut.png", good[:-30]
    yield "sizes of 0.png", png(0, 0, data=rows)
    yield "deep.png", png(16, 16, data=rows, depth=16)
    for number in range(4):
        yield f"flipped {number}.png", _flipped(good, rng, 5)
    yield "noise.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF" + rng.randbytes(3000)
    yield (
        "negative.bmp",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, -5, -(1 << 31), 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield (
        "frames.gif",
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6) + b"," + rng.randbytes(500),
    )
    yield "claims.ppm", b"P6\n99999 99999\n255\n" + bytes(100)
    yield "digits.ppm", b"P6\n" + b"9" * 100_000 + b" 1\n255\n"
    yield "cut.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8L\xff\xff\xff\x7f/" + rng.randbytes(100)
    yield f"name{EVIL}.png".replace("/", ""), rng.randbytes(100)


def recipes(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "noise", rng.randbytes(2000)
    yield "deep", b"a = " + b"[" * 20_000
    yield "deep keys", b".".join([b"a"] * 20_000) + b" = 1"
    yield "deep tables", b"[" + b".".join([b"a"] * 20_000) + b"]"
    yield "large", b"# " + b"n" * (20 << 20)
    yield "pass of nobody", b'schema = 1\nname = "x"\n[[passes]]\nname = "' + EVIL.encode("unicode_escape") + b'"\n'
    yield "digits", b"schema = " + b"9" * 100_000
    yield "values of another kind", b"schema = 1\nname = 3\npasses = 7\n"
    yield "infinite", b'schema = 1\nname = "x"\n[bounds]\naccuracy_drop = nan\n'
    yield (
        "hostile",
        b'schema = 1\nname = "\\u001b]0;x\\u0007"\ndescription = "\\u001b[2J"\n[[steps]]\npass = "\\u009b31m"\n',
    )


def databases(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    head = b'{"schema": 1, "core": "x", "target": {}, "tvm": "0"}\n'
    yield "noise", rng.randbytes(3000)
    yield "empty", b""
    yield "deep", b"[" * 100_000 + b"\n"
    yield "deep entry", head + b'{"kernel": ' + b"[" * 100_000 + b"\n"
    yield "wide", b'{"schema": [' + b"[]," * 3_000_000 + b"[]]}\n"
    yield "another kind", b"[1]\n{}\n"
    yield "hostile", b'{"schema": 1, "core": "\\u001b]0;x\\u0007", "target": {}, "tvm": "x"}\n'
    yield "one line", b'{"schema": 1' + b" " * (10 << 20)
    yield "digits", b'{"schema": ' + b"9" * 100_000 + b"}\n"


def targets(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "noise", rng.randbytes(2000)
    yield "deep", b"a = " + b"[" * 20_000
    yield "deep keys", b".".join([b"a"] * 20_000) + b" = 1"
    yield "kinds", b'schema = 1\nname = "kinds"\nkind = 1\ndescription = []\narch = {}\nbackends = 3\nrunners = 4\n'
    yield "list", b"schema = [1]\nname = {}\n"
    yield "large", b"# " + b"n" * (20 << 20)


# Bundles


def _sealed(folder: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None) -> None:
    """Give the manifest the digests that the files have now, as somebody would who wants them to be run."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in list(manifest["files"]):
        path = folder / name
        if path.is_file() and not path.is_symlink():
            manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": bundle.digest(path)}
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _program(text: str) -> Callable[[Path], None]:
    """The bundle's own program, replaced by a script; it is called as edgekit-run is."""

    def change(folder: Path) -> None:
        (folder / "artifact" / "edgekit-run").write_text("#!/bin/sh\n" + text)
        _sealed(folder)

    return change


def _replaced(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data())
        _sealed(folder)

    return change


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda folder: _sealed(folder, change)


def _unlinked(folder: Path, name: str) -> Path:
    (folder / name).unlink()
    return folder / name


_ENDS = 'printf \'{"runtime":"x","latency_ms":[1],"events":[],"power":null,"peak_ram_bytes":1,"threads":1,"machine":{"model":"m","cpu":"c","clock_mhz":1},"init_ms":1}\' >trace.json\n'
BUNDLES: dict[str, Callable[[Path], object]] = {
    "linked model": lambda f: _unlinked(f, "model.tflite").symlink_to("/etc/passwd"),
    "linked artifact": lambda f: (shutil.rmtree(f / "artifact"), (f / "artifact").symlink_to("/etc")),
    "fifo": lambda f: os.mkfifo(_unlinked(f, "golden.npz")),
    "missing file": lambda f: _unlinked(f, "golden.npz"),
    "changed file": lambda f: (f / "golden.npz").write_bytes(b"x"),
    "one too many": lambda f: (f / "artifact" / "more").touch(),
    "manifest that is deep": lambda f: (f / "manifest.json").write_text("[" * 100_000),
    "manifest that is wide": lambda f: (f / "manifest.json").write_text('{"schema": [' + "[]," * 3_000_000 + "[]]}"),
    "manifest of 20 MB": lambda f: (f / "manifest.json").write_text('{"schema": 1, "x": "' + "x" * (20 << 20) + '"}'),
    "manifest of another kind": lambda f: (f / "manifest.json").write_text("[1]"),
    "manifest of noise": lambda f: (f / "manifest.json").write_bytes(bytes(range(256)) * 9),
    "manifest that is cut": lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text()[:-40]),
    "target of nobody": _manifest(lambda m: m.update(target="../../x" + EVIL)),
    "backend of nobody": _manifest(lambda m: m.update(backend="x" + EVIL)),
    "hostile names": _manifest(lambda m: (m["model"].update(name=EVIL), m["recipe"].update(name=EVIL), m.update(runtime=EVIL))),
    "command of another kind": _manifest(lambda m: m.update(run=[[1], {"a": 2}])),
    "inputs of another kind": _manifest(lambda m: m.update(inputs=[1], outputs=["x"])),
    "name above": _manifest(lambda m: m["files"].update({"../x": {"bytes": 1, "sha256": "0"}})),
    "accuracy of another kind": _manifest(lambda m: m.update(accuracy=[1], parity="x", delegates=3)),
    "golden data that are deep": _replaced("golden.npz", lambda: _npz(input0=_npy("(" * 5000))),
    "golden data of objects": _replaced("golden.npz", lambda: _npz(input0=_array(np.array([{}], object)))),
    "golden data that claim": _replaced("golden.npz", lambda: _npz(input0=_npy({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}))),
    "golden bomb": _replaced("golden.npz", lambda: _npz(zipfile.ZIP_DEFLATED, input0=_npy({"descr": "|u1", "fortran_order": False, "shape": (700 << 20,)}, bytes(700 << 20)))),
    "golden data of other shapes": _replaced("golden.npz", lambda: _npz(input0=_array(np.zeros((3, 9, 9), np.float32)), output0=_array(np.zeros((4, 2), np.int8)))),
    "golden data without samples": _replaced("golden.npz", lambda: _npz(input0=_array(np.zeros((0, 1, 8), np.float32)), output0=_array(np.zeros((0, 1, 4), np.float32)))),
    "network of shared tensors": _replaced("model.tflite", lambda: _tables(tensors=350_000)),
    "network of noise": _replaced("model.tflite", bytes(range(256)) * 9),
    "network of text": _replaced("model.tflite", lambda: _network(lambda graph: setattr(graph.tensors[0], "dtype", "string"))),
    "program that floods": _program("exec yes\n"),
    "program that hangs the reader": _program(_ENDS + "mkfifo out.bin\n"),
    "program that links": _program(_ENDS + "ln -s /dev/zero out.bin\n"),
    "program with a large file": _program(_ENDS + "dd if=/dev/zero of=out.bin bs=1 count=1 seek=2000000000 2>/dev/null\n"),
    "program that says things": _program("printf 'edgekit-run: \\033]0;title\\007\\033[2J\\n' >&2; exit 1\n"),
    "program with a damaged trace": _program("head -c 512 /dev/zero >out.bin; echo '[[[[' >trace.json\n"),
    "program with an odd trace": _program('head -c 512 /dev/zero >out.bin; echo \'{"machine": 3, "runtime": "\\u001b[2J", "latency_ms": [{}]}\' >trace.json\n'),
    "program that writes elsewhere": _program('echo x >"$HOME/evil"; echo x >/tmp/evil-$$; exit 1\n'),
}  # fmt: skip


def packed_bundles(folder: Path, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Damaged ``.edgekit`` files of the bundle in ``folder``."""

    def zipped(
        method: int = zipfile.ZIP_DEFLATED,
        change: Callable[[str, zipfile.ZipInfo], None] = lambda name, info: None,
        **more: bytes,
    ) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name in bundle.relative_files(folder):
                info = zipfile.ZipInfo(name)
                info.compress_type = method
                change(name, info)
                archive.writestr(info, (folder / name).read_bytes())
            for name, data in more.items():
                archive.writestr(name, data, method)
        return file.getvalue()

    good = zipped()
    yield "cut", good[: len(good) // 2]
    yield "noise", rng.randbytes(5000)
    for method, name in ((zipfile.ZIP_DEFLATED, "zlib"), (zipfile.ZIP_LZMA, "lzma"), (zipfile.ZIP_BZIP2, "bzip2")):
        yield f"bad {name}", _spoil_member(zipped(method), "golden.npz", rng)
    for number in range(4):
        yield f"flipped {number}", _flipped(good, rng, 300)
    yield "60,000 members", zipped(**{f"m/{n}": b"" for n in range(60_000)})
    yield "above its folder", zipped(**{"../../evil": b"x"})
    yield "absolute", zipped(**{"/tmp/evil": b"x"})
    yield "bomb", zipped(**{"artifact/zeros": bytes(300 << 20)})
    yield "links", zipped(change=lambda name, info: setattr(info, "external_attr", (stat.S_IFLNK | 0o777) << 16))
    yield "hostile names", zipped(**{EVIL: b"x", "\udcff" if False else "b" * 300: b"x"})
    yield "folder and file", zipped(**{"a": b"x", "a/b": b"y"})


FAMILIES: dict[str, tuple[str, Callable[[random.Random], Iterator[tuple[str, bytes]]], tuple[Command, ...], Codes]] = {
    "tflite": (".tflite", tflite_files, MODEL, READS),
    "onnx": (".onnx", onnx_files, MODEL, READS),
    "keras": (".keras", keras_files, MODEL, READS),
    "h5": (".h5", h5_files, MODEL, READS),
    "data": ("", data_files, (("compile", "{good}", *HOST, "-r", "int8", "-d", "{path}"),), DATA),
    "recipe": (".toml", recipes, (("compile", "{good}", *HOST, "-r", "{path}"),), DATA),
    "database": ("", databases, (("compile", "{good}", *HOST, "-b", "tvm", "--database", "{path}"),), DATA),
    "target": (".toml", targets, (("target", "{path}"),), DATA),
}
"""Of files: how their names end, what makes them, what is called, with which exit codes."""
ALL = (*FAMILIES, "saved", "picture", "bundle", "packed")


def generate(folder: Path, made: Path, families: Sequence[str] = ALL, seed: int = 1) -> list[Case]:
    """Write the corpus, or some families of it, below ``folder``.

    :param made: a sound bundle for this machine.
    """
    cases: list[Case] = []
    for family in families:
        rng = random.Random(f"{seed} {family}")
        place = folder / family
        place.mkdir()
        if family in FAMILIES:
            ending, files, commands, codes = FAMILIES[family]
            for name, data in files(rng):
                path = place / f"{name}{ending}"
                path.write_bytes(data)
                cases.append(Case(f"{family}: {name}", path, commands, codes))
        elif family == "saved":
            cases += [Case(f"saved: {path.name}", path, MODEL) for path in saved_models(place, rng)]
        elif family == "picture":
            for name, data in pictures(rng):
                inner = place / str(len(cases))
                inner.mkdir()
                (inner / name).write_bytes(data)
                command = ("compile", "{square}", *HOST, "-r", "int8", "-d", "{path}")
                cases.append(Case(f"picture: {name!a}", inner, (command,), DATA))
        elif family == "bundle":
            for name, change in BUNDLES.items():
                shutil.copytree(made, place / name)
                change(place / name)
                cases.append(Case(f"bundle: {name}", place / name, VERBS, RUNS))
        else:
            for name, data in packed_bundles(made, rng):
                path = place / f"{name}.edgekit"
                path.write_bytes(data)
                cases.append(Case(f"packed: {name}", path, VERBS, RUNS))
    return cases


def square() -> Graph:
    """A network that takes pictures."""
    tensors = [Tensor("x", (1, 16, 16, 1), "float32"), Tensor("y", (1, 16, 16, 1), "float32")]
    return Graph([Subgraph("main", tensors, [Operator("RELU", (0,), (1,))], (0,), (1,))])


def few(case: Case) -> bool:
    """Whether a case is among those that every run of the tests tries: the quick ones that once went wrong, and a few."""
    slow = (
        "expand without end",
        "a little",
        "training info",
        "too many nodes",
        "wide",
        "bomb.npz",
        "large.png",
        "hostile",
    )
    once = (
        "shared",
        "double",
        "itself",
        "deep",
        "claims",
        "zlib",
        "lzma",
        "two",
        "60,000",
        "text",
        "program",
        "golden",
    )
    if any(word in case.name for word in slow):
        return False
    return any(word in case.name for word in once) or zlib.crc32(case.name.encode()) % 16 == 0


def main(arguments: Sequence[str]) -> int:
    from tests.security.hostile import judged

    families = [argument for argument in arguments if argument != "--few"]
    failed = total = 0
    only = few if "--few" in arguments else lambda case: True
    for case, codes, seconds, memory, problems in judged(families or ALL, only):
        print(f"{case.name}: exit {codes}, {seconds:.1f} s, {memory >> 20} MiB {'; '.join(problems)}", flush=True)
        failed += bool(problems)
        total += 1
    print(f"{failed} of {total} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
