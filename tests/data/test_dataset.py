from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data import dataset, npz
from edgekit.data import spec as data_spec
from edgekit.data.conform import conform
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, Quantization, Tensor
from tests.networks.small import Builder, convolutional, dense

HEAD = np.zeros((10, 577), np.float32)


class Log:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def step(self, name: str) -> None: ...

    def advance(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def network(*shapes: tuple[int, ...], dtype: str = "float32", scale: float | None = None, classes: int = 10) -> Graph:
    b = Builder()
    q = None if scale is None else Quantization(np.array([scale], np.float32), np.array([3]))
    inputs = tuple(b.tensor(s, dtype, name=f"in{i}", quantization=q) for i, s in enumerate(shapes))
    return b.graph(inputs, (b.tensor((1, classes), name="out"),))


def saved(folder: Path, **arrays: object) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


X = np.random.default_rng(0).random((6, 28, 28, 1)).astype(np.float32)
Y = np.array([0, 1, 2, 3, 4, 9])


@pytest.mark.parametrize("shape", [(6, 28, 28, 1), (6, 1, 28, 28, 1), (6, 28, 28)])
@pytest.mark.parametrize("name", ["x", "x0", "image"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_npz_in_every_accepted_form(shape, name, dtype, tmp_path):
    graph = convolutional(HEAD)
    data = dataset.load(saved(tmp_path, **{name: X.reshape(shape).astype(dtype), "y": Y}), graph)
    assert data.inputs[0].shape == (6, 1, 28, 28, 1) and data.inputs[0].dtype == np.float32
    np.testing.assert_array_equal(data.inputs[0].reshape(X.shape), X.astype(dtype).astype(np.float32))
    assert data.labels is not None and data.labels.dtype == np.int64 and list(data.labels) == list(Y)
    assert not data.random and len(data) == 6


@pytest.mark.parametrize("y", [Y[:, None], np.eye(10)[Y], Y.astype(np.float32), Y.astype(np.uint8)])
def test_labels_in_every_accepted_form(y, tmp_path):
    data = dataset.load(saved(tmp_path, x=X, y=y), convolutional(HEAD))
    assert data.labels is not None and list(data.labels) == list(Y)


def test_a_regressions_targets_are_no_labels(tmp_path):
    log = Log()
    data = dataset.load(saved(tmp_path, x=X, y=Y + 0.5), convolutional(HEAD), progress=log)
    assert data.labels is None and "no accuracy" in log.warnings[0]


def test_uint8_for_a_float_network_is_pixels_and_said_so(tmp_path):
    pixels = np.arange(6 * 784).reshape(6, 28, 28).astype(np.uint8)
    log = Log()
    data = dataset.load(saved(tmp_path, x=pixels), convolutional(HEAD), progress=log)
    np.testing.assert_allclose(data.inputs[0].reshape(pixels.shape), pixels / 255, atol=1e-6)
    assert "scaled to 0..1" in log.warnings[0]
    data = dataset.load(saved(tmp_path, x=pixels) + "?range=-1,1", convolutional(HEAD))
    np.testing.assert_allclose(data.inputs[0].reshape(pixels.shape), pixels / 127.5 - 1, atol=1e-6)


def test_several_inputs_by_number_or_name(tmp_path):
    graph = network((1, 4), (1, 2, 2))
    a, b = np.zeros((3, 4), np.float32), np.ones((3, 2, 2), np.float32)
    for names in (("x0", "x1"), ("in0", "in1"), ("in0", "x1")):
        data = dataset.load(saved(tmp_path, **dict(zip(names, (a, b), strict=True))), graph)
        assert [x.shape for x in data.inputs] == [(3, 1, 4), (3, 1, 2, 2)]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": X[:, :14]}, r"x has shape \[6, 14, 28, 1\], expected \[n, 1, 28, 28, 1\] or \[n, 28, 28, 1\]"),
        ({"x": X[0, 0, 0, 0]}, r"x has shape \[\]"),
        ({"x": X[:0]}, "x is empty"),
        ({"x": X.astype(np.int64)}, "x is int64, expected float32"),
        ({"x": X.astype(bool)}, "x is bool, expected float32"),
        ({"x": X.astype(complex)}, "x holds complex128, expected numbers"),
        ({"x": np.where(X > 0.5, np.nan, X)}, "x holds NaN"),
        ({"x": np.where(X > 0.5, np.inf, X)}, "x holds NaN, infinity"),
        ({"x": X.astype(np.float64) * 1e300}, "beyond float32"),
        ({"x": np.array(["a", "b"])}, "x holds <U1, expected numbers"),
        ({"x": np.array([{}, {}], object)}, "x holds objects, expected numbers"),
        ({"x": X, "y": Y[:4]}, "y has 4 labels, x has 6 samples"),
        ({"x": X, "y": Y + 1}, r"labels must be 0..9, found 1..10"),
        ({"x": X, "y": Y - 1}, r"labels must be 0..9, found -1..8"),
        ({"z": X}, "expected x, found z"),
        ({}, "expected x, found none"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_one_clear_line(arrays, says, tmp_path):
    with np.errstate(over="ignore"), pytest.raises(UsageError, match=says) as caught:
        dataset.load(saved(tmp_path, **arrays), convolutional(HEAD))
    assert caught.value.exit_code == 2 and "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", bytes(range(256)) * 9])
def test_files_that_are_no_npz(content, tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"not an \.npz"):
        dataset.load(str(path), convolutional(HEAD))


def test_missing_files_and_wrong_options(tmp_path):
    graph = convolutional(HEAD)
    for spec, says in [
        (str(tmp_path / "none.npz"), "no such file"),
        (saved(tmp_path, x=X) + "?range=1,0", "is not an option"),
        (saved(tmp_path, x=X) + "?scale=2", "is not an option"),
        (saved(tmp_path, x=X) + "?range=0,nan", "is not an option"),
        ("", "no such file"),
    ]:
        with pytest.raises(UsageError, match=says):
            dataset.load(spec, graph)


def _npy(shape: tuple[int, ...], size: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(size)


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", _npy((2**40,), 100))
    with pytest.raises(UsageError, match="claims 1099511627776 values"):
        dataset.load(str(path), convolutional(HEAD))
    monkeypatch.setattr(npz, "MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(2 << 20))
    assert path.stat().st_size < 10_000
    with pytest.raises(UsageError, match="unpacks to 2 MiB, the limit is 1 MiB"):
        dataset.load(str(path), convolutional(HEAD))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(1, 8))
def test_damaged_npz_files_never_show_anything_but_a_usage_error(position, value, count):
    file = io.BytesIO()
    np.savez(file, x=X[:2], y=Y[:2])
    content = bytearray(file.getvalue())
    for k in range(count):
        content[(position * (k + 1)) % len(content)] = (value + k) % 256
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        path.write_bytes(content)
        with contextlib.suppress(UsageError):
            dataset.load(str(path), convolutional(HEAD))


def test_integer_networks_quantize_reals_and_pass_integers_through(tmp_path):
    graph = network((1, 4), dtype="int8", scale=0.5)
    real = np.array([[0, 0.5, -1, 1000], [0.24, 0.26, 0.25, 0.75]], np.float32)
    data = dataset.load(saved(tmp_path, x=real), graph)
    assert data.inputs[0].dtype == np.float32
    assert dataset.as_network_inputs(data, graph)[0].tolist() == [[[3, 4, 1, 127]], [[3, 4, 3, 5]]]
    integers = np.array([[-128, 0, 1, 127]], np.int8)
    data = dataset.load(saved(tmp_path, x=integers), graph)
    assert dataset.as_network_inputs(data, graph)[0].tolist() == [[[-128, 0, 1, 127]]]


def test_indices_pass_in_any_integer_dtype_that_holds_them(tmp_path):
    graph = network((1, 4), dtype="int32")
    data = dataset.load(saved(tmp_path, x=np.arange(8).reshape(2, 4)), graph)
    assert data.inputs[0].dtype == np.int32
    with pytest.raises(UsageError, match="outside int32"):
        dataset.load(saved(tmp_path, x=np.full((2, 4), 2**40)), graph)
    with pytest.raises(UsageError, match="is float32, expected int32"):
        dataset.load(saved(tmp_path, x=np.zeros((2, 4), np.float32)), graph)


def test_data_of_another_network_is_refused():
    data = dataset.Dataset([np.zeros((2, 1, 4), np.float32)])
    for graph, says in [
        (network((1, 5)), "has shape"),
        (network((1, 4), (1, 4)), "has 1 inputs, the network 2"),
        (network((1, 4), dtype="int32"), "takes int32, the data is float32"),
    ]:
        with pytest.raises(UsageError, match=says):
            dataset.as_network_inputs(data, graph)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=0, max_size=3),
    st.integers(1, 6),
    st.sampled_from(["float32", "float64", "uint8"]),
    st.booleans(),
    st.booleans(),
)
def test_conforming_keeps_every_value_in_its_place(inner, samples, dtype, with_batch, without_last):
    tensor = Tensor("t", (1, *inner, 1), "float32")
    full = (samples, *tensor.shape)
    values = (np.arange(np.prod(full)) % 256).reshape(full).astype(dtype)
    shape = full if with_batch else (full[:1] + full[2:-1] if without_last else full[:1] + full[2:])
    found, note = conform(values.reshape(shape), tensor, "x", (0.0, 255.0))
    assert found.shape == full and found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=1e-6)
    assert bool(note) == (dtype == "uint8")


def test_subsets_are_seeded_and_keep_labels_with_their_samples():
    data = dataset.Dataset([np.arange(50, dtype=np.float32)[:, None]], np.arange(50))
    one, two, other = data.subset(10, 1), data.subset(10, 1), data.subset(10, 2)
    assert len(one) == 10 and one.labels is not None and two.labels is not None and other.labels is not None
    np.testing.assert_array_equal(one.inputs[0][:, 0], one.labels)
    assert list(one.labels) == list(two.labels) != list(other.labels)
    assert data.subset(None) is data.subset(50) is data.subset(99) is data


def test_random_is_seeded_and_warned_about():
    graph = convolutional(HEAD)
    log = Log()
    first, second = (dataset.load("random", graph, seed=4, progress=log) for _ in range(2))
    assert first.random and len(first) == dataset.RANDOM_SAMPLES
    np.testing.assert_array_equal(first.inputs[0], second.inputs[0])
    assert "meaningless" in log.warnings[0]
    assert len(dataset.load("random", graph, limit=5)) == 5
    quantized = dataset.load("random", network((1, 400), dtype="int8", scale=1.0)).inputs[0]
    assert quantized.dtype == np.int8 and quantized.min() == -128 and quantized.max() == 127


def test_random_indices_stay_inside_the_table():
    b = Builder()
    x = b.tensor((1, 40), "int64", name="ids")
    cast = b.add("CAST", (x,), (1, 40), "int32")
    table = b.constant(np.zeros((7, 3), np.float32))
    graph = b.graph((x,), (b.add("GATHER", (table, cast), (1, 40, 3), options="Gather", axis=0),))
    values = dataset.random(graph).inputs[0]
    assert values.dtype == np.int64 and values.min() == 0 and values.max() == 6


def test_networks_without_inputs_take_no_data():
    with pytest.raises(ModelError, match="no inputs"):
        dataset.load("random", network())


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB", colour: object = (255, 0, 51)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]


def test_folders_are_classes_in_sorted_order(tmp_path):
    picture(tmp_path / "dog" / "a.png")
    picture(tmp_path / "cat" / "b.jpg")
    picture(tmp_path / "cat" / "a.bmp")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    data = dataset.load(f"{tmp_path}?range=-1,1", network((1, 8, 6, 3)))
    assert data.labels is not None and list(data.labels) == [0, 0, 1]
    assert data.inputs[0].shape == (3, 1, 8, 6, 3) and data.inputs[0].dtype == np.float32
    np.testing.assert_allclose(data.inputs[0][0, 0, 0, 0], [1, -1, -0.6], atol=1e-6)


def test_a_flat_folder_has_no_labels_and_channels_follow_the_network(tmp_path):
    picture(tmp_path / "a.png", mode="L", colour=51)
    assert dataset.load(str(tmp_path), network((1, 8, 8, 1))).labels is None
    np.testing.assert_allclose(dataset.load(str(tmp_path), network((1, 8, 8, 1))).inputs[0], 0.2, atol=1e-6)
    assert dataset.load(str(tmp_path), network((1, 3, 8, 9))).inputs[0].shape == (1, 1, 3, 8, 9)
    raw = dataset.load(str(tmp_path), network((1, 8, 8, 3), dtype="uint8")).inputs[0]
    assert raw.dtype == np.uint8 and (raw == 51).all()
    graph = network((1, 8, 8, 1), dtype="int8", scale=0.1)
    assert (dataset.as_network_inputs(dataset.load(str(tmp_path), graph), graph)[0] == 5).all()


def test_the_scaling_of_pictures_is_told_as_that_of_arrays(tmp_path):
    picture(tmp_path / "a.png")
    (note,) = dataset.load(str(tmp_path), network((1, 8, 8, 3))).notes
    assert note == f"{tmp_path} holds images: 0..255 was scaled to 0..1 (change it with ?range=LOW,HIGH)"
    (note,) = dataset.load(f"{tmp_path}?range=-1,1", network((1, 8, 8, 3))).notes
    assert note == f"{tmp_path} holds images: 0..255 was scaled to -1..1"  # as was asked for
    assert dataset.load(str(tmp_path), network((1, 8, 8, 3), dtype="uint8")).notes == []


def test_a_range_that_changes_nothing_is_told(tmp_path):
    np.savez(tmp_path / "real.npz", x=np.zeros((3, 8, 8, 3), np.float32))
    np.savez(tmp_path / "bytes.npz", x=np.zeros((3, 8, 8, 3), np.uint8))
    real = network((1, 8, 8, 3))
    for spec in (f"{tmp_path / 'real.npz'}?range=-1,1", "random?range=-1,1"):
        (note,) = dataset.load(spec, real).notes
        assert note == f"{spec}: ?range= changes nothing here: only bytes (pixels) are scaled to real values"
    for spec in (f"{tmp_path / 'real.npz'}?part=1/3", f"{tmp_path / 'bytes.npz'}?range=-1,1"):
        assert not [note for note in dataset.load(spec, real).notes if "changes nothing" in note]
    (note,) = dataset.load(f"{tmp_path / 'bytes.npz'}?range=-1,1", network((1, 8, 8, 3), dtype="uint8")).notes
    assert "changes nothing" in note


def test_a_limit_reads_only_so_many(tmp_path):
    for i in range(10):
        picture(tmp_path / f"{i % 2}" / f"{i}.png", size=(8, 8))
    data = dataset.load(str(tmp_path), network((1, 8, 8, 3)), limit=4)
    assert len(data) == 4 and data.labels is not None and len(data.labels) == 4


def test_wrong_folders_are_one_clear_line(tmp_path):
    graph = network((1, 8, 8, 3), classes=2)

    def refused(name: str, says: str, graph: Graph = graph) -> None:
        with pytest.raises(UsageError, match=says) as caught:
            dataset.load(str(tmp_path / name), graph)
        assert "\n" not in caught.value.message

    (tmp_path / "empty").mkdir()
    refused("empty", "no images in it")
    picture(tmp_path / "mixed" / "a.png")
    picture(tmp_path / "mixed" / "class" / "b.png")
    refused("mixed", "both next to and inside class folders")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    refused("broken", r"a\.png: not an image that can be read")
    picture(tmp_path / "cut" / "a.png", size=(200, 200))
    whole = (tmp_path / "cut" / "a.png").read_bytes()
    (tmp_path / "cut" / "a.png").write_bytes(whole[: len(whole) // 2])
    refused("cut", "not an image that can be read")
    picture(tmp_path / "deep" / "a.png", mode="I;16", colour=300)
    refused("deep", "more than 8 bits")
    picture(tmp_path / "flat" / "a.png")
    refused("flat", "need an input", network((1, 784)))
    refused("flat", "not images", network((1, 8, 8, 3), dtype="int32"))
    refused("flat", "feed one input", network((1, 8, 8, 3), (1, 4)))
    for name in "abc":
        picture(tmp_path / "three" / name / "x.png")
    refused("three", r"labels must be 0..1, found 0..2")


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    path = tmp_path / "a.png"
    picture(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2  # the header's width and height
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.png: .*(too large|DecompressionBombError)"):
        dataset.load(str(tmp_path), network((1, 8, 8, 3)))


def test_parts_have_nothing_in_common(tmp_path):
    graph = dense(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    np.savez(tmp_path / "d.npz", x=np.tile(np.arange(41, dtype=np.float32)[:, None], 2))
    load = lambda part, seed=0: dataset.load(f"{tmp_path}/d.npz?part={part}", graph, seed=seed).inputs[0][:, 0, 0]  # noqa: E731
    parts = [load(f"{k}/4") for k in (1, 2, 3, 4)]
    assert sorted(np.concatenate(parts)) == list(range(41)) and {len(part) for part in parts} == {10, 11}
    assert np.array_equal(load("2/4"), parts[1]) and not np.array_equal(load("2/4", seed=1), parts[1])
    assert np.array_equal(load("1/1"), np.arange(41))
    inner = data_spec.part(data_spec.part(f"{tmp_path}/d.npz", 2, 4), 1, 2)
    assert set(dataset.load(inner, graph).inputs[0][:, 0, 0]) < set(parts[1])
    both = dataset.load(f"{tmp_path}/d.npz?range=-1,1&part=2/4", graph)
    assert np.array_equal(both.inputs[0][:, 0, 0], parts[1])


@pytest.mark.parametrize("part", ["0/2", "3/2", "1/0", "1", "a/b", "1/2/3", "-1/2", "1.5/2", "2/99"])
def test_wrong_parts_are_named(part, tmp_path):
    graph = dense(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    np.savez(tmp_path / "d.npz", x=np.zeros((41, 2), np.float32))
    with pytest.raises(UsageError, match="part"):
        dataset.load(f"{tmp_path}/d.npz?part={part}", graph)
