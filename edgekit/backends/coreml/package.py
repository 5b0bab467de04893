"""The ``.mlpackage``: a folder with a manifest, the specification (a protobuf) and a file of weights.

coremltools names the items by random UUIDs and leaves the order of protobuf's maps to chance; here both follow from the
contents, so that equal networks give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError

NAME = "network.mlpackage"
DATA, AUTHOR = "Data", "com.apple.CoreML"
SPECIFICATION, WEIGHTS = "model.mlmodel", "weights"
BLOB, BLOB_ALIGNMENT = "weight.bin", 64
MOST_SPECIFICATION = 256 << 20


def write(package: Path, spec: Any, weights: Path | None) -> None:
    """Write the folder ``package``.

    :param spec: coremltools' ``Model`` message. :param weights: the folder of ``weight.bin``; None: there is none.
    """
    inner = package / DATA / AUTHOR
    inner.mkdir(parents=True)
    (inner / SPECIFICATION).write_bytes(spec.SerializeToString(deterministic=True))
    items = [(SPECIFICATION, "CoreML Model Specification", inner / SPECIFICATION)]
    if weights is not None and (weights / BLOB).is_file():
        (inner / WEIGHTS).mkdir()
        shutil.copyfile(weights / BLOB, inner / WEIGHTS / BLOB)
        items.append((WEIGHTS, "CoreML Model Weights", inner / WEIGHTS / BLOB))
    entries = {}
    for name, description, file in items:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{AUTHOR}/{name}#{digest}"))
        entries[key] = {"author": AUTHOR, "description": description, "name": name, "path": f"{AUTHOR}/{name}"}
        if name == SPECIFICATION:
            root = key
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    (package / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Loaded:
    """A package as it was read back: coremltools' ``Model`` message, and the program in coremltools' own form."""

    spec: Any
    program: Any

    @property
    def version(self) -> int:
        """Core ML's specification version of the package."""
        return int(self.spec.specificationVersion)

    @property
    def block(self) -> Any:
        """The operations of the function ``main``."""
        return self.program.functions["main"]


def load(package: Path) -> Loaded:
    """Read and check a package, in a sandboxed child process.

    Checked are its layout, its version, every operation against the definitions of that version (coremltools' own
    loader), and where its weights lie.

    :raises ModelError: saying what is wrong.
    """
    from coremltools import proto
    from coremltools.converters.mil.frontend.milproto.load import load as from_spec

    inner = package / DATA / AUTHOR
    try:
        manifest = json.loads((package / "Manifest.json").read_text())
        paths = {entry["path"] for entry in manifest["itemInfoEntries"].values()}
        root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        missing = [path for path in sorted(paths) if not (package / DATA / path).exists() or ".." in path]
        if root != f"{AUTHOR}/{SPECIFICATION}" or missing:
            raise ModelError(f"{package.name}: its manifest names {missing or root}")
        size = (inner / SPECIFICATION).stat().st_size
        if size > MOST_SPECIFICATION:
            raise ModelError(f"{package.name}: its specification has {size >> 20} MiB")
        spec = proto.Model_pb2.Model()
        spec.ParseFromString((inner / SPECIFICATION).read_bytes())
        _check(package, spec, inner / WEIGHTS / BLOB)
        program = from_spec(spec, spec.specificationVersion, str(inner / WEIGHTS))
    except ModelError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise ModelError(f"{package.name} is not a Core ML package: {first}", "compile the bundle again") from error
    return Loaded(spec, program)


def _check(package: Path, spec: Any, blob: Path) -> None:
    """Inputs and outputs are arrays of at most five dimensions; every weight lies within the file, aligned."""
    if spec.WhichOneof("Type") != "mlProgram" or list(spec.mlProgram.functions) != ["main"]:
        raise ModelError(f"{package.name} does not hold a single ML program")
    for feature in (*spec.description.input, *spec.description.output):
        array = feature.type.multiArrayType
        if feature.type.WhichOneof("Type") != "multiArrayType" or not 1 <= len(array.shape) <= 5:
            raise ModelError(f"{package.name}: {feature.name!r} is not an array of one to five dimensions")
    size = blob.stat().st_size if blob.is_file() else 0
    function = spec.mlProgram.functions["main"]
    for operation in function.block_specializations[function.opset].operations:
        values = list(operation.attributes.values())
        values += [
            b.value for a in operation.inputs.values() for b in a.arguments if b.WhichOneof("binding") == "value"
        ]
        for value in values:
            if value.WhichOneof("value") == "blobFileValue":
                offset = value.blobFileValue.offset
                if offset % BLOB_ALIGNMENT or offset >= size:
                    raise ModelError(
                        f"{package.name}: a weight of {operation.type} lies outside {BLOB}, or is misaligned"
                    )
