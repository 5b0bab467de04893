"""What runs in the locked-down child: load a Keras model or SavedModel, write a float TFLite flatbuffer.

TensorFlow is imported here and nowhere else, and only after the checks that need h5py alone.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import EdgekitError, ModelError
from edgekit.readers import keras_config, shapes

Arrays = Mapping[str, NDArray[Any]]
Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]

MAX_ELEMENTS = 1 << 31
UNROLLED_STEPS = 64


def keras_file(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a ``.keras`` file."""
    import zipfile

    with zipfile.ZipFile(args["path"]) as archive, archive.open("model.weights.h5") as weights:
        _check_links(weights, args["shown"])
    return _keras(args, folder)


def h5_file(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a legacy ``.h5`` file."""
    config = _check_links(args["path"], args["shown"])
    if config is None:
        raise ModelError(
            f"{args['shown']} holds no model: it has no model_config",
            "it may hold only weights (save_weights): save the whole model with model.save",
        )
    keras_config.check(keras_config.parse(config, args["shown"]), args["shown"], args["trust"])
    return _keras(args, folder)


def saved_model(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a SavedModel's signature ``args["signature"]``."""
    tf = _tensorflow(folder)
    shown = args["shown"]
    try:
        loaded = tf.saved_model.load(args["path"])
        function = loaded.signatures[args["signature"]]
        structured = function.structured_input_signature[1]
        specs, notes = _settled(tf, dict(sorted(structured.items())), args)
        outputs = sorted(function.structured_outputs)
        wrapped = tf.function(lambda **inputs: [function(**inputs)[name] for name in outputs])
        concrete = wrapped.get_concrete_function(**specs)
    except EdgekitError:
        raise
    except Exception as error:
        raise ModelError(f"{shown} cannot be loaded: {_line(error)}") from error
    order = [_plain(tensor.name) for tensor in concrete.inputs if tensor.dtype != tf.resource]
    names = order if sorted(order) == sorted(specs) else sorted(specs)
    return _flatbuffer(tf, concrete, names, outputs, notes, shown)


def _keras(args: dict[str, Any], folder: Path) -> Answer:
    tf = _tensorflow(folder)
    import keras

    shown = args["shown"]
    if args["trust"]:
        keras.config.enable_unsafe_deserialization()
    try:
        model = keras.models.load_model(args["path"], compile=False, safe_mode=not args["trust"])
    except Exception as error:
        raise ModelError(f"{shown} cannot be loaded: {_line(error)}", _load_hint(error)) from error
    try:
        declared = [(tensor.name, tf.TensorSpec(tensor.shape, tensor.dtype)) for tensor in model.inputs]
    except (AttributeError, ValueError, TypeError):
        declared = []
    if not declared:
        raise ModelError(
            f"{shown} does not say the shape of its input",
            "add a keras.Input to the model, or call it once before saving",
        )
    _unroll(keras, model, shown)
    names = _input_names(model, [name for name, _ in declared])
    specs, notes = _settled(tf, dict(zip(names, (spec for _, spec in declared), strict=True)), args)

    def inference(*inputs: Any) -> Any:
        return tf.nest.flatten(model(tf.nest.pack_sequence_as(model._inputs_struct, inputs), training=False))

    def inference_plain(*inputs: Any) -> Any:
        return tf.nest.flatten(model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))

    function = inference if hasattr(model, "_inputs_struct") else inference_plain
    try:
        concrete = tf.function(function).get_concrete_function(*specs.values())
    except Exception as error:
        raise ModelError(f"{shown} cannot be traced for one sample: {_line(error)}") from error
    count = len(tf.nest.flatten(concrete.structured_outputs))
    return _flatbuffer(tf, concrete, names, _output_names(model, count), notes, shown)


def _unroll(keras: Any, model: Any, shown: str) -> None:
    """Turn recurrent layers over few steps into plain operators, which can be quantized; loops cannot."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ModelError(
                f"{shown}: layer {layer.name!r} keeps state between calls, which cannot be converted",
                "build the model with stateful=False",
            )
        both = isinstance(layer, keras.layers.Bidirectional)
        try:
            inputs = layer.input
            steps = (inputs[0] if isinstance(inputs, (list, tuple)) else inputs).shape[1]  # [sequence, mask, ...]
        except (AttributeError, ValueError, IndexError, TypeError):
            continue  # called in no functional model, so its number of steps is not known
        for recurrent in (layer.forward_layer, layer.backward_layer) if both else (layer,):
            if isinstance(recurrent, keras.layers.RNN):
                recurrent.unroll = steps is not None and steps <= UNROLLED_STEPS
                if steps is None:
                    _unroll_when_called(recurrent)


def _unroll_when_called(layer: Any) -> None:
    """Decide when the steps are known, which the model leaves open: at the call with the shape that was given."""
    plain = layer.call

    def call(sequences: Any, *args: Any, **kwargs: Any) -> Any:
        layer.unroll = sequences.shape[1] is not None and sequences.shape[1] <= UNROLLED_STEPS
        return plain(sequences, *args, **kwargs)

    layer.call = call


def _flatbuffer(tf: Any, concrete: Any, inputs: list[str], outputs: list[str], notes: list[str], shown: str) -> Answer:
    """Freeze variables (else the converter keeps them as resources) and convert, float and unoptimised."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    for tensor in tf.nest.flatten(concrete.structured_outputs):
        if not isinstance(tensor, tf.Tensor):
            raise ModelError(f"{shown} has an output that is a {type(tensor).__name__}, not a tensor")
    try:
        frozen = convert_variables_to_constants_v2(concrete)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        data = converter.convert()
    except Exception as error:
        raise _unsupported(error, shown) from error
    answer = {"inputs": inputs, "outputs": outputs, "notes": [f"converted by TensorFlow {tf.__version__}", *notes]}
    return answer, {"model": np.frombuffer(data, np.uint8)}


def _tensorflow(folder: Path) -> Any:
    """Import TensorFlow with every folder it might write to inside the scratch folder."""
    os.environ.update(TMPDIR=str(folder), HOME=str(folder), KERAS_HOME=str(folder), KERAS_BACKEND="tensorflow")
    tempfile.tempdir = str(folder)
    sys.setrecursionlimit(3000)
    import tensorflow as tf

    return tf


def _check_links(file: Any, shown: str) -> str | None:
    """Refuse HDF5 data that lies in other files; return the attribute ``model_config``."""
    import h5py

    try:
        with h5py.File(file, "r") as root:
            pending = [root]
            while pending:
                group = pending.pop()
                for name in group:
                    link = group.get(name, getlink=True)
                    if isinstance(link, h5py.ExternalLink):
                        raise ModelError(f"{shown} has a link into another file: {link.filename!r}")
                    if isinstance(link, h5py.SoftLink):
                        raise ModelError(f"{shown} has a soft link, {group.name}/{name}, which no Keras model has")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        pending.append(item)
                    elif isinstance(item, h5py.Dataset):
                        _check_dataset(item, shown)
            config = root.attrs.get("model_config")
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{shown} holds damaged HDF5 data: {_line(error)}") from error
    return config.decode(errors="replace") if isinstance(config, bytes) else config


def _check_dataset(item: Any, shown: str) -> None:
    if item.external or item.is_virtual:
        raise ModelError(f"{shown} keeps the data of {item.name} in another file")
    if item.size is None or item.size > MAX_ELEMENTS:
        raise ModelError(f"{shown}: {item.name} has {item.size} elements; the limit is {MAX_ELEMENTS}")


def _settled(tf: Any, specs: Mapping[str, Any], args: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Fix the shapes of all inputs (TensorSpecs by name); return them anew, and what was decided, in words."""
    shown = args["shown"]
    wanted = {name: tuple(shape) for name, shape in args["shapes"].items()}
    declared = [
        shapes.Declared(name, None if spec.shape.rank is None else spec.shape.as_list()) for name, spec in specs.items()
    ]
    settled = shapes.settle(declared, wanted, shown)
    for name, spec in specs.items():
        if spec.dtype == tf.string:
            raise ModelError(f"{shown}: input {name!r} takes strings", "move the text processing out of the model")
    pairs = zip(specs.items(), settled.shapes, strict=True)
    return {name: tf.TensorSpec(shape, spec.dtype, name=name) for (name, spec), shape in pairs}, settled.notes


def _input_names(model: Any, fallback: list[str]) -> list[str]:
    names = _names(model, "input_names")
    return names if len(names) == len(fallback) else fallback


def _output_names(model: Any, count: int) -> list[str]:
    names = _names(model, "output_names")
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def _names(model: Any, what: str) -> list[str]:
    """Return the names a functional model has for its inputs or outputs; a Sequential wraps one."""
    return [str(name) for name in getattr(getattr(model, "_functional", None) or model, what, None) or []]


def _plain(name: str) -> str:
    return name.split(":")[0]


def _line(error: BaseException) -> str:
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


def _load_hint(error: BaseException) -> str:
    text = str(error)
    unknown = re.search(r"Unknown layer: '?([\w>]+)'?|Could not locate (?:class|function) '([\w>]+)'", text)
    if unknown:
        return (
            f"{unknown[1] or unknown[2]} is not a layer of Keras 3: load the model where it was made and save it "
            "with model.export(folder), which writes a SavedModel"
        )
    return "the file may be damaged, or made by a version of Keras that this one cannot read"


def _unsupported(error: BaseException, shown: str) -> ModelError:
    """Name the operators that TFLite does not have, which the converter lists in its error."""
    text = str(error)
    found = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", text, re.MULTILINE)
    if not found:
        return ModelError(f"{shown} cannot be converted to TFLite: {_line(error)}")
    names = sorted({name.strip() for line in found for name in line.split(",")})
    return ModelError(
        f"{shown} uses operators that TFLite does not have: {', '.join(names)}",
        "replace those layers, or move them out of the model",
    )
