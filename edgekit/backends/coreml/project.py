"""What lies beside the package: the check for a Mac, and a Swift package (both from ``firmware_stubs/ios``)."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import resources
from edgekit.backends.coreml.ends import entered
from edgekit.backends.coreml.package import NAME
from edgekit.files.documents import write_text

CHECK = "verify_on_mac.py"
APP = "app"
SOURCES = f"{APP}/Sources/EdgekitNetwork"
MACOS = {16: 13, 17: 14, 18: 15}
"""The macOS of an iOS's year."""
TYPES = {"float32": ".float32", "int32": ".int32"}


def write(about: dict[str, Any], golden: Path, folder: Path) -> None:
    """Write both to ``folder``, which has the package; ``golden`` gives the sample that the app checks."""
    stubs = resources.folder("firmware_stubs") / "ios"
    shutil.copyfile(stubs / CHECK, folder / CHECK)
    shutil.copytree(stubs / APP, folder / APP)
    manifest = folder / APP / "Package.swift"
    text = manifest.read_text().replace("@IOS@", str(about["ios"])).replace("@MACOS@", str(MACOS[about["ios"]]))
    write_text(manifest, text)
    write_text(folder / SOURCES / "Tensors.swift", tensors_swift(about))
    inside = folder / SOURCES / "Resources"
    shutil.copytree(folder / NAME, inside / NAME)
    for kind in ("input", "output"):
        for number, tensor in enumerate(about[f"{kind}s"]):
            (inside / f"{kind}{number}.bin").write_bytes(_sample(golden, f"{kind}{number}", tensor))
    for path in sorted(folder.rglob("*")):  # the same everywhere, whatever the checkout's are
        path.chmod(0o755 if path.is_dir() else 0o644)


def _sample(golden: Path, name: str, about: dict[str, Any]) -> bytes:
    """The first golden sample as float32; zeros where there is none (a network taken apart has its elsewhere)."""
    try:
        with np.load(golden, allow_pickle=False) as archive:
            values = entered(archive[name][0], about)
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile):
        values = np.zeros(about["shape"])
    return values.astype("<f4").tobytes()


def tensors_swift(about: dict[str, Any]) -> str:
    """The Swift source that says what the package takes and gives."""
    return f"""import CoreML

/// An input or output of the package. Integers stand for themselves; what an 8-bit network has quantized is real here.
public struct Tensor {{
    public let name: String
    public let type: MLMultiArrayDataType
    public let shape: [Int]
    public var elements: Int {{ shape.reduce(1, *) }}
}}

/// Made by edgekit from the model.
public enum Tensors {{
    public static let package = "{NAME}"
    public static let inputs: [Tensor] = [
{_rows(about["inputs"])}
    ]
    public static let outputs: [Tensor] = [
{_rows(about["outputs"])}
    ]
}}
"""


def _rows(tensors: list[dict[str, Any]]) -> str:
    return "\n".join(
        f'        Tensor(name: "{t["name"]}", type: {TYPES[t["dtype"]]}, shape: {t["shape"]}),' for t in tensors
    )
