"""The child's side: each node of ONNX as calls of TVM's functions, through TVM's own ONNX frontend.

A node stands alone: large constants stay arguments, small ones (shapes, axes, scales) are known to the frontend. Its
relax function is legalized, folded and fused; what is left must be calls of loops (``call_tir``) with known shapes.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.onnx.node import Refused, Spec, model, unpack
from edgekit.sandbox.blame import is_bug
from edgekit.text.logs import last_line

KNOWN_ELEMENTS = 256
"""Constants up to this size are given to the frontend; it needs the values of shapes, axes and the like."""
MAX_CALLS = 20_000


@dataclass
class Lowered:
    """What one node became.

    :param calls: ``[function, [argument, ...]]``; an argument is ``[kind, number]``: ``in``, ``out``, ``temporary``,
        ``constant``; a function's results come last.
    :param temporaries: dtype and shape each.
    """

    calls: list[tuple[int, list[tuple[str, int]]]] = field(default_factory=list)
    temporaries: list[Spec] = field(default_factory=list)
    constants: list[NDArray[Any]] = field(default_factory=list)


class Functions:
    """Different loops once: their JSON, by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def add(self, function: Any) -> int:
        """Add a function, unless an equal one is there, and return its number."""
        import tvm

        text = _serial(tvm.ir.save_json(function.without_attr("global_symbol")))
        return self.numbers.setdefault(text, len(self.numbers))


_PARALLEL = 1
"""tvm.tirx.ForKind.PARALLEL"""


def _serial(text: str) -> str:
    """A function's JSON without parallel loops, which need TVM's runtime."""
    if '"tirx.For"' not in text:
        return text
    whole = json.loads(text)
    for entry in whole["nodes"]:
        if entry.get("type") == "tirx.For" and entry["data"]["kind"] == _PARALLEL:
            entry["data"]["kind"] = 0
    return json.dumps(whole)


def lower(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: lower each of ``nodes``.

    A node is ``{"op", "number", "inputs": [[dtype, shape, key of its value or None] or None], "outputs":
    [[dtype, shape]]}``; arrays ``NUMBER/options`` and ``NUMBER/KEY`` hold its options and constants' values.

    :returns: for each node its calls, or ``{"refused": reason}``; arrays: constants, functions' JSON.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tvm  # noqa: F401

    functions = Functions()
    answers: list[dict[str, Any]] = []
    values: dict[str, NDArray[Any]] = {}
    for entry in args["nodes"]:
        try:
            made = _node(entry, arrays, functions)
        except Refused as refused:
            prefix = f"operator {entry['op']}: "
            answers.append({"refused": str(refused).removeprefix(prefix)})
            continue
        except Exception as error:
            if is_bug(error):
                raise
            answers.append({"refused": f"its node makes no sense ({type(error).__name__})"})
            continue
        keys = []
        for constant in made.constants:
            keys.append(f"c{len(values)}")
            values[keys[-1]] = constant
        temporaries = [[spec.dtype, list(spec.shape)] for spec in made.temporaries]
        answers.append({"calls": made.calls, "constants": keys, "temporaries": temporaries})
    texts = [np.frombuffer(text.encode(), np.uint8) for text in functions.numbers]
    return {"nodes": answers, "functions": len(texts)}, values | {f"f{n}": text for n, text in enumerate(texts)}


def _node(entry: dict[str, Any], arrays: dict[str, Any], functions: Functions) -> Lowered:
    import onnx

    from edgekit.backends.tvm.onnx.expand import ways

    given, made, number = entry["inputs"], entry["outputs"], entry["number"]
    try:
        node, opset = unpack(arrays[f"{number}/options"].tobytes(), entry["op"], len(given), len(made))
    except ValueError as error:
        raise Refused(onnx.NodeProto(op_type=entry["op"]), str(error)) from error
    variables: dict[str, Spec] = {}
    constants: dict[str, NDArray[Any]] = {}
    places: dict[str, int] = {}
    for place, (name, about) in enumerate(zip(node.input, given, strict=True)):
        if bool(name) != (about is not None):
            raise Refused(node, "its options hold a node of other inputs")
        if not name:
            continue
        dtype, shape, key = about
        spec = Spec(dtype, tuple(shape))
        if key or not spec.elements:
            constants[name] = arrays[f"{number}/{key}"].reshape(spec.shape) if key else np.zeros(spec.shape, dtype)
        else:
            variables[name] = spec
        places[name] = place
    outputs = {name: Spec(d, tuple(s)) for name, (d, s) in zip([n for n in node.output if n], made, strict=True)}
    if entry["op"] == "BitCast":
        return _reinterpreted(node, variables, outputs, functions)
    first: Refused | None = None
    try:
        for way in ways(node, opset, variables, constants, outputs):
            used = {name for each in way.nodes for name in each.input}
            known = {name: values for name, values in way.constants.items() if name in used}
            large = {n for n, v in known.items() if n in constants and v.size > KNOWN_ELEMENTS and v.dtype.kind == "f"}
            inputs = {n: s for n, s in variables.items() if n in used} | {n: Spec.of(known[n]) for n in sorted(large)}
            small = {n: v for n, v in known.items() if n not in large}
            try:
                network = model(way.nodes, inputs, small, outputs, way.opset)
                return _imported(node, network, places, outputs, functions)
            except Refused as refused:
                first = first or refused
    except Refused as refused:
        first = first or refused
    raise first or Refused(node, "TVM's ONNX frontend does not have it")


def _imported(
    node: Any, network: Any, places: dict[str, int], outputs: dict[str, Spec], functions: Functions
) -> Lowered:
    """Through the frontend and relax's passes to calls."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    passes = [
        relax.transform.DecomposeOpsForInference(), relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(), relax.transform.FoldConstant(), relax.transform.FuseOps(),
        relax.transform.FuseTIR(), relax.transform.DeadCodeElimination(),
    ]  # fmt: skip
    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = from_onnx(network, sanitize_input_names=False)
            with tvm.target.Target({"kind": "llvm"}):
                module = tvm.transform.Sequential(passes)(module)
    except Exception as error:
        reason = last_line(str(error), type(error).__name__)
        raise Refused(node, f"TVM's ONNX frontend does not take it: {reason}") from error
    return _Walk(node, module, places, list(outputs.values()), functions).run([v.name for v in network.graph.input])


class _Walk:
    """Reads the relax function ``main``: bindings of call_tir, tuples and their items."""

    def __init__(
        self, node: Any, module: Any, places: dict[str, int], outputs: list[Spec], functions: Functions
    ) -> None:
        self.node, self.module, self.places, self.functions = node, module, places, functions
        self.outputs, self.made = outputs, Lowered()
        self.values: dict[Any, Any] = {}

    def run(self, names: list[str]) -> Lowered:
        main = self.module["main"]
        for variable, name in zip(main.params, names, strict=True):
            self.values[variable] = ("in", self.places[name])
        for block in main.body.blocks:
            for binding in block.bindings:
                self.values[binding.var] = self._bound(binding.value)
        results = self._value(main.body.body)
        if isinstance(results, tuple):
            results = [results]
        if len(results) < len(self.outputs):
            raise Refused(self.node, "TVM's ONNX frontend gives it fewer results")
        return self._finished(results[: len(self.outputs)], main.body.body)

    def _finished(self, results: list[Any], body: Any) -> Lowered:
        """Temporaries that are results become outputs; other results are copied."""
        import tvm

        types = body.ty.fields if isinstance(body.ty, tvm.ir.TupleType) else [body.ty]
        renamed: dict[tuple[str, int], tuple[str, int]] = {}
        copies: list[tuple[int, list[tuple[str, int]]]] = []
        for number, (value, wanted) in enumerate(zip(results, self.outputs, strict=True)):
            spec = self._spec(types[number])
            if spec != wanted:
                raise Refused(self.node, f"TVM's ONNX frontend makes {spec} of it, not {wanted}")
            if value[0] == "temporary" and value not in renamed:
                renamed[value] = ("out", number)
            else:
                copies.append((self.functions.add(copy(wanted)), [value, ("out", number)]))
        calls = [(f, [renamed.get(a, a) for a in arguments]) for f, arguments in [*self.made.calls, *copies]]
        return Lowered(calls, self.made.temporaries, self.made.constants)

    def _value(self, expression: Any) -> Any:
        from tvm import relax
        from tvm.ir import GenericConst

        if expression in self.values:
            return self.values[expression]
        if isinstance(expression, relax.Tuple):
            return [self._value(part) for part in expression.fields]
        if isinstance(expression, relax.TupleGetItem):
            return self._value(expression.tuple_value)[expression.index]
        if isinstance(expression, GenericConst):
            return self._constant(expression.value.numpy())
        raise Refused(self.node, "its shapes depend on data")

    def _constant(self, values: NDArray[Any]) -> tuple[str, int]:
        self.made.constants.append(np.ascontiguousarray(values).reshape(values.shape))
        return ("constant", len(self.made.constants) - 1)

    def _bound(self, value: Any) -> Any:
        from tvm import ir

        if not isinstance(value, ir.Call):
            return self._value(value)
        name = getattr(value.op, "name", "a function of TVM's runtime")
        if name != "relax.call_tir" or len(value.args) != 2:
            raise Refused(self.node, f"TVM leaves it to its runtime ({name.removeprefix('relax.')})")
        if len(self.made.calls) >= MAX_CALLS:
            raise Refused(self.node, f"it takes more than {MAX_CALLS} kernels")
        arguments = [self._value(argument) for argument in value.args[1].fields]
        kind = value.ty_args[0]
        parts = kind.fields if isinstance(kind, ir.TupleType) else [kind]
        results = []
        for part in parts:
            results.append(("temporary", len(self.made.temporaries)))
            self.made.temporaries.append(self._spec(part))
        loops = self.module[value.args[0]]
        if "tvm_call_packed" in str(loops):
            raise Refused(self.node, "TVM leaves it to its runtime")
        function = self.functions.add(loops)
        self.made.calls.append((function, [*arguments, *results]))
        return results if isinstance(kind, ir.TupleType) else results[0]

    def _spec(self, kind: Any) -> Spec:
        from tvm import relax, tirx

        if not isinstance(kind, relax.TensorType) or kind.shape is None:
            raise Refused(self.node, "its shapes depend on data")
        sizes = kind.shape.values
        if not all(isinstance(size, tirx.IntImm) for size in sizes):
            raise Refused(self.node, "its shapes depend on data")
        return Spec(str(kind.dtype), tuple(int(size) for size in sizes))


def _reinterpreted(node: Any, given: dict[str, Spec], outputs: dict[str, Spec], functions: Functions) -> Lowered:
    """BitCast, which TVM's frontend lacks: the same bytes as another type of equal size."""
    from tvm import te, tirx

    (wanted,) = outputs.values()
    spec = given.get(node.input[0])
    if spec is None or spec.shape != wanted.shape or "bool" in (spec.dtype, wanted.dtype):
        raise Refused(node, "it changes the size of elements")
    if np.dtype(spec.dtype).itemsize != np.dtype(wanted.dtype).itemsize:
        raise Refused(node, "it changes the size of elements")
    x = te.placeholder(spec.shape, spec.dtype, "given")
    made = te.compute(wanted.shape, lambda *place: tirx.reinterpret(wanted.dtype, x(*place)), "cast")
    return Lowered([(functions.add(te.create_prim_func([x, made])), [("in", 0), ("out", 0)])])


def copy(spec: Spec) -> Any:
    """A function that copies a tensor."""
    from tvm import te

    given = te.placeholder(spec.shape, spec.dtype, "given")
    return te.create_prim_func([given, te.compute(spec.shape, lambda *place: given(*place), "copied")])
