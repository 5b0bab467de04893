"""The Android sample in a bundle: ``firmware_stubs/android``, with the model and the network's own tensors."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import resources
from edgekit.bundle.samples import pack
from edgekit.files.documents import write_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.graph import Graph, Tensor

FOLDER = "app"
ASSETS = "app/src/main/assets"
TENSORS = "app/src/main/java/dev/edgekit/sample/Tensors.kt"


def write(graph: Graph, model: Path, folder: Path) -> None:
    """Write the project to ``folder``; ``golden.npz`` beside ``model`` gives the sample that the app checks."""
    shutil.copytree(resources.folder("firmware_stubs") / "android", folder)
    assets = folder / ASSETS
    assets.mkdir(parents=True)
    shutil.copyfile(model, assets / "model.tflite")
    for name, kind, tensors in (("input.bin", "input", graph.inputs), ("output.bin", "output", graph.outputs)):
        (assets / name).write_bytes(pack(_golden(model.with_name("golden.npz"), kind, tensors)))
    write_text(folder / TENSORS, tensors_kt(graph))
    for path in sorted(folder.rglob("*")):  # the same everywhere, whatever the checkout's are
        path.chmod(0o755 if path.is_dir() else 0o644)


def tensors_kt(graph: Graph) -> str:
    """The Kotlin source that says what the network takes and gives."""
    return f"""package dev.edgekit.sample

/** A tensor of the network. Quantized ones stand for scale * (value - zeroPoint). */
class Tensor(
    val name: String, val dtype: String, val shape: IntArray, val bytes: Int, val elements: Int,
    val scale: Float, val zeroPoint: Int)

/** Made by edgekit from the model. */
object Tensors {{
    const val MODEL = "model.tflite"
    val INPUTS = listOf(
{_rows(graph.inputs)}
    )
    val OUTPUTS = listOf(
{_rows(graph.outputs)}
    )
}}
"""


def _rows(tensors: list[Tensor]) -> str:
    return ",\n".join(f"        {_tensor(tensor)}" for tensor in tensors)


def _tensor(tensor: Tensor) -> str:
    shape = ", ".join(str(abs(d)) for d in tensor.shape)
    q = tensor.quantization if tensor.has_scale else None
    scale, zero = (float(q.scale[0]), int(q.zero_point[0])) if q else (0.0, 0)
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\$' else "_" for c in tensor.name)[:120]
    return (
        f'Tensor("{plain}", "{tensor.dtype}", intArrayOf({shape}), {tensor.nbytes}, {tensor.elements}, '
        f"{scale!r}f, {zero})"
    )


def _golden(path: Path, kind: str, tensors: list[Tensor]) -> list[NDArray[np.generic]]:
    """The first golden sample; zeros where there is none (a network taken apart has its samples elsewhere)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[f"{kind}{i}"][:1] for i in range(len(tensors))]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return [np.zeros((1, *(abs(d) for d in t.shape)), t.dtype) for t in tensors]
