"""Detectors' heads: each coding against its own inverse, what is refused, and C against the reference, bit for bit."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Quantization
from edgekit.tasks import detection, exact, task
from edgekit.tasks.detection import Detection, Suppression
from edgekit.tasks.detector import Detector
from edgekit.tasks.head import Order
from edgekit.tasks.labels import Scores
from edgekit.tasks.picture import Fit, Picture
from edgekit.tasks.task import Task
from tests.networks.small import Builder
from tests.tasks import c_driver

SIDE = 64
ANCHORS = "[[[10, 13], [33, 23]], [[62, 45], [116, 90]]]"
HEADS = {
    "center": 'boxes = "center"',
    "fraction": 'boxes = "center"\nunit = "fraction"',
    "corners": 'boxes = "corners"\norder = "yx"\nunit = 0.25',
    "distances": 'boxes = "distances"\nstrides = [8, 16]',
    "yolo5": f'boxes = "yolo5"\nstrides = [8, 16]\nanchors = {ANCHORS}',
    "ssd": f'boxes = "ssd"\ncells = [8, 4]\nbackground = true\nanchors = {ANCHORS}',
    "blazeface": 'boxes = "blazeface"\nstrides = [8, 16]\nanchors = [2, 2]',
}
ROWS = {"distances": [64, 16], "yolo5": [128, 32], "ssd": [128, 32], "blazeface": [128, 32]}
BOX = {"distances": 64}


def network(*outputs: tuple[int, ...], quantization: Quantization | None = None, dtype: str = "float32") -> Graph:
    b = Builder()
    x = b.tensor((1, SIDE, SIDE, 3), name="x")
    graph = b.graph((x,), tuple(b.add("NONE", (x,), shape) for shape in outputs))
    for tensor in graph.outputs:
        tensor.dtype, tensor.quantization = dtype, quantization
    return graph


def read(
    folder: Path, head: str, graph: Graph, *, labels: int = 3, more: str = "", top: str = 'scores = "logits"'
) -> Task:
    names = ", ".join(f'"{chr(97 + i)}"' for i in range(labels))
    text = f'schema = 1\ntask = "detection"\n{top}\nlabels = [{names}]\n[picture]\nfit = "letterbox"\n[head]\n{head}\n'
    (folder / "task.toml").write_text(text + more)
    return task.read(folder / "task.toml", graph)


def parts(found: Task) -> tuple[Detector, Picture]:
    assert isinstance(found.source, Picture) and isinstance(found.decider, Detector)
    return found.decider, found.source


def columns(name: str) -> tuple[int, int]:
    """Numbers of a box, and scores beside it, with three labels."""
    return BOX.get(name, 4), 3 + (name in ("yolo5", "ssd"))


def inverse(name: str, box: NDArray[Any], row: int) -> list[float]:
    """What a network that sees ``box``, in pixels of its input, must compute in a row."""
    (x0, y0, x1, y1), (cx, cy), (w, h) = box, (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    if name == "center":
        return [cx, cy, w, h]
    if name == "fraction":
        return [cx / SIDE, cy / SIDE, w / SIDE, h / SIDE]
    if name == "corners":
        return [4 * y0, 4 * x0, 4 * y1, 4 * x1]
    many = 1 if name == "distances" else 2
    first = row < 64 * many
    cell, stride, across = (row // many, 8, 8) if first else ((row - 64 * many) // many, 16, 4)
    ax, ay = (cell % across + 0.5) * stride, (cell // across + 0.5) * stride
    if name == "distances":
        bins = []
        for far in (ax - x0, ay - y0, x1 - ax, y1 - ay):
            low, rest = divmod(far / stride, 1)
            logits = np.full(16, -60.0)
            logits[int(low)], logits[int(low) + 1] = math.log(1 - rest + 1e-12), math.log(rest + 1e-12)
            bins += logits.tolist()
        return bins
    sizes = [(10, 13), (33, 23)] if first else [(62, 45), (116, 90)]
    aw, ah = (SIDE, SIDE) if name == "blazeface" else sizes[row % 2]
    if name == "blazeface":
        return [cx - ax, cy - ay, w, h]
    if name == "ssd":
        return [(cy - ay) / ah / 0.1, (cx - ax) / aw / 0.1, math.log(h / ah) / 0.2, math.log(w / aw) / 0.2]

    def logit(p: float) -> float:
        return math.log(p / (1 - p))

    return [
        logit(((cx - ax) / stride + 1) / 2), logit(((cy - ay) / stride + 1) / 2),
        logit(math.sqrt(w / aw) / 2), logit(math.sqrt(h / ah) / 2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_each_coding_is_the_inverse_of_what_a_network_learns(tmp_path: Path, name: str) -> None:
    """A box in one row of each grid, in a letterbox of a picture of twice the size."""
    box, scored = columns(name)
    rows = sum(ROWS.get(name, [50]))
    graph = network((1, rows, box + scored))
    found = read(tmp_path, HEADS[name], graph)
    output = np.full((1, rows, box + scored), -9.0, np.float32)
    output[..., :box] = 0.5
    many, wanted = {50: 0, 80: 1}.get(rows, 2), {}
    last = 49 if not many else 74 * many + many - 1  # of the cells around (28, 28) and (40, 40)
    for row, number, at in ((27 * max(many, 1), 2, [20.5, 18.0, 34.0, 31.25]), (last, 0, [24.0, 32.0, 60.0, 50.0])):
        output[0, row, :box] = inverse(name, np.array(at), row)
        output[0, row, box + scored - 3 + number] = 9 - number
        if name == "yolo5":
            output[0, row, box] = 9
        wanted[number] = at
    made = detection.detections(*parts(found), [output], graph.outputs, graph.inputs[0], (128, 96))
    assert [(one.number, one.label) for one in made] == [(0, "a"), (2, "c")]
    for one in made:
        x0, y0, x1, y1 = wanted[one.number]  # 128 x 96 pixels reach the network as 64 x 48, with 8 rows above
        expected = [2 * x0, 2 * (y0 - 8), 2 * x1, min(2 * (y1 - 8), 96)]
        np.testing.assert_allclose([one.left, one.top, one.right, one.bottom], expected, atol=2e-3)
    sure = 1 / (1 + math.exp(-9)) * (1 / (1 + math.exp(-9)) if name == "yolo5" else 1)
    assert made[0].score == pytest.approx(sure, abs=1e-6)


def test_the_exponential_is_accurate() -> None:
    x = np.concatenate([np.linspace(-700, 700, 4001), np.random.default_rng(0).normal(0, 3, 4000)])
    np.testing.assert_allclose(exact.exponential(x), np.exp(x), rtol=6e-16)
    assert exact.exponential(np.array([np.nan, -1e9, np.inf])).tolist() == pytest.approx(
        [math.exp(-700), math.exp(-700), math.exp(700)]
    )


def boxes_of(rules: Suppression, boxes: list[list[float]], scores: list[float], folder: Path) -> list[Detection]:
    """Boxes in a picture of the network's own size; with two classes where a score is below 0: it is the second's."""
    graph = network((1, len(boxes), 6))
    detector, picture = parts(read(folder, 'boxes = "corners"', graph, labels=2, top=""))
    rows = [[*box, max(s, 0), max(-s, 0)] for box, s in zip(boxes, scores, strict=True)]
    output = np.array([rows], np.float32)
    return detection.detections(
        replace(detector, suppression=rules), picture, [output], graph.outputs, graph.inputs[0], (SIDE, SIDE)
    )


def test_suppression(tmp_path: Path) -> None:
    boxes = [[0.0, 0, 20, 20], [1, 0, 21, 20], [30, 30, 50, 50], [2, 2, 22, 22], [40, 40, 40, 50]]
    scores = [0.5, 0.75, 0.3, -0.625, 0.9]
    rules = Suppression(0.2, 0.5)
    made = boxes_of(rules, boxes, scores, tmp_path)
    assert [(one.score, one.left, one.number) for one in made] == [
        (0.75, 1, 0),
        (0.625, 2, 1),
        (np.float32(0.3), 30, 0),
    ]
    assert [one.score for one in boxes_of(replace(rules, agnostic=True), boxes, scores, tmp_path)][:1] == [0.75]
    assert len(boxes_of(replace(rules, agnostic=True), boxes, scores, tmp_path)) == 2
    assert len(boxes_of(replace(rules, overlap=0.95), boxes, scores, tmp_path)) == 4
    assert len(boxes_of(replace(rules, score=0.4), boxes, scores, tmp_path)) == 2
    assert [one.score for one in boxes_of(replace(rules, most=1), boxes, scores, tmp_path)] == [0.75]
    merged = boxes_of(replace(rules, weighted=True), boxes, scores, tmp_path)
    assert merged[0].left == np.float32((0.75 * 1 + 0.5 * 0) / 1.25) and merged[0].score == 0.75
    tied = boxes_of(rules, [[0.0, 0, 20, 20], [0, 0, 20, 21]], [0.5, 0.5], tmp_path)
    assert [one.bottom for one in tied] == [20]  # of equal scores, the first


def test_what_lies_outside_the_picture_is_cut_or_dropped(tmp_path: Path) -> None:
    made = boxes_of(Suppression(), [[-5.0, -9, 20, 20], [70, 0, 90, 20], [60, 60, 99, 99]], [0.9, 0.8, 0.7], tmp_path)
    assert [(one.left, one.top, one.right, one.bottom) for one in made] == [(0, 0, 20, 20), (60, 60, 64, 64)]


@pytest.mark.parametrize(
    ("name", "outputs", "joint", "orders"),
    [
        ("center", [(1, 7, 50)], True, [Order.COLUMNS]),
        ("center", [(1, 50, 3), (1, 50, 4)], False, [Order.ROWS]),
        ("center", [(1, 4, 50), (1, 50, 3)], False, [Order.COLUMNS]),
        ("distances", [(1, 80, 67)], True, [Order.ROWS]),
        ("distances", [(1, 4, 4, 67), (1, 8, 8, 67)], True, [Order.ROWS] * 2),
        ("distances", [(1, 67, 8, 8), (1, 67, 4, 4)], True, [Order.COLUMNS] * 2),
        ("distances", [(1, 8, 8, 64), (1, 8, 8, 3), (1, 4, 4, 64), (1, 4, 4, 3)], False, [Order.ROWS] * 2),
        ("yolo5", [(1, 2, 4, 4, 8), (1, 2, 8, 8, 8)], True, [Order.ANCHORS] * 2),
        ("yolo5", [(1, 16, 8, 8), (1, 16, 4, 4)], True, [Order.COLUMNS] * 2),
        ("ssd", [(1, 160, 4), (1, 160, 4)], False, [Order.ROWS]),
        ("blazeface", [(1, 160, 16), (1, 160, 3)], False, [Order.ROWS]),
        ("blazeface", [(1, 160, 3), (1, 160, 16)], False, [Order.ROWS]),
    ],
)
def test_outputs_are_found(
    tmp_path: Path, name: str, outputs: list[tuple[int, ...]], joint: bool, orders: list[Order]
) -> None:
    graph = network(*outputs)
    head = parts(read(tmp_path, HEADS[name], graph))[0].head
    assert (head.joint, head.classes) == (joint, 3)
    assert [part.order for part in head.boxes] == orders
    if head.grids and len(head.boxes) > 1:
        assert [part.rows for part in head.boxes] == ROWS[name]
    assert read(tmp_path, HEADS[name], graph, labels=3).json()["head"] == head.json()


@pytest.mark.parametrize(
    ("head", "outputs", "words"),
    [
        ("", [(1, 10)], "needs outputs [1, rows, 7] or [1, 7, rows], or [1, rows, 4] and [1, rows, 3], but"),
        ("", [(1, 50, 9)], "but the network's are [[1, 50, 9]]"),
        (HEADS["yolo5"], [(1, 100, 8)], "needs outputs [1, 160, 8]"),
        (HEADS["distances"], [(1, 80, 60)], "needs outputs [1, 80, 67]"),
        ('boxes = "circles"', [(1, 50, 7)], "one of center, corners, distances, yolo5, ssd, blazeface"),
        ('boxes = "yolo5"', [(1, 50, 8)], "needs head.strides, in pixels, or head.cells"),
        ("strides = [8]", [(1, 50, 7)], 'head.strides means nothing with boxes = "center"'),
        ('unit = "metres"', [(1, 50, 7)], "one of pixels, fraction"),
        ("unit = 0", [(1, 50, 7)], "head.unit = 0 is not above 0"),
        ("bins = 4", [(1, 50, 7)], "head.bins means nothing"),
        ('boxes = "ssd"\ncells = [8]\nanchors = [[[1]]]', [(1, 64, 7)], "an anchor is [width, height]"),
        ('boxes = "ssd"\ncells = [8]', [(1, 64, 7)], "head.anchors is a list for each of the 1 grids"),
        ('boxes = "ssd"\ncells = [8]\nanchors = [1]\nvariance = [1]', [(1, 64, 7)], "four numbers above 0"),
        ("objectness = 1", [(1, 50, 8)], "neither true nor false"),
        ("box_outputs = [1]\nscore_outputs = [0]", [(1, 50, 7)], "not a whole number up to 0"),
        ("weights = 1", [(1, 50, 7)], "head.weights is not a key"),
        ("[suppression]\nscore = 2", [(1, 50, 7)], "suppression.score = 2 is not a number from 0 to 1"),
        ("[suppression]\nmost = 0", [(1, 50, 7)], "suppression.most is 0; it must be at least 1"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    tmp_path: Path, head: str, outputs: list[tuple[int, ...]], words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, head, network(*outputs))
    assert words in refused.value.message and "\n" not in refused.value.message, refused.value.message


def test_a_task_of_another_kind_says_what_would_fit(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text('schema = 1\ntask = "classification"\n')
    with pytest.raises(UsageError) as refused:
        task.read(tmp_path / "task.toml", network((1, 50, 7)))
    assert 'task = "detection"' in refused.value.hint


@pytest.mark.parametrize("name", HEADS)
def test_the_manifest_keeps_heads(tmp_path: Path, name: str) -> None:
    box, scored = columns(name)
    found = read(tmp_path, HEADS[name], network((1, sum(ROWS.get(name, [50])), box + scored)))
    assert found.kind == "detection"
    assert task.of_manifest({"task": json.loads(json.dumps(found.json()))}) == found


@pytest.mark.parametrize("key", ["coding", "unit", "bins", "boxes", "grids", "classes", "joint"])
@pytest.mark.parametrize("value", [None, -1, "x", [1, "y"], {}, [{}]])
def test_damaged_heads(tmp_path: Path, key: str, value: Any) -> None:
    data = json.loads(json.dumps(read(tmp_path, HEADS["yolo5"], network((1, 160, 8))).json()))
    data["head"][key] = value
    with pytest.raises(CheckFailed, match=r"'task' in manifest\.json is damaged"):
        task.of_manifest({"task": data})


# The same in C

TYPES = {"float32": 1, "int8": 4, "uint8": 5, "int16": 6}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("detection.c", "exact.c", "head.c", "json.c", "picture.c")
    return c_driver.compiled(tmp_path_factory.mktemp("detection"), "detection_driver.c", *parts)


def in_c(
    driver: Path, folder: Path, found: Task, graph: Graph, outputs: list[NDArray[Any]], size: tuple[int, int],
    manifest: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    text = manifest if manifest is not None else json.dumps({"task": found.json()}).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "outputs.bin").write_bytes(b"".join(output.tobytes() for output in outputs))
    given: list[Any] = [folder / "manifest.json", folder / "outputs.bin", SIDE, SIDE]
    given += [list(Fit).index(parts(found)[1].fit), *size]
    for tensor in graph.outputs:
        q = tensor.quantization
        scale, zero = (float(q.scale[0]), int(q.zero_point[0])) if q is not None else (0, 0)
        given += [TYPES[tensor.dtype], tensor.elements, repr(scale), zero]
    return subprocess.run([driver, *map(str, given)], capture_output=True, check=False)


def as_bytes(made: list[Detection]) -> bytes:
    rows = [(d.number, d.score, d.left, d.top, d.right, d.bottom) for d in made]
    kind = np.dtype([("n", "<u4"), *((name, "<f4") for name in "sltrb")])
    return np.array(rows, kind).tobytes()


SHAPES: dict[str, list[list[tuple[int, ...]]]] = {
    "center": [[(1, 50, 7)], [(1, 7, 50)], [(1, 50, 4), (1, 3, 50)]],
    "fraction": [[(1, 7, 90)]],
    "corners": [[(1, 50, 7)]],
    "distances": [
        [(1, 80, 67)], [(1, 67, 4, 4), (1, 67, 8, 8)], [(1, 8, 8, 64), (1, 4, 4, 64), (1, 8, 8, 3), (1, 4, 4, 3)],
    ],
    "yolo5": [[(1, 2, 4, 4, 8), (1, 2, 8, 8, 8)], [(1, 8, 8, 16), (1, 16, 4, 4)]],
    "ssd": [[(1, 160, 4), (1, 160, 4)], [(1, 160, 8)]],
    "blazeface": [[(1, 160, 16), (1, 160, 3)]],
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_c_finds_the_same_bits(driver: Path, tmp_path: Path, name: str) -> None:
    """Random outputs, so that many overlap; some are not finite."""
    random = np.random.default_rng(len(name))
    total = 0
    for shapes, dtype, scores in itertools.product(SHAPES[name], TYPES, Scores):
        quantization = None if dtype == "float32" else Quantization(np.float32([0.05]), np.array([3]))
        graph = network(*shapes, dtype=dtype, quantization=quantization)
        base = read(tmp_path, HEADS[name], graph, top=f'scores = "{scores}"')
        rules = Suppression(
            float(random.uniform(0, 0.7)), float(random.uniform(0, 1)), int(random.integers(1, 150)),
            bool(random.integers(2)), bool(random.integers(2)),
        )  # fmt: skip
        fit = list(Fit)[int(random.integers(len(Fit)))]
        detector, picture = parts(base)
        found = replace(base, decider=replace(detector, suppression=rules), source=replace(picture, fit=fit))
        spread = {"center": 20, "corners": 120}.get(name, 1.5)
        made: list[NDArray[Any]] = []
        for shape in shapes:
            real = (
                np.abs(random.normal(0, spread, shape))
                if name in ("center", "corners")
                else random.normal(0, spread, shape)
            )
            if dtype == "float32":
                real[random.random(shape) < 0.005] = random.choice([np.nan, np.inf, -np.inf, 1e38])
                made.append(real.astype(np.float32))
            else:
                ends = np.iinfo(dtype)
                made.append(np.clip(np.rint(real / 0.05) + 3, ends.min, ends.max).astype(dtype))
        size = (int(random.integers(1, 300)), int(random.integers(1, 300)))
        expected = detection.detections(*parts(found), made, graph.outputs, graph.inputs[0], size)
        done = in_c(driver, tmp_path, found, graph, made, size)
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == as_bytes(expected), (shapes, dtype, scores, rules, fit, size)
        total += len(expected)
    assert total > 20


def test_c_refuses_damaged_heads(driver: Path, tmp_path: Path) -> None:
    """Bytes of the manifest changed at random: refused, or something else is found, but no sanitizer complains."""
    graph = network((1, 2, 4, 4, 8), (1, 2, 8, 8, 8))
    found = read(tmp_path, HEADS["yolo5"], graph)
    outputs = [np.random.default_rng(1).normal(0, 2, tensor.shape).astype(np.float32) for tensor in graph.outputs]
    text, random = (
        json.dumps({"task": {k: v for k, v in found.json().items() if k != "labels"}}).encode(),
        np.random.default_rng(5),
    )
    codes = []
    for _ in range(120):
        changed = bytearray(text)
        at = int(random.integers(text.index(b'"head"'), len(text)))
        if random.random() < 0.5:
            changed[at] = int(random.choice(list(b'0123456789-e.,[]{}"truefals')))
        else:
            changed[at:at] = bytes(random.choice(list(b"0123456789"), int(random.integers(1, 9))).tolist())
        codes.append(in_c(driver, tmp_path, found, graph, outputs, (100, 80), bytes(changed)).returncode)
    assert set(codes) <= {0, 1, 2} and codes.count(2) > 25
