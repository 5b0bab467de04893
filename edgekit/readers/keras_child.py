"""What runs in the sandboxed child process: load a Keras model, write a float TFLite flatbuffer.

Keras 3 loads what Keras 3 wrote. Files of Keras 2 are loaded by tf_keras, which is Keras 2: Keras 3 lacks some of its
layers and rejects what it wrote for others, and words such as ``hard_sigmoid`` have another meaning there.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError, ToolMissing
from edgekit.files import archives, documents
from edgekit.readers import frozen, keras_config
from edgekit.readers.frozen import Answer, Arrays

MAX_ELEMENTS = 1 << 31
UNROLLED_STEPS = 64
_MAX_METADATA = 1 << 20


def keras_file(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a ``.keras`` file."""
    with zipfile.ZipFile(args["path"]) as archive:
        with archive.open("model.weights.h5") as weights:
            _check_links(weights, args["shown"])
        return _keras(args, folder, _written_by(archive))


def h5_file(args: dict[str, Any], arrays: Arrays, folder: Path) -> Answer:
    """Task: convert a legacy ``.h5`` file."""
    attributes = _check_links(args["path"], args["shown"])
    config = attributes.get("model_config")
    if config is None:
        raise ModelError(
            f"{args['shown']} holds no model: it has no model_config",
            "it may hold only weights (save_weights): save the whole model with model.save",
        )
    keras_config.check(keras_config.parse(config, args["shown"]), args["shown"], args["trust"])
    return _keras(args, folder, attributes.get("keras_version", ""))


def _written_by(archive: zipfile.ZipFile) -> str:
    """The version of Keras that wrote a ``.keras`` file; "" where it does not say."""
    try:
        with archive.open("metadata.json") as file:
            version = documents.loads(file.read(_MAX_METADATA))["keras_version"]
    except (KeyError, TypeError, *archives.UNREADABLE):
        return ""
    return version if isinstance(version, str) else ""


def _library(version: str, shown: str) -> Any:
    """The Keras that loads what ``version`` wrote."""
    if not re.match(r"[12]\.", version):
        import keras

        return keras
    try:
        import tf_keras
    except ImportError as error:
        raise ToolMissing(
            f"{shown} was written by Keras {version}; reading it needs tf_keras, which is not installed",
            "install it: pip install 'edgekit[train]'",
        ) from error
    return tf_keras


def _keras(args: dict[str, Any], folder: Path, version: str) -> Answer:
    tf = frozen.tensorflow(folder)
    shown = args["shown"]
    keras = _library(version, shown)
    if args["trust"] and keras.__name__ == "keras":
        keras.config.enable_unsafe_deserialization()
    try:
        model = keras.models.load_model(args["path"], compile=False, safe_mode=not args["trust"])
    except Exception as error:
        raise ModelError(f"{shown} cannot be loaded: {frozen.line(error)}", _load_hint(error)) from error
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
    structure = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))
    specs, notes = frozen.settled(tf, dict(zip(names, (spec for _, spec in declared), strict=True)), args)

    def inference(*inputs: Any) -> Any:
        if structure is None:
            return tf.nest.flatten(model(list(inputs) if len(inputs) > 1 else inputs[0], training=False))
        return tf.nest.flatten(model(tf.nest.pack_sequence_as(structure, inputs), training=False))

    try:
        concrete = tf.function(inference).get_concrete_function(*specs.values())
    except Exception as error:
        raise ModelError(f"{shown} cannot be traced for one sample: {frozen.line(error)}") from error
    count = len(tf.nest.flatten(concrete.structured_outputs))
    return frozen.flatbuffer(tf, concrete, names, _output_names(model, count), notes, shown)


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
                if not _can_unroll(recurrent):
                    continue
                recurrent.unroll = steps is not None and steps <= UNROLLED_STEPS
                if steps is None:
                    _unroll_when_called(recurrent)


def _can_unroll(layer: Any) -> bool:
    """Make a layer take its plain way instead of Keras 2's fused kernels; False where it cannot be unrolled."""
    if hasattr(layer, "_could_use_gpu_kernel"):
        layer._could_use_gpu_kernel = False
    return "conv" not in type(layer).__module__.rpartition(".")[2]


def _unroll_when_called(layer: Any) -> None:
    """Decide when the steps are known, which the model leaves open: at the call with the shape that was given."""
    plain = layer.call

    def call(sequences: Any, *args: Any, **kwargs: Any) -> Any:
        layer.unroll = sequences.shape[1] is not None and sequences.shape[1] <= UNROLLED_STEPS
        return plain(sequences, *args, **kwargs)

    layer.call = call


def _check_links(file: Any, shown: str) -> dict[str, str]:
    """Refuse HDF5 data that lies in other files; return the attributes that are text."""
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
                        raise ModelError(
                            f"{shown} has a soft link, {group.name}/{name}, which Keras models do not have"
                        )
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        pending.append(item)
                    elif isinstance(item, h5py.Dataset):
                        _check_dataset(item, shown)
            texts = {name: root.attrs.get(name) for name in ("model_config", "keras_version")}
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{shown} holds damaged HDF5 data: {frozen.line(error)}") from error
    decoded = {name: text.decode(errors="replace") if isinstance(text, bytes) else text for name, text in texts.items()}
    return {name: text for name, text in decoded.items() if isinstance(text, str)}


def _check_dataset(item: Any, shown: str) -> None:
    if item.external or item.is_virtual:
        raise ModelError(f"{shown} keeps the data of {item.name} in another file")
    if item.size is None or item.size > MAX_ELEMENTS:
        raise ModelError(f"{shown}: {item.name} has {item.size} elements; the limit is {MAX_ELEMENTS}")


def _input_names(model: Any, fallback: list[str]) -> list[str]:
    names = _names(model, "input_names")
    return names if len(names) == len(fallback) else fallback


def _output_names(model: Any, count: int) -> list[str]:
    names = _names(model, "output_names")
    return names if len(names) == count else [f"output_{i}" for i in range(count)]


def _names(model: Any, what: str) -> list[str]:
    """Return the names a functional model has for its inputs or outputs; a Sequential wraps one."""
    return [str(name) for name in getattr(getattr(model, "_functional", None) or model, what, None) or []]


def _load_hint(error: BaseException) -> str:
    text = str(error)
    unknown = re.search(r"Unknown layer: '?([\w>]+)'?|Could not locate (?:class|function) '([\w>]+)'", text)
    if unknown:
        return (
            f"{unknown[1] or unknown[2]} is not a layer of Keras 3: load the model where it was made and save it "
            "with model.export(folder), which writes a SavedModel"
        )
    return "the file may be damaged, or made by a version of Keras that this one cannot read"
