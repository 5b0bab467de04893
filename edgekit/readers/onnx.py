"""Reader for ``.onnx``: checked natively, made self-contained in a child, converted by onnx2tf, compared.

Inputs and outputs keep the ONNX model's own layout (for images usually NCHW): what the user feeds the original
is what the compiled model takes. Inside, the network runs in TFLite's layout (NHWC).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from edgekit import sandbox
from edgekit.errors import EdgekitError, ModelError, ToolMissing
from edgekit.onnx import convert
from edgekit.readers import MAX_MODEL_BYTES, ReadOptions, onnx2tf, onnx_wire
from edgekit.readers.onnx_compare import check_default_kernels, compare
from edgekit.readers.onnx_ends import name_ends, restore
from edgekit.sandbox import answers

if TYPE_CHECKING:
    from edgekit.graph import Graph

_T = TypeVar("_T")


class OnnxReader:
    """Reads ``.onnx``."""

    name = "onnx"

    def matches(self, path: Path) -> bool:
        """See :class:`edgekit.readers.Reader`."""
        return path.suffix == ".onnx"

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """Read the model; see :class:`edgekit.readers.Reader`."""
        result = read_all([path], options)[0]
        if isinstance(result, EdgekitError):
            raise result
        return result


def read_all(paths: Sequence[Path], options: ReadOptions) -> list[Graph | EdgekitError]:
    """Read models, converting all of them in one run of the converter; return each one's Graph or error.

    Limits hold for each model by itself. The models share a scratch folder: read models that do not trust each
    other one by one.

    What cannot be had in TFLite's operators, or not without the converter, is kept in ONNX's own, and a note says so.
    """
    limits = sandbox.Limits(seconds=options.seconds, memory_mb=options.memory_mb)
    prepared = [_tried(_prepare, path, options, limits) for path in paths]
    jobs = [model.job for model in prepared if isinstance(model, _Prepared)]
    converted = iter(_converted(jobs, limits, options) if jobs else [])
    found = [
        _tried(_finish, model, next(converted), limits, options) if isinstance(model, _Prepared) else model
        for model in prepared
    ]
    return _second_way(prepared, found, limits, options)


def _converted(
    jobs: Sequence[onnx2tf.Job], limits: sandbox.Limits, options: ReadOptions
) -> Sequence[onnx2tf.Converted | EdgekitError]:
    try:
        return onnx2tf.convert(jobs, limits, options.progress)
    except ToolMissing as missing:
        options.progress.warn(f"{missing.message}; {missing.hint}")
        return [missing] * len(jobs)


def _second_way(
    prepared: Sequence[_Prepared | EdgekitError], found: Sequence[Graph | EdgekitError], limits: sandbox.Limits,
    options: ReadOptions,
) -> list[Graph | EdgekitError]:  # fmt: skip
    """Keep the models that TFLite cannot take in ONNX's operators; both reasons where that fails, too."""
    result = list(found)
    left = [
        n for n, graph in enumerate(found) if isinstance(graph, EdgekitError) and isinstance(prepared[n], _Prepared)
    ]
    models = [model for n in left if isinstance(model := prepared[n], _Prepared)]
    if not models:
        return result
    options.progress.step(f"reading {models[0].path.name} as ONNX operators")
    kept = convert.graphs([m.model for m in models], [str(m.path) for m in models], limits)
    for number, model, graph in zip(left, models, kept, strict=True):
        first = found[number]
        assert isinstance(first, EdgekitError)
        if isinstance(graph, EdgekitError):
            hint = first.hint if isinstance(first, ToolMissing) else graph.hint
            result[number] = type(first)(f"{first.message}; as ONNX operators: {_reason(graph, model)}", hint)
            continue
        with answers.consistent():
            name_ends(graph, model.about)
        graph.notes += [
            f"read as ONNX operators, because {_why(first, model)}. TVM's ONNX frontend compiles them",
            *model.about["notes"],
        ]
        result[number] = graph
    return result


def _reason(error: EdgekitError, model: _Prepared) -> str:
    """The error's message without the model's path: that it "cannot be converted", or who failed, and why."""
    path = str(model.path)
    return error.message.removeprefix(path).lstrip(": ")


def _why(first: EdgekitError, model: _Prepared) -> str:
    told = first.message.startswith(f"{model.path} ")
    return f"it {_reason(first, model)}" if told else first.message


def _tried(function: Callable[..., _T], *args: object) -> _T | EdgekitError:
    try:
        return function(*args)
    except EdgekitError as error:
        return error


class _End(TypedDict):
    name: str
    key: str
    dtype: str
    shape: list[int]
    operator: str
    bounded: bool


class _About(TypedDict):
    inputs: list[_End]
    outputs: list[_End]
    operators: list[str]
    by_reference: bool
    notes: list[str]


@dataclass(frozen=True)
class _Prepared:
    """A model with fixed shapes, and what ``onnx_child`` says of it."""

    path: Path
    model: bytes
    about: dict[str, Any]

    @property
    def job(self) -> onnx2tf.Job:
        inputs, outputs = (
            [{**value, "name": value["key"]} for value in self.about[side]] for side in ("inputs", "outputs")
        )
        return onnx2tf.Job(self.model, inputs, outputs, str(self.path))


def _prepare(path: Path, options: ReadOptions, limits: sandbox.Limits) -> _Prepared:
    """Check the file natively, then fix its shapes and infer the others in a child."""
    external = onnx_wire.check(path)
    if path.stat().st_size + external > MAX_MODEL_BYTES - (1 << 20):
        raise ModelError(f"{path} and its external data are larger than 2 GiB, the limit of a flatbuffer")
    try:
        about, arrays = sandbox.call(
            "edgekit.readers.onnx_child:prepare",
            {"path": str(path.absolute()), "shown": str(path), "shapes": dict(options.shapes)},
            limits=limits,
            readable=[path.parent],
            preload=("onnx", "onnx.checker", "onnx.shape_inference", "onnx.external_data_helper"),
            form=_About,
        )
    except sandbox.ChildDied as died:
        raise ModelError(f"{path} cannot be read: the ONNX library {died.reason} on it") from died
    return _Prepared(path, arrays["model"].tobytes(), about)


def _finish(
    prepared: _Prepared, converted: onnx2tf.Converted | EdgekitError, limits: sandbox.Limits, options: ReadOptions
) -> Graph:
    """The Graph of a converted model: checked, compared, with the ONNX model's names and layout."""
    if isinstance(converted, EdgekitError):
        raise converted
    from edgekit.graph import tflite
    from edgekit.readers.recurrent import from_sequences, zeros_folded
    from edgekit.readers.tflite_shapes import fixed

    path, about = prepared.path, prepared.about
    try:
        graph = tflite.loads(converted.data)
    except ModelError as error:
        raise ModelError(f"{path} was converted to a network that is not valid: {error.message}") from error
    known = {operator.upper(): operator for operator in about["operators"]}
    custom = (operator.op.removeprefix("ONNX_") for operator in graph.operators if operator.custom)
    missing = sorted({known.get(name, name) for name in custom})
    if missing:
        raise ModelError(f"{path} uses operators that TFLite does not have: {', '.join(missing)}")
    _check_divisions(graph, about, str(path))
    graph = fixed(graph, str(path), options)
    graph.notes += [f"converted by {onnx2tf.requirement()}", *about["notes"]]
    comparison = compare(prepared.model, converted, about, str(path), limits)
    graph.notes.append(comparison.note)
    with answers.consistent():
        restore(graph, converted.order, comparison.permutations, about, str(path))
    graph = zeros_folded(from_sequences(graph))
    check_default_kernels(graph, converted.samples, about, str(path), limits)
    return graph


def _check_divisions(graph: Graph, about: Mapping[str, Any], shown: str) -> None:
    """:raises ModelError: if the network divides integers by what may be 0: LiteRT stops there, ONNX does not."""
    for operator in graph.operators:
        if operator.op not in ("DIV", "FLOOR_DIV", "FLOOR_MOD") or len(operator.inputs) != 2:
            continue
        divisor = graph.tensors[operator.inputs[1]]
        if divisor.dtype.startswith("float") or (divisor.data is not None and divisor.array().all()):
            continue
        names = " or ".join(name for name in ("Div", "Mod") if name in about["operators"]) or operator.op
        raise ModelError(f"{shown} divides integers by values that may be 0 ({names}), at which LiteRT stops")
