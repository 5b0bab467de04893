"""Checks of a model file that need no library: whether it exists, is complete, and its archive is sane.

They run in edgekit's own process, before any child starts, so that the usual mistakes fail in milliseconds.
Everything here reads bytes with bounds; nothing unpacks to disk.
"""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath

from edgekit.errors import ModelError
from edgekit.files import archives
from edgekit.readers import MAX_MODEL_BYTES

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def starts_with(path: Path, magic: bytes, at: int = 0) -> bool:
    """True if ``path`` is a readable file that has ``magic`` at byte ``at``; never raises."""
    try:
        with path.open("rb") as file:
            return file.read(at + len(magic))[at:] == magic
    except OSError:
        return False


def check_file(path: Path) -> int:
    """Return the size in bytes of a readable, regular, non-empty model file.

    :raises ModelError: if it is missing, unreadable, empty, not a file, or larger than ``MAX_MODEL_BYTES``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is not a file")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if status.st_size == 0:
        raise ModelError(f"{path} is empty")
    if status.st_size > MAX_MODEL_BYTES:
        raise ModelError(f"{path} has {status.st_size} bytes; the limit is {MAX_MODEL_BYTES}")
    return status.st_size


def check_zip(path: Path) -> dict[str, int]:
    """Check an archive's table of contents; return the uncompressed size in bytes of each member.

    :raises ModelError: if it is not a whole zip, has absolute names, ``..``, links, members of the same name,
        encrypted members, or would unpack to far more than it is (a zip bomb).
    """
    size = check_file(path)
    try:
        with archives.opened(path) as archive:
            members = archive.infolist()
    except archives.UNREADABLE as error:
        raise ModelError(f"{path} is not a complete zip archive: {error}") from None
    sizes: dict[str, int] = {}
    for member in members:
        name = member.orig_filename.replace("\\", "/")
        mode = member.external_attr >> 16
        if PurePosixPath(name).is_absolute() or ".." in name.split("/") or "\0" in name or name[1:2] == ":":
            raise ModelError(f"{path} has a member that would unpack outside its folder: {name!r}")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ModelError(f"{path} has a member that is a link or a device: {name!r}")
        if member.flag_bits & 1:
            raise ModelError(f"{path} has an encrypted member: {name!r}")
        if member.filename in sizes:
            raise ModelError(f"{path} has two members named {name!r}")
        sizes[member.filename] = member.file_size
    total = sum(sizes.values())
    if total > MAX_MODEL_BYTES or archives.bomb(members, size):
        raise ModelError(f"{path} would unpack from {size} to {total} bytes: refused as a zip bomb")
    return sizes


def read_member(path: Path, name: str, limit: int) -> bytes:
    """Read one member of a zip that :func:`check_zip` passed.

    :raises ModelError: if it is damaged or has more than ``limit`` bytes, whatever its header says.
    """
    try:
        with archives.opened(path) as archive, archive.open(name) as member:
            data = member.read(limit + 1)
    except archives.UNREADABLE as error:
        raise ModelError(f"{path}: {name} cannot be read: {error}") from None
    if len(data) > limit:
        raise ModelError(f"{path}: {name} has more than {limit} bytes")
    return data


def check_hdf5(path: Path) -> None:
    """Check an HDF5 file's superblock: the signature, and that the file is as long as it says.

    Source: HDF5 File Format Specification 3.0, II.A "Disk Format: Level 0A - Format Signature and Superblock".

    :raises ModelError: if it is not HDF5 or is cut short.
    """
    size = check_file(path)
    with path.open("rb") as file:
        head = file.read(256)
    if not head.startswith(HDF5_SIGNATURE):
        raise ModelError(
            f"{path} is not an HDF5 file", "legacy Keras models (.h5) are HDF5 files; was this one renamed?"
        )
    end = _hdf5_end(head)
    if end is None:
        raise ModelError(f"{path} has an HDF5 superblock that is not valid")
    if end > size:
        raise ModelError(f"{path} is cut short: it has {size} of {end} bytes", "copy or download it again")


def _hdf5_end(head: bytes) -> int | None:
    """Return the end-of-file address of a superblock (versions 0 to 3), None if there is none."""
    if len(head) < 64:
        return None
    version = head[8]
    if version in (0, 1):
        width, base_at = head[13], 24 if version == 0 else 28
        end_at = base_at + 2 * width
    elif version in (2, 3):
        width, base_at = head[9], 12
        end_at = base_at + 2 * width
    else:
        return None
    if width not in (2, 4, 8):
        return None
    base = int.from_bytes(head[base_at : base_at + width], "little")
    return base + int.from_bytes(head[end_at : end_at + width], "little")
