"""A child that a stranger's file has taken over may answer anything: it ends as a damaged file, never as a bug."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest

from edgekit import sandbox
from edgekit.errors import EdgekitError, ModelError
from edgekit.files import left_behind
from edgekit.graph import tflite
from edgekit.onnx import convert
from edgekit.readers import ReadOptions
from edgekit.readers.onnx import _prepare
from edgekit.readers.tflite import TFLiteReader
from edgekit.sandbox import answers
from tests.networks.small import Builder
from tests.readers import onnx_models


class Inner(TypedDict):
    size: float
    unit: NotRequired[str]


class Outer(TypedDict):
    names: list[str]
    parts: dict[str, Inner]
    pair: tuple[int, str | None]
    either: list[Inner | None]


GOOD: dict[str, Any] = {"names": ["a"], "parts": {"x": {"size": 1}}, "pair": [1, None], "either": [None, {"size": 0.5}]}


def test_what_has_the_form_passes() -> None:
    assert answers.checked(GOOD, Outer) is GOOD
    assert answers.checked(GOOD | {"more": object}, Outer)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ([], ""),
        ({"names": "a"}, "names"),
        ({"names": [1]}, "names[]"),
        ({"parts": []}, "parts"),
        ({"parts": {"x": {}}}, "parts.* lacks size"),
        ({"parts": {"x": {"size": True}}}, "parts.*.size"),
        ({"parts": {"x": {"size": 1, "unit": 1}}}, "parts.*.unit"),
        ({"pair": [1]}, "pair"),
        ({"pair": [True, None]}, "pair[]"),
        ({"either": [{"size": "1"}]}, "either[]"),
        ({"names": None}, "names"),
    ],
)
def test_what_has_another_form_is_refused(wrong: Any, place: str) -> None:
    value = GOOD | wrong if isinstance(wrong, dict) else wrong
    with pytest.raises(ModelError) as caught:
        answers.checked(value, Outer)
    assert caught.value.message == answers.DAMAGED + (f": {place}" if place else "")


def damaged(value: Any) -> Iterator[Any]:
    """A JSON value with one part of it replaced or left out."""
    strange = [None, [], {}, "x", -1, 10**30, 0.5, True, [[]], {"x": 1}]
    yield from (other for other in strange if other != value)
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            yield from ({**value, key: other} for other in damaged(part))
    elif isinstance(value, list) and value:
        yield value[1:]
        yield [*value, value[0]]
        yield from ([*value[:n], other, *value[n + 1 :]] for n, part in enumerate(value) for other in damaged(part))


def settle(folder: Path) -> None:
    model = onnx_models.relu(folder / "relu.onnx", [1, 4]).read_bytes()
    for found in convert.graphs([model], ["relu.onnx"], sandbox.Limits()):
        if isinstance(found, EdgekitError):
            raise found
        tflite.loads(tflite.dumps(found))


def prepare(folder: Path) -> None:
    _prepare(onnx_models.relu(folder / "relu.onnx", [1, 4]), ReadOptions(), sandbox.Limits())


def infer(folder: Path) -> None:
    b = Builder()
    x = b.tensor((1, 4), shape_signature=(-1, 4), name="x")
    path = folder / "open.tflite"
    tflite.write(b.graph((x,), (b.add("RELU", (x,), (1, 4)),)), path)
    TFLiteReader().read(path, ReadOptions(shapes={"x": (3, 4)}))


@pytest.mark.parametrize("read", [settle, prepare, infer])
def test_no_answer_of_a_child_is_a_bug(
    read: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's answer is kept once; then it is taken for every answer that differs from it in one place."""
    kept: list[dict[str, Any]] = []
    document = left_behind.document

    def keep(*given: Any) -> dict[str, Any]:
        kept.append(document(*given))
        return copy.deepcopy(kept[-1])

    monkeypatch.setattr(left_behind, "document", keep)
    read(tmp_path)
    (said,) = kept
    cases = list(damaged(said["value"]))
    assert len(cases) > 20
    refused = 0
    for case in cases:
        monkeypatch.setattr(left_behind, "document", lambda *_, case=case: {"value": copy.deepcopy(case)})
        try:
            read(tmp_path)
        except EdgekitError:
            refused += 1
    assert refused > len(cases) / 3


def test_arrays_that_are_not_there_are_the_models_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_behind, "arrays", lambda *_: {})
    with pytest.raises(ModelError, match="the child process left a damaged result: no array model"):
        prepare(tmp_path)
