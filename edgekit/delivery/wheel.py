"""Python wheels: ``edgekit-runtime``, and one that holds a bundle and needs it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from edgekit import resources
from edgekit.delivery.archives import Entry, zipped
from edgekit.delivery.contents import Network, Runtime, template
from edgekit.text.templates import filled

PACKAGE, MODULES = "edgekit_runtime", ("__init__.py", "app.py", "listening.py", "seeing.py", "structures.py")
PROGRAMS = "[console_scripts]\nedgekit-app = edgekit_runtime.app:main\n"


def _platform(arch: str, glibc: tuple[int, int]) -> str:
    return f"manylinux_{glibc[0]}_{glibc[1]}_{arch}"


def _wheel(name: str, version: str, platform: str, metadata: str, files: Mapping[str, Entry]) -> tuple[str, bytes]:
    """A wheel's file name and content."""
    info = f"{name}-{version}.dist-info"
    entries = dict(files)
    entries[f"{info}/METADATA"] = Entry(metadata.encode())
    tag = f"Wheel-Version: 1.0\nGenerator: edgekit\nRoot-Is-Purelib: false\nTag: py3-none-{platform}\n"
    entries[f"{info}/WHEEL"] = Entry(tag.encode())
    rows = [f"{path},sha256={_digest(entry.content)},{len(entry.content)}" for path, entry in entries.items()]
    entries[f"{info}/RECORD"] = Entry("\n".join([*rows, f"{info}/RECORD,,", ""]).encode())
    return f"{name}-{version}-py3-none-{platform}.whl", zipped(entries)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def runtime_wheel(runtime: Runtime) -> tuple[str, bytes]:
    """The wheel of ``edgekit-runtime``: its file name, and its content."""
    source = resources.folder("firmware_stubs") / "linux" / "python" / PACKAGE
    metadata = filled(template("runtime-metadata.in"), {"version": runtime.version})
    files = {
        **{f"{PACKAGE}/{name}": Entry((source / name).read_bytes()) for name in MODULES},
        f"{PACKAGE}/libedgekit.so.1": Entry(runtime.library, program=True),
        f"{PACKAGE}/py.typed": Entry(),
    }  # fmt: skip
    files[f"{PACKAGE}-{runtime.version}.dist-info/entry_points.txt"] = Entry(PROGRAMS.encode())
    return _wheel(PACKAGE, runtime.version, _platform(runtime.arch, runtime.glibc), metadata, files)


def network_wheel(network: Network, runtime: Runtime) -> tuple[str, bytes]:
    """The wheel of a bundle."""
    values = {
        "name": network.name, "title": network.title, "target": network.target, "version": network.version,
        "runtime": runtime.version,
    }  # fmt: skip
    files = {f"{network.name}/__init__.py": Entry(filled(template("network.py.in"), values).encode())}
    files |= {f"{network.name}/bundle/{name}": Entry(content, name in network.programs)
              for name, content in network.files.items()}  # fmt: skip
    metadata = filled(template("network-metadata.in"), values)
    return _wheel(network.name, network.version, _platform(runtime.arch, network.glibc), metadata, files)
