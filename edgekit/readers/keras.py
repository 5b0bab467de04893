"""Readers for ``.keras``, legacy ``.h5`` and SavedModel, which need TensorFlow in a sandboxed child process.

This side looks at the file without TensorFlow, so that a bad one fails in milliseconds; the child's side is
:mod:`edgekit.readers.keras_child` and :mod:`edgekit.readers.saved_model_child`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from edgekit import sandbox
from edgekit.errors import ModelError, ToolMissing
from edgekit.readers import ReadOptions, files, keras_config, saved_model
from edgekit.sandbox import answers
from edgekit.sandbox.environment import TENSORFLOW

if TYPE_CHECKING:
    from edgekit.graph import Graph

_TASKS = {"keras_file": "keras_child", "h5_file": "keras_child", "saved_model": "saved_model_child"}
"""The module of each task."""
_ZIP = b"PK\x03\x04"


class KerasReader:
    """Reads ``.keras``, the zip archive of Keras 3."""

    name = "keras"

    def matches(self, path: Path) -> bool:
        """See :class:`edgekit.readers.Reader`."""
        return path.suffix == ".keras"

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """Read the model; see :class:`edgekit.readers.Reader`."""
        if path.is_dir():
            raise ModelError(f"{path} is a folder, not a .keras file", "a SavedModel folder holds saved_model.pb")
        members = files.check_zip(path)
        missing = [name for name in ("config.json", "model.weights.h5") if name not in members]
        if missing:
            raise ModelError(f"{path} is not a Keras model: the archive has no {missing[0]}")
        config = files.read_member(path, "config.json", keras_config.MAX_CONFIG_BYTES)
        keras_config.check(keras_config.parse(config, str(path)), str(path), options.trust)
        return _convert("keras_file", path, options, {})


class H5Reader:
    """Reads ``.h5``, the format of Keras 2."""

    name = "h5"

    def matches(self, path: Path) -> bool:
        """See :class:`edgekit.readers.Reader`."""
        return path.suffix in (".h5", ".hdf5") or (path.suffix == "" and files.starts_with(path, files.HDF5_SIGNATURE))

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """Read the model; see :class:`edgekit.readers.Reader`."""
        if path.is_file() and files.starts_with(path, _ZIP):
            raise ModelError(f"{path} is a zip archive, not HDF5", "if it is a Keras 3 model, name it .keras")
        files.check_hdf5(path)
        return _convert("h5_file", path, options, {})


class SavedModelReader:
    """Reads a SavedModel, a folder with ``saved_model.pb``."""

    name = "saved_model"

    def matches(self, path: Path) -> bool:
        """See :class:`edgekit.readers.Reader`."""
        return path.is_dir()

    def read(self, path: Path, options: ReadOptions) -> Graph:
        """Read the model; see :class:`edgekit.readers.Reader`."""
        if not (path / "saved_model.pb").is_file():
            if (path / "manifest.json").is_file():
                raise ModelError(f"{path} is a bundle, not a model", f"pass the network in it: {path / 'model.tflite'}")
            raise ModelError(f"{path} is a folder without saved_model.pb, so it is not a SavedModel")
        signature = saved_model.check(path, options.trust)
        return _convert("saved_model", path, options, {"signature": signature})


def _convert(task: str, path: Path, options: ReadOptions, args: dict[str, Any]) -> Graph:
    """Convert in a child to a float TFLite flatbuffer and read that."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ToolMissing(
            f"reading {path.name} needs TensorFlow, which is not installed",
            "install it: pip install 'edgekit[train]'; or convert the model to .tflite elsewhere",
        )
    from edgekit.graph import tflite
    from edgekit.readers.tflite_shapes import fixed

    options.progress.step(f"converting {path.name} (TensorFlow, in a sandbox)")
    limits = sandbox.Limits(seconds=options.seconds, memory_mb=options.memory_mb)
    try:
        answer, arrays = sandbox.call(
            f"edgekit.readers.{_TASKS[task]}:{task}",
            {
                "path": str(path.absolute()),
                "shown": str(path),
                "trust": options.trust,
                "shapes": dict(options.shapes),
                **args,
            },
            limits=limits,
            preload=TENSORFLOW,
            readable=[path],
            form=_Answer,
        )
    except sandbox.ChildDied as died:
        raise ModelError(
            f"{path} cannot be read: TensorFlow {died.reason} on it",
            "the file may be damaged, or larger than the limits of time and memory allow",
        ) from died
    graph = tflite.loads(arrays["model"].tobytes())
    graph.notes += answer["notes"]
    with answers.consistent():
        _name(graph, answer["inputs"], answer["outputs"])
    return fixed(graph, str(path), options)


class _Answer(TypedDict):
    notes: list[str]
    inputs: list[str]
    outputs: list[str]


def _name(graph: Graph, inputs: list[str], outputs: list[str]) -> None:
    """Give inputs and outputs the model's own names, and a signature to call them by."""
    from edgekit.graph import Signature

    taken = {t.name for t in graph.tensors}
    for indices, names in ((graph.main.inputs, inputs), (graph.main.outputs, outputs)):
        for index, name in zip(indices, names, strict=True):
            tensor = graph.main.tensors[index]
            taken.discard(tensor.name)
            tensor.name = _free(name, taken)
            taken.add(tensor.name)
    graph.signatures = [
        Signature(
            "serving_default",
            dict(zip(_unique(inputs), graph.main.inputs, strict=True)),
            dict(zip(_unique(outputs), graph.main.outputs, strict=True)),
        )
    ]


def _unique(names: list[str]) -> list[str]:
    taken: set[str] = set()
    return [taken.add(free) or free for free in (_free(name, taken) for name in names)]  # type: ignore[func-returns-value]


def _free(name: str, taken: set[str]) -> str:
    """Return ``name``, with a number behind it where it is taken."""
    number, free = 1, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
