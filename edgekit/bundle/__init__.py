"""Bundles: a folder (or one ``.edgekit`` zip) with everything one target needs, and the proof.

A bundle holds ``manifest.json``, ``model.tflite`` (the Graph that was compiled), ``artifact/`` (what runs it),
``golden.npz`` (inputs and reference outputs), ``profile.json`` (the estimate) and ``README.md``; with a task also
``material.npz`` and ``decisions.json`` (what golden inputs were made of, and what is decided on it). It is written
beside its final place and renamed into it, so a half-written bundle never carries the name; the same inputs give the
same bytes. docs/formats.md describes the manifest.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgekit.bundle.execution import Execution, of_manifest
from edgekit.errors import CheckFailed, UsageError
from edgekit.files import archives, plain_files, temporary
from edgekit.files.documents import loads
from edgekit.target import Target
from edgekit.target import load as load_target
from edgekit.tasks.task import Task
from edgekit.tasks.task import check as check_task
from edgekit.tasks.task import of_manifest as of_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle.material import Material
    from edgekit.graph import Graph, Tensor

SCHEMA = 1
MANIFEST = "manifest.json"
MAX_UNPACKED_BYTES = 4 << 30
MAX_MANIFEST_BYTES = 16 << 20
MAX_GOLDEN_BYTES = 512 << 20
_KINDS: dict[str, type] = {
    "target": str, "backend": str, "runtime": str, "model": dict, "recipe": dict, "run": list, "inputs": list,
    "outputs": list, "files": dict,
}  # fmt: skip
"""Fields that every manifest has."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk."""

    path: Path
    manifest: dict[str, Any]

    @cached_property
    def target(self) -> Target:
        """The target that the bundle is for."""
        return load_target(self.manifest["target"])

    @cached_property
    def execution(self) -> Execution:
        """How the bundle is run.

        :raises CheckFailed: if the manifest is damaged.
        """
        return of_manifest(self.manifest)

    @cached_property
    def task(self) -> Task | None:
        """What the network is for; None if nothing says it.

        :raises CheckFailed: if the manifest is damaged, or the task is not for its network.
        """
        found = of_bundle(self.manifest, self.path)
        if found is not None:
            try:
                check_task(found, self.graph, "manifest.json")
            except UsageError as error:
                raise CheckFailed(error.message, "compile the bundle again") from error
        return found

    @property
    def model(self) -> Path:
        """The Graph that was compiled, as a TFLite file."""
        return self.path / "model.tflite"

    @property
    def artifact(self) -> Path:
        """The folder with the files that go to the board."""
        return self.path / "artifact"

    @cached_property
    def graph(self) -> Graph:
        """Read the bundle's network."""
        from edgekit.graph import tflite

        return tflite.read(self.model)

    def material(self, samples: int) -> Material | None:
        """What some of the ``samples`` golden inputs were made of; None if the bundle keeps nothing of it.

        :raises CheckFailed: if it is damaged.
        """
        from edgekit.bundle import material

        return material.read(self.path, samples)

    def golden(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return golden inputs and reference outputs, in the tensors' dtypes.

        Each is a list of one array per network input or output, ``[samples, *tensor shape]``.
        """
        from edgekit.data import npz

        try:
            found = npz.read(self.path / "golden.npz", most=MAX_GOLDEN_BYTES, kinds="biufc")
            count = {kind: sum(name.startswith(kind) for name in found) for kind in ("input", "output")}
            inputs = [found[f"input{i}"] for i in range(count["input"])]
            outputs = [found[f"output{i}"] for i in range(count["output"])]
            _check_golden(inputs, self.graph.inputs)
            _check_golden(outputs, self.graph.outputs)
            if len({len(array) for array in [*inputs, *outputs]}) > 1:
                raise ValueError("its arrays have different numbers of samples")
        except (UsageError, ValueError, KeyError) as error:
            raise CheckFailed(f"golden.npz is damaged: {error}", "compile the bundle again") from error
        return inputs, outputs

    def damaged(self) -> list[str]:
        """Compare every file's size and SHA-256 with the manifest; return what differs, as text."""
        problems = []
        try:
            there = plain_files.names(self.path)
        except plain_files.NotPlain as error:
            return [str(error)]
        for name, expected in self.manifest["files"].items():
            if name not in there:
                problems.append(f"{name} is missing")
            elif plain_files.digest(self.path, name) != expected["sha256"]:
                problems.append(f"{name} has changed")
        known = {*self.manifest["files"], MANIFEST}
        return problems + [f"{name} does not belong" for name in there if name not in known]


def _check_golden(arrays: list[NDArray[Any]], tensors: Sequence[Tensor]) -> None:
    """Check that there is one array for each tensor, with samples of its shape and type.

    :raises ValueError: if not.
    """
    if len(arrays) != len(tensors):
        raise ValueError(f"it has {len(arrays)} arrays for {len(tensors)} tensors")
    for array, tensor in zip(arrays, tensors, strict=True):
        shape = tuple(abs(size) for size in tensor.shape)
        kind = "int8" if tensor.dtype in ("int2", "int4") else "uint8" if tensor.dtype == "uint4" else tensor.dtype
        if array.shape[1:] != shape or array.ndim == 0 or array.dtype.name != kind:
            raise ValueError(f"{tensor.name!r} is {tensor.dtype} {list(shape)}, not {array.dtype} {array.shape}")


class Damaged(CheckFailed):
    """A bundle's files are not those of its manifest; ``problems`` says of each what is wrong with it."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(f"{path}: {'; '.join(problems[:3])}", "compile or copy the bundle again")
        self.problems = problems


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def relative_files(folder: Path) -> list[str]:
    """All files below ``folder``, as sorted POSIX paths relative to it.

    :raises CheckFailed: if anything below it is a link, a device or a FIFO.
    """
    try:
        return plain_files.names(folder)
    except plain_files.NotPlain as error:
        raise CheckFailed(
            f"{folder}: {error}; a bundle contains only plain files", "compile the bundle again"
        ) from error


def is_bundle(path: Path) -> bool:
    """True if ``path`` looks like a bundle: a folder with a manifest, or a ``.edgekit`` file."""
    return (path / "manifest.json").is_file() or path.suffix == ".edgekit"


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Yield a private copy of a bundle folder or ``.edgekit`` file: only the files that its manifest names.

    Each file has the digest that the manifest says. What is read from the copy, run, or sent to a board is therefore
    what was checked, whoever can write to ``path``.

    :raises UsageError: if it is not a bundle; :raises CheckFailed: if its manifest is damaged, or if anything in it is
        a link, a device or a FIFO; :raises Damaged: if its files are not those of the manifest.
    """
    with temporary.folder() as place:
        source = place / "bundle"
        if path.suffix == ".edgekit" and path.is_file():
            _unpack(path, source)
            bundle = load(source)
            problems = bundle.damaged()
        else:
            bundle, problems = _copied(load(path), source)
        if problems:
            raise Damaged(path, problems)
        yield bundle


def _copied(bundle: Bundle, to: Path) -> tuple[Bundle, list[str]]:
    """Copy a bundle's files into a new folder; return the copy, and what differs from the manifest, as text."""
    there, problems, room = relative_files(bundle.path), [], MAX_UNPACKED_BYTES
    known = {*bundle.manifest["files"], MANIFEST}
    problems += [f"{name} does not belong" for name in there if name not in known]
    to.mkdir(exist_ok=True)
    for name, expected in bundle.manifest["files"].items():
        try:
            if plain_files.copied(bundle.path, name, to / name, room) != expected["sha256"]:
                problems.append(f"{name} has changed")
            room -= (to / name).stat().st_size
        except FileNotFoundError:
            problems.append(f"{name} is missing")
        except plain_files.NotPlain as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror}")
    (to / MANIFEST).write_text(json.dumps(bundle.manifest))
    return Bundle(to, bundle.manifest), problems


def load(path: Path) -> Bundle:
    """Read a bundle folder's manifest; ``opened`` also takes packed bundles, and checks every file.

    :raises UsageError: if it is not a bundle; :raises CheckFailed: if its manifest is damaged, or if anything in the
        folder is a link, a device or a FIFO.
    """
    if not path.exists():
        raise UsageError(f"there is no bundle {path}", "check the path; `edgekit compile` prints it")
    if not (path / MANIFEST).is_file():
        raise UsageError(f"{path} is not a bundle: it has no manifest.json", "create one with `edgekit compile`")
    relative_files(path)
    try:
        with plain_files.opened(path, MANIFEST) as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
        if len(text) > MAX_MANIFEST_BYTES:
            raise ValueError(f"it has over {MAX_MANIFEST_BYTES >> 20} MiB")
        manifest = loads(text)
        if manifest["schema"] != SCHEMA:
            raise UsageError(
                f"{path}: written by another version of edgekit (schema {manifest['schema']})", "compile it again"
            )
        _check_kinds(manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailed(f"{path}: manifest.json is damaged ({error})", "compile the bundle again") from error
    return Bundle(path, manifest)


def _check_kinds(manifest: dict[str, Any]) -> None:
    """Check that the manifest has the fields that the commands read, each of its type.

    :raises ValueError, KeyError, TypeError: if not.
    """
    for key, kind in _KINDS.items():
        if not isinstance(manifest[key], kind):
            raise TypeError(f"{key} is not of type {kind.__name__}")
    if not all(isinstance(manifest[key]["name"], str) for key in ("model", "recipe")):
        raise TypeError("a name is not a text")
    for name, entry in manifest["files"].items():
        _checked_name(name)
        if not isinstance(entry["bytes"], int) or not isinstance(entry["sha256"], str):
            raise TypeError(name)


def _checked_name(name: str) -> str:
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise ValueError(f"unsafe file name {name!r}")
    return name


def _unpack(file: Path, folder: Path) -> None:
    try:
        with archives.opened(file) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MAX_UNPACKED_BYTES or archives.bomb(members, file.stat().st_size):
                raise ValueError(f"unpacks to too many bytes ({total})")
            for member in members:
                mode = member.external_attr >> 16
                if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
                    raise ValueError(f"{member.filename!r} is not a plain file")
                _checked_name(member.filename)
                archive.extract(member, folder)
                if mode & 0o100:
                    (folder / member.filename).chmod(0o755)
    except archives.UNREADABLE as error:
        raise CheckFailed(f"{file}: not a readable bundle: {error}", "copy or compile it again") from error
