"""The emulator's root folder: an AArch64 C and C++ library, and the target's processor as Linux describes it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from edgekit import resources
from edgekit.files import temporary
from edgekit.runners.emulator import fakecpu
from edgekit.target import Target
from edgekit.tools import toolchain

_LIBRARIES = (
    "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1",
    "libstdc++.so.6", "libgcc_s.so.1",
)  # fmt: skip


def get(target: Target) -> Path:
    """Return the target's root folder, made on first use and again when the libraries or the target change.

    :raises ToolMissing: if the AArch64 libraries are not installed.
    """
    source = Path(toolchain.load("aarch64-sysroot").find().files[0]).parent
    libraries = {name: (source / name).resolve() for name in _LIBRARIES}
    described = fakecpu.files(target)
    key = json.dumps([described, {n: [str(p), p.stat().st_size, p.stat().st_mtime_ns] for n, p in libraries.items()}])
    folder = resources.cache("sysroots") / f"{target.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    with temporary.folder(resources.created(folder.parent)) as place:
        (place / "root" / "lib").mkdir(parents=True)
        for name, path in libraries.items():
            shutil.copy2(path, place / "root" / "lib" / name)
        fakecpu.write(target, place / "root")
        _take_name(place / "root", folder)
    return folder


def _take_name(made: Path, folder: Path) -> None:
    try:
        os.rename(made, folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker, with the same content
            raise
