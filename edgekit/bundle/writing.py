"""Writing bundles: beside their final place, and renamed into it once they are complete."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bundle import MANIFEST, SCHEMA, digest, relative_files
from edgekit.errors import UsageError
from edgekit.files import temporary
from edgekit.files.documents import dumps
from edgekit.text.system import explained

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextmanager
def folder(final: Path, *, packed: bool = False) -> Iterator[Path]:
    """Yield an empty folder next to ``final``, which takes its place on success; otherwise nothing is left.

    An older bundle at ``final`` is replaced; anything else there is refused.

    :param packed: also write the folder as a single file, ``final`` with ``.edgekit`` appended.
    """
    if final.exists() and not (final / MANIFEST).is_file() and (not final.is_dir() or any(final.iterdir())):
        raise UsageError(f"{final} exists and is not a bundle", "choose another --out")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with temporary.folder(final.parent) as place:
            made = place / "bundle"
            made.mkdir()
            made.chmod(0o755)
            yield made
            zipped = place / f"{final.name}.edgekit"
            if packed:
                pack(made, zipped)
            temporary.swap(made, final, place)
            if packed:
                zipped.replace(final.with_name(zipped.name))
    except OSError as error:
        raise explained(error, final.parent, "--out") from error


def finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest.json`` with the size and sha256 of every file in ``folder``."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}
             for name in relative_files(folder)}  # fmt: skip
    text = dumps({"schema": SCHEMA, **manifest, "files": files}, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n")


def save_golden(folder: Path, inputs: list[NDArray[Any]], outputs: list[NDArray[Any]]) -> None:
    """Write ``golden.npz``; np.savez stamps no time, so equal arrays give equal bytes."""
    import numpy as np

    named = {f"input{i}": a for i, a in enumerate(inputs)} | {f"output{i}": a for i, a in enumerate(outputs)}
    np.savez_compressed(folder / "golden.npz", allow_pickle=False, **named)


def pack(folder: Path, file: Path) -> None:
    """Write a bundle folder as one ``.edgekit`` zip, deterministically."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in relative_files(folder):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            executable = os.access(folder / name, os.X_OK)
            info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, (folder / name).read_bytes())
