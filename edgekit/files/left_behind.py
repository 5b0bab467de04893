"""Read the files of a sandboxed program, which an untrusted network or program may have written.

Plain files only, no links, never more bytes than the caller allows; JSON is JSON, arrays are stored arrays. Whatever
is wrong with it is an error of the run, not of edgekit.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgekit.errors import DeviceError, EdgekitError
from edgekit.files import archives, documents, plain_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_JSON = 64 << 20
MOST_VALUES = 10_000_000
"""Of one JSON document: a task may answer with figures of every operator."""


def read(folder: Path, name: str, most: int, error: type[EdgekitError] = DeviceError) -> bytes:
    """Return the bytes of the plain file ``name`` below ``folder``.

    :raises error: if it is missing, a link, a FIFO or a device, or has over ``most`` bytes.
    """
    try:
        with plain_files.opened(folder, name) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(most + 1) if size <= most else b""
    except FileNotFoundError:
        raise error(f"the run left no {name}", "run it again; --debug says more") from None
    except (OSError, plain_files.NotPlain) as what:
        raise error(f"the run left no usable {name}: {_reason(what)}", "compile the bundle again") from what
    if size > most or len(data) > most:
        raise error(f"the run left too large a {name}: {max(size, len(data))} bytes, at most {most} are expected")
    return data


def size(folder: Path, name: str) -> int:
    """The bytes of a plain file; -1 if it is not one."""
    try:
        with plain_files.opened(folder, name) as file:
            return os.fstat(file.fileno()).st_size
    except (OSError, plain_files.NotPlain):
        return -1


def document(folder: Path, name: str, most: int = MOST_JSON, error: type[EdgekitError] = DeviceError) -> dict[str, Any]:
    """Return the JSON object in a file; raises as :func:`read`, also where it is not one."""
    data = read(folder, name, most, error)
    try:
        found = documents.loads(data, MOST_VALUES)
    except ValueError as what:
        raise error(f"the run left a damaged {name}: {what}", "run it again; --debug says more") from what
    if not isinstance(found, dict):
        raise error(f"the run left a damaged {name}: not an object")
    return found


def arrays(folder: Path, name: str, error: type[EdgekitError] = DeviceError) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` that was written uncompressed: they take no more memory than it has bytes.

    :raises error: as :func:`read`; also where it holds anything else.
    """
    try:
        with plain_files.opened(folder, name) as file:
            return stored(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise error(f"the run left no {name}", "run it again; --debug says more") from None
    except MemoryError:
        raise
    except Exception as what:  # zipfile and numpy's header parser raise many kinds
        raise error(f"the run left no usable {name}: {_reason(what)}", "run it again; --debug says more") from what


def stored(file: IO[bytes], size: int) -> dict[str, NDArray[Any]]:
    """Read the arrays of an uncompressed ``.npz`` of ``size`` bytes.

    :raises Exception: of whatever kind, if it is not one.
    """
    import numpy as np

    found: dict[str, NDArray[Any]] = {}
    with archives.opened(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > size:
            raise ValueError("it unpacks to more than its size")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                old = version == (1, 0)
                header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = header(stream)
                if dtype.hasobject:
                    raise ValueError(f"{member.filename} holds objects")
                data = bytearray(member.file_size - stream.tell())
                if stream.readinto(data) != len(data):  # type: ignore[attr-defined]
                    raise ValueError(f"{member.filename} is cut short")
            values = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
            found[member.filename.removesuffix(".npy")] = values.reshape(shape, order="F" if fortran else "C")
    return found


def _reason(what: Exception) -> str:
    return str(getattr(what, "strerror", None) or what)
