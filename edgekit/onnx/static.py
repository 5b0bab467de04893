"""Make a list of ONNX nodes static: determine every shape, and compute all that does not depend on the inputs.

Models compute shapes as they run; with fixed input shapes these are constants. Node by node, in order, ONNX's own
inference gives the outputs' types, with the constants known so far, and what has only constant inputs is computed by
ONNX's reference implementation. Imports onnx: for children only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import infer_node_outputs

from edgekit.onnx.definition import definition
from edgekit.onnx.loops import loop, scan
from edgekit.onnx.node import DTYPES, Refused, Spec, attribute, rename, schema, tensor
from edgekit.text.logs import last_line

MAX_ELEMENTS = 1 << 28
"""Of one tensor."""
MAX_TOTAL = 1 << 31
"""Of all tensors together."""
MAX_NODES = 100_000
_INFERRED_FROM = 4096
"""Elements of a constant whose values shape inference may need."""
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_STEPS = {"Loop": loop, "Scan": scan}


@dataclass
class Static:
    """A network whose types are all known.

    :param specs: of every tensor that is not constant. :param constants: their values.
    """

    opset: int
    specs: dict[str, Spec] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)
    elements: int = 0

    def give(self, name: str, spec: Spec) -> None:
        """An input of the network; an empty one is known."""
        if spec.elements:
            self.specs[name] = spec
        else:
            self.constants[name] = np.zeros(spec.shape, spec.dtype)

    def settle(self, nodes: Iterable[Any], wanted: Sequence[str]) -> None:
        """Take in the nodes, then drop those that nothing ``wanted`` needs; constant results get an Identity.

        :raises Refused: naming the node that cannot be taken.
        """
        for node in nodes:
            self._take(node)
            if len(self.nodes) > MAX_NODES:
                raise Refused(node, f"the network has more than {MAX_NODES} nodes")
        self._keep(wanted)

    def spec(self, name: str) -> Spec:
        """Return the type and shape of a value."""
        return self.specs[name] if name in self.specs else Spec.of(self.constants[name])

    def used(self) -> dict[str, NDArray[Any]]:
        """The constants that nodes read."""
        names = dict.fromkeys(name for node in self.nodes for name in node.input if name in self.constants)
        return {name: self.constants[name] for name in names}

    def _take(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise Refused(node, f"it is of {node.domain!r}, outside ONNX's standard operators")
        if node.op_type == "If":
            return self._branch(node)
        if node.op_type == "SequenceMap":
            raise Refused(node, "it works on sequences")
        if node.op_type in _RANDOM:
            raise Refused(node, "it draws random numbers")
        missing = [name for name in node.input if name and name not in self.specs and name not in self.constants]
        if missing:
            raise Refused(node, f"its input {missing[0]!r} does not exist")
        if node.op_type in _STEPS:
            for inner in _STEPS[node.op_type](self, node):
                self._take(inner)
            return None
        if node.op_type in ("Shape", "Size"):
            return self._sizes(node)
        if node.op_type == "CastLike":  # what it is like may be unknown, but not its type
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.spec(node.input[1]).dtype))
            node = helper.make_node("Cast", node.input[:1], node.output, name=node.name, to=kind)
        try:
            found = self._infer(node)
        except Refused:
            body = definition(node, self.opset, self.specs, self.constants)
            if not body:
                raise
            for inner in body:  # inference may know more of simpler operators
                self._take(inner)
            return None
        total = sum(spec.elements for spec in found.values())
        self.elements += total
        if self.elements > MAX_TOTAL:
            raise Refused(node, f"the network's tensors have more than {MAX_TOTAL} elements")
        if (all(name in self.constants or not name for name in node.input) and node.op_type != "Identity") or not total:
            return self.constants.update(self._evaluate(node, found) if total else _empty(found))
        if node.op_type == "Identity" and node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]
            return None
        self.specs.update(found)
        self.nodes.append(node)
        return None

    def _branch(self, node: Any) -> None:
        """An If whose condition is known: the branch's nodes, under names of their own."""
        condition = self.constants.get(node.input[0])
        if condition is None or condition.size != 1:
            raise Refused(node, "its branch depends on data")
        branch = attribute(node, "then_branch" if condition.reshape(-1)[0] else "else_branch")
        if branch is None or len(branch.output) != len(node.output):
            raise Refused(node, "it has no such branch")
        renamed = {name: f"{node.output[0]}/{name}" for inner in branch.node for name in inner.output if name}
        for weight in branch.initializer:
            renamed[weight.name] = f"{node.output[0]}/{weight.name}"
            self.constants[renamed[weight.name]] = onnx.numpy_helper.to_array(weight)
        for inner in branch.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(inner)
            rename(copy, renamed)
            self._take(copy)
        for made, value in zip(node.output, branch.output, strict=True):
            self._take(helper.make_node("Identity", [renamed.get(value.name, value.name)], [made], name=node.name))

    def _sizes(self, node: Any) -> None:
        shape = self.spec(node.input[0]).shape
        first, last = int(attribute(node, "start", 0)), attribute(node, "end")
        part = np.array(shape, np.int64)[first : None if last is None else int(last)]
        whole = np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
        self.constants[node.output[0]] = part if node.op_type == "Shape" else whole

    def _infer(self, node: Any) -> dict[str, Spec]:
        """The outputs' types. :raises Refused: if one is not a tensor of known type and shape."""
        given = {name: self.spec(name).proto() for name in node.input if name}
        small = {
            name: tensor(values, name)
            for name in node.input
            if (values := self.constants.get(name)) is not None and values.size <= _INFERRED_FROM
        }
        about = schema(node, self.opset)
        try:
            found = infer_node_outputs(
                about, node, given, small, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10
            )
        except Exception as error:
            raise Refused(node, f"its types do not match: {last_line(str(error))}") from error
        return {name: _spec(node, name, found.get(name)) for name in node.output if name}

    def _evaluate(self, node: Any, found: dict[str, Spec]) -> dict[str, NDArray[Any]]:
        made = evaluate(node, self.opset, {name: self.constants[name] for name in node.input if name})
        for name, values in made.items():
            if Spec.of(values) != found[name]:
                raise Refused(node, f"its result is {Spec.of(values)}, not {found[name]}")
        return made

    def _keep(self, wanted: Sequence[str]) -> None:
        made = {name for node in self.nodes for name in node.output}
        for name in dict.fromkeys(wanted):
            if name not in made and name in self.constants:
                source = f"{name}/given"
                self.constants[source] = self.constants.pop(name)
                self.specs[name] = Spec.of(self.constants[source])
                self.nodes.append(helper.make_node("Identity", [source], [name], name=name))
        needed = set(wanted)
        kept = []
        for node in reversed(self.nodes):
            if not needed.intersection(node.output):
                continue
            self._drop_unused(node, needed)
            needed.update(name for name in node.input if name)
            kept.append(node)
        self.nodes = kept[::-1]

    def _drop_unused(self, node: Any, needed: set[str]) -> None:
        """Optional outputs that nobody reads are not asked for."""
        about = schema(node, self.opset)
        optional = onnx.defs.OpSchema.FormalParameterOption.Optional
        for place, name in enumerate(node.output):
            if name not in needed and place < len(about.outputs) and about.outputs[place].option == optional:
                node.output[place] = ""
        while node.output and not node.output[-1]:
            del node.output[-1]


def evaluate(node: Any, opset: int, values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Compute one node with ONNX's reference implementation.

    An operator that it lacks and that the standard defines in simpler ones (Gelu and others, whose definition depends
    on their types and attributes) is computed by its definition.

    :raises Refused: if it cannot.
    """
    if node.op_type == "OneHot":  # indices that are not integers are cast (OneHot, ``indices``); the reference does not
        index = node.input[0]
        values = values | {index: values[index].astype(np.int64)}
    if node.op_type == "Scatter":  # its name before operator set 11
        renamed = onnx.NodeProto()
        renamed.CopyFrom(node)
        renamed.op_type = "ScatterElements"
        return evaluate(renamed, max(opset, 11), values)
    try:
        with np.errstate(all="ignore"):
            program = ReferenceEvaluator(node, opsets={"": opset})
            results = dict(zip(program.output_names, program.run(None, values), strict=True))
    except Exception as error:
        body = definition(node, opset, {}, values)
        if not body:
            raise Refused(
                node, f"ONNX's reference does not compute it: {type(error).__name__}: {str(error)[:150]}"
            ) from error
        results = dict(values)
        for inner in body:
            results |= evaluate(inner, opset, {name: results[name] for name in inner.input if name})
    made = {}
    for name in (name for name in node.output if name):
        value = results.get(name)
        if not isinstance(value, np.ndarray | np.generic):
            raise Refused(node, "its result is not a tensor")
        made[name] = np.asarray(value)
    return made


def _empty(found: dict[str, Spec]) -> dict[str, NDArray[Any]]:
    return {name: np.zeros(spec.shape, spec.dtype) for name, spec in found.items()}


def typed(name: str, found: Any) -> Spec:
    """The type of an input of the network."""
    return _spec(helper.make_node("Input", [], [name], name=name), name, found)


def _spec(node: Any, name: str, found: Any) -> Spec:
    if found is None or found.WhichOneof("value") is None:
        raise Refused(node, "the type of its result is not known before it runs")
    if found.WhichOneof("value") != "tensor_type":
        raise Refused(node, f"its result is a {found.WhichOneof('value').removesuffix('_type')}, not a tensor")
    kind = onnx.TensorProto.DataType.Name(found.tensor_type.elem_type).lower()
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(found.tensor_type.elem_type)).name
    except Exception:
        dtype = kind
    if dtype not in DTYPES:
        raise Refused(node, f"its result holds {kind} values")
    dims = found.tensor_type.shape.dim
    if not found.tensor_type.HasField("shape") or any(not d.HasField("dim_value") or d.dim_value < 0 for d in dims):
        raise Refused(node, "the shape of its result is not known before it runs")
    spec = Spec(dtype, tuple(int(d.dim_value) for d in dims))
    if spec.elements > MAX_ELEMENTS:
        raise Refused(node, f"its result has {spec.elements} elements, more than {MAX_ELEMENTS}")
    return spec
