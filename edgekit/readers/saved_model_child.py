"""What runs in the sandboxed child process: a SavedModel's signature -> float TFLite flatbuffer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError, ModelError
from edgekit.readers import frozen
from edgekit.readers.frozen import Answer, Arrays

_OLD_VARIABLES = frozenset({"Variable", "VariableV2", "TemporaryVariable"})
"""Operators of variables that are references, before there were resources."""


def saved_model(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a SavedModel's signature ``args["signature"]``.

    Loading as objects fails where the file holds one that this TensorFlow does not know, such as an old optimizer, and
    keeps variables of TensorFlow 1 as what no converter takes. Then the signature's graph is loaded into a session, as
    TensorFlow 1 did: it holds the computation and nothing else.
    """
    tf = frozen.tensorflow(folder)
    shown = args["shown"]
    try:
        concrete, names, outputs, notes, owner = _objects(tf, args)
    except EdgekitError:
        raise
    except Exception as error:
        try:
            concrete, names, outputs, notes, owner = _session(tf, args)
        except EdgekitError:
            raise
        except Exception:
            raise ModelError(f"{shown} cannot be loaded: {frozen.line(error)}") from error
    result = frozen.flatbuffer(tf, concrete, names, outputs, notes, shown)
    del owner
    return result


Loaded = tuple[Any, list[str], list[str], list[str], Any]
"""The traced function, names of its inputs and of its outputs, notes, and the object that keeps its variables alive."""


def _objects(tf: Any, args: dict[str, Any]) -> Loaded:
    loaded = tf.saved_model.load(args["path"])
    function = loaded.signatures[args["signature"]]
    structured = function.structured_input_signature[1]
    specs, notes = frozen.settled(tf, dict(sorted(structured.items())), args)
    outputs = sorted(function.structured_outputs)
    wrapped = tf.function(lambda **inputs: [function(**inputs)[name] for name in outputs])
    concrete = wrapped.get_concrete_function(**specs)
    graph = concrete.graph.as_graph_def()
    bodies = [graph.node, *(body.node_def for body in graph.library.function)]
    if _OLD_VARIABLES.intersection(node.op for body in bodies for node in body):
        raise NotImplementedError("its variables are TensorFlow 1's")
    order = [tensor.name.split(":")[0] for tensor in concrete.inputs if tensor.dtype != tf.resource]
    return concrete, order if sorted(order) == sorted(specs) else sorted(specs), outputs, notes, loaded


def _session(tf: Any, args: dict[str, Any]) -> Loaded:
    """Load the signature's graph in a session, and freeze its variables there."""
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], args["path"])
        signature = meta.signature_def[args["signature"]]
        inputs, outputs = dict(sorted(signature.inputs.items())), dict(sorted(signature.outputs.items()))
        declared = {
            name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for name, info in inputs.items()
        }
        ends = [info.name.split(":")[0] for info in outputs.values()]
        constants = tf.compat.v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ends)
    specs, notes = frozen.settled(tf, declared, args)

    def computed(*values: Any) -> Any:
        given = {inputs[name].name: value for name, value in zip(specs, values, strict=True)}
        ends = [info.name for info in outputs.values()]
        return tf.graph_util.import_graph_def(constants, input_map=given, return_elements=ends, name="")

    concrete = tf.function(computed).get_concrete_function(*specs.values())
    return concrete, list(specs), list(outputs), notes, None
