"""Archives with the same bytes every time: tar.gz, ar, and the zip of a wheel."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file, or with ``link`` a symbolic link."""

    content: bytes = b""
    program: bool = False
    link: str = ""


def tar_gz(entries: Mapping[str, Entry]) -> bytes:
    """Return a tar archive, owned by root, with the folders of all files."""
    made, folders = io.BytesIO(), set[str]()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, entry in sorted(entries.items()):
            parts = name.split("/")[:-1]
            for folder in ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1)):
                if folder not in folders:
                    folders.add(folder)
                    archive.addfile(_member(f"./{folder}", tarfile.DIRTYPE, 0o755))
            member = _member(f"./{name}", tarfile.SYMTYPE if entry.link else tarfile.REGTYPE, 0o644)
            member.linkname, member.size = entry.link, len(entry.content)
            member.mode = 0o777 if entry.link else 0o755 if entry.program else 0o644
            archive.addfile(member, io.BytesIO(entry.content))
    return made.getvalue()


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.uname, member.gname = kind, mode, "root", "root"
    return member


def ar(members: Mapping[str, bytes]) -> bytes:
    """Return an archive in the format of the program of that name."""
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        parts += [head.encode(), content, b"\n" if len(content) % 2 else b""]
    return b"".join(parts)


def zipped(entries: Mapping[str, Entry]) -> bytes:
    """Return a zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | (0o755 if entry.program else 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.content)
    return made.getvalue()
