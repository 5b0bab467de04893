"""What a child process gets: an environment without secrets, and the folders from which it imports.

A child of a user who stands in an untrusted folder must import nothing from there. ``python -m`` would, before any
lock is set, and so would ``PYTHONPATH=.`` or an empty entry of ``PATH`` and ``LD_LIBRARY_PATH``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgekit import resources

NEUTRAL = "/"
"""Where child processes start: only root can put a file there."""
_KEPT = frozenset({
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "SYSTEMROOT", "TERM", "TMPDIR", "TZ", "USER",
    "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "OCL_ICD_FILENAMES", "OCL_ICD_VENDORS",
    "EDGEKIT_CACHE", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SOURCE_DATE_EPOCH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
})  # fmt: skip
"""What children may know. Tokens, keys, proxies with passwords, sockets of agents and ``PYTHON*`` are not among it."""
_PATHS = ("PATH", "LD_LIBRARY_PATH")

TENSORFLOW = ("tensorflow",)
"""What workers preload whose tasks call :func:`tensorflow`: several trainings, and the reader, share one import of it.

None is under the limits of a task: OpenBLAS, once it lacks memory when it starts, asks for it again and again.
"""
_LEFT_OUT = ("matplotlib", "pandas", "sklearn")
"""What Keras imports where it is installed, to draw, to train on tables and to be a scikit-learn estimator."""


def clean(source: Mapping[str, str] | None = None, **more: str) -> dict[str, str]:
    """Return the environment for a child: the allowed part of ``source`` (or of this process's own), and ``more``.

    Entries of search paths that are not absolute are left out: they would lead into the current folder.
    """
    given = os.environ if source is None else source
    kept = {name: value for name, value in given.items() if name in _KEPT or name.startswith("LC_")}
    for name in _PATHS:
        if name in kept:
            kept[name] = os.pathsep.join(part for part in kept[name].split(os.pathsep) if os.path.isabs(part))
            if not kept[name]:
                del kept[name]
    return {"PATH": os.defpath, **kept, **more}


def imports() -> list[str]:
    """The folders from which this process imports, without the current folder, unless edgekit itself lies there."""
    own = str(Path(__file__).resolve().parents[2])
    here = os.path.realpath(os.getcwd()) if _has_folder() else ""
    found = [path for path in sys.path if os.path.isabs(path) and os.path.realpath(path) != here]
    return [*found, own] if own not in found else found


def _has_folder() -> bool:
    try:
        os.getcwd()
    except OSError:  # it was deleted
        return False
    return True


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of edgekit: isolated from the current folder and from ``PYTHON*``."""
    start = str(Path(__file__).with_name("start.py"))
    return [sys.executable, "-I", start, os.pathsep.join(imports()), module, *arguments]


def tensorflow() -> Any:
    """Import TensorFlow in a child: with Keras, but without a third of what that imports and no child of ours uses."""
    for name in _LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    import tensorflow

    return tensorflow


def readable() -> list[str]:
    """Return what a child of this Python needs to read besides the system: Python, its packages, edgekit and its cache.

    A folder that holds the user's home is not among it, even where Python imports from there.
    """
    return list(_readable(tuple(imports()), str(resources.cache()), os.path.expanduser("~")))


@lru_cache(maxsize=32)
def _readable(imported: tuple[str, ...], cache: str, home: str) -> tuple[str, ...]:
    """Asked for with every task; resolving dozens of paths takes a millisecond."""
    own = Path(__file__).resolve().parents[2]
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    data = [str(own / name) for name in ("edgekit", "targets", "compile", "firmware_stubs")]
    found = {os.path.realpath(path) for path in [*python, *imported, *data, cache]}
    return tuple(sorted(path for path in found if not _holds(path, home)))


def program(command: str) -> list[str]:
    """Return what a program needs to read besides the system: its own folder, and that of its link's target.

    An interpreter or compiler in ``.../bin`` finds its own files beside that folder.
    """
    found = shutil.which(command) or command
    places = []
    for path in (os.path.abspath(found), os.path.realpath(found)) if os.path.isabs(found) else ():
        folder = os.path.dirname(path)
        places.append(os.path.dirname(folder) if os.path.basename(folder) in ("bin", "sbin") else path)
    return sorted({path for path in places if not _holds(path, os.path.expanduser("~"))})


def _holds(path: str, home: str) -> bool:
    return path == "/" or os.path.commonpath([os.path.realpath(home), path]) == path
