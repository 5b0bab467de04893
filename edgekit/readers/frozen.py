"""TensorFlow function -> float TFLite flatbuffer: shared by the child sides of the Keras and SavedModel readers.

TensorFlow is imported in :func:`tensorflow` and nowhere else, after the checks that need h5py alone.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.readers import shapes
from edgekit.sandbox import environment

Arrays = Mapping[str, NDArray[Any]]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def tensorflow(folder: Path) -> Any:
    """Import TensorFlow with every folder it might write to inside the scratch folder."""
    os.environ.update(TMPDIR=str(folder), HOME=str(folder), KERAS_HOME=str(folder), KERAS_BACKEND="tensorflow")
    tempfile.tempdir = str(folder)
    sys.setrecursionlimit(3000)
    return environment.tensorflow()


def settled(tf: Any, specs: Mapping[str, Any], args: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Fix the shapes of all inputs (TensorSpecs by name); return them anew, and what was decided, in words."""
    shown = args["shown"]
    wanted = {name: tuple(shape) for name, shape in args["shapes"].items()}
    declared = [
        shapes.Declared(name, None if spec.shape.rank is None else spec.shape.as_list()) for name, spec in specs.items()
    ]
    fixed = shapes.settle(declared, wanted, shown)
    for name, spec in specs.items():
        if spec.dtype == tf.string:
            raise ModelError(f"{shown}: input {name!r} takes strings", "move text processing out of the model")
    pairs = zip(specs.items(), fixed.shapes, strict=True)
    return {name: tf.TensorSpec(shape, spec.dtype, name=name) for (name, spec), shape in pairs}, fixed.notes


def flatbuffer(
    tf: Any, concrete: Any, inputs: Sequence[str], outputs: Sequence[str], notes: Sequence[str], shown: str
) -> Answer:
    """Freeze variables (else the converter keeps them as resources) and convert, float and unoptimised.

    What the network computes in 16-bit floats is computed in float32: a policy of mixed precision stores its variables
    in float32 anyway, and TFLite has no convolution or product of other floats. float64 becomes float32 where the
    network cannot be converted otherwise.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    for tensor in tf.nest.flatten(concrete.structured_outputs):
        if not isinstance(tensor, tf.Tensor):
            raise ModelError(f"{shown} has an output that is a {type(tensor).__name__}, not a tensor")
    said = [f"converted by TensorFlow {tf.__version__}", *notes]
    try:
        frozen = convert_variables_to_constants_v2(concrete)
        frozen = _widened(tf, frozen, [tf.float16, tf.bfloat16], said)
        try:
            data = _converted(tf, frozen)
        except Exception:
            whole = _widened(tf, frozen, [tf.float64], said)
            if whole is frozen:
                raise
            data = _converted(tf, whole)
    except Exception as error:
        raise _unsupported(error, shown) from error
    return {"inputs": list(inputs), "outputs": list(outputs), "notes": said}, {"model": np.frombuffer(data, np.uint8)}


def line(error: BaseException) -> str:
    """Return the line of a TensorFlow error that says what is wrong, without colours.

    It is the first, except where TensorFlow tells of traced code ("in user code:"): there the exception's own
    line follows the stack.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    named = [line for line in lines if re.match(r"\w+(Error|Exception): ", line)]
    line = named[0] if named and lines[0].endswith("code:") else lines[0]
    following = lines[lines.index(line) + 1 :]
    if "Exception encountered when calling" in line and following:
        line = following[0]
    return line[:300]


def _converted(tf: Any, function: Any) -> bytes:
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def _widened(tf: Any, frozen: Any, kinds: Sequence[Any], notes: list[str]) -> Any:
    """Return the function with float32 wherever one of the types ``kinds`` stands; itself where none does."""
    graph = frozen.graph.as_graph_def()
    codes = {kind.as_datatype_enum: kind.name for kind in kinds}
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    seen = {name for body in bodies for node in body for name in _replaced(tf, node.attr.values(), codes)}
    for function in graph.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type in codes:
                argument.type = tf.float32.as_datatype_enum
    if not seen:
        return frozen
    notes.append(f"what the model computes in {' and '.join(sorted(seen))} is computed in float32")
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    ends = [[imported.graph.get_tensor_by_name(tensor.name) for tensor in side]
            for side in (frozen.inputs, frozen.outputs)]  # fmt: skip
    return imported.prune(*ends)


def _replaced(tf: Any, values: Iterable[Any], codes: Mapping[int, str]) -> set[str]:
    """Put float32 in the place of the types ``codes`` in a node's attributes; return names of those that were there."""
    seen = set()
    single = tf.float32.as_datatype_enum
    for value in values:
        kind = value.WhichOneof("value")
        if kind == "type" and value.type in codes:
            seen.add(codes[value.type])
            value.type = single
        elif kind == "tensor" and value.tensor.dtype in codes:
            seen.add(codes[value.tensor.dtype])
            array = tf.make_ndarray(value.tensor).astype(np.float32)
            value.tensor.CopyFrom(tf.make_tensor_proto(array, tf.float32))
        elif kind == "list":
            for place, code in enumerate(value.list.type):
                if code in codes:
                    seen.add(codes[code])
                    value.list.type[place] = single
        elif kind == "func":
            seen |= _replaced(tf, value.func.attr.values(), codes)
    return seen


def _unsupported(error: BaseException, shown: str) -> ModelError:
    """Name the operators that TFLite does not have, which the converter lists in its error."""
    text = str(error)
    found = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", text, re.MULTILINE)
    if not found:
        return ModelError(f"{shown} cannot be converted to TFLite: {line(error)}")
    names = sorted({name.strip() for line in found for name in line.split(",")})
    return ModelError(
        f"{shown} uses operators that TFLite does not have: {', '.join(names)}",
        "replace those layers, or move them out of the model",
    )
