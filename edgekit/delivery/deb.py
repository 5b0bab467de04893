"""Debian packages: ``libedgekit1`` with the runtime library, and one that holds a bundle and depends on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edgekit.delivery import cmake
from edgekit.delivery.archives import Entry, ar, tar_gz
from edgekit.delivery.contents import Network, Runtime

LIBRARY = "libedgekit1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MAINTAINER = "edgekit <edgekit@localhost>"


def _package(control: Mapping[str, str], files: Mapping[str, Entry], also: Mapping[str, str]) -> tuple[str, bytes]:
    """A package's file name and content."""
    size = sum(-(-len(entry.content) // 1024) for entry in files.values())
    lines = [f"{key}: {value}\n" for key, value in {**control, "Installed-Size": str(size)}.items()]
    sums = [f"{hashlib.md5(entry.content, usedforsecurity=False).hexdigest()}  {name}\n"
            for name, entry in sorted(files.items()) if not entry.link]  # fmt: skip
    texts = {"control": "".join(lines), "md5sums": "".join(sums), **also}
    about = tar_gz({name: Entry(text.encode()) for name, text in texts.items()})
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": about, "data.tar.gz": tar_gz(files)}
    return f"{control['Package']}_{control['Version']}_{control['Architecture']}.deb", ar(parts)


def library_package(runtime: Runtime) -> tuple[str, bytes]:
    """The runtime library with its headers and its CMake package."""
    folder = f"usr/lib/{runtime.arch}-linux-gnu"
    files = {
        f"{folder}/libedgekit.so.1": Entry(runtime.library), f"{folder}/libedgekit.so": Entry(link="libedgekit.so.1"),
        **{f"usr/include/{name}": Entry(content) for name, content in runtime.headers.items()},
        **cmake.config(runtime, f"{folder}/cmake/edgekit", "../../../.."),
    }  # fmt: skip
    control = {
        "Package": LIBRARY,
        "Version": runtime.version,
        "Architecture": _ARCHITECTURES[runtime.arch],
        "Maintainer": _MAINTAINER,
        "Section": "libs",
        "Priority": "optional",
        "Depends": f"libc6 (>= {runtime.glibc[0]}.{runtime.glibc[1]}), zlib1g",
        "Description": "runtime library for edgekit's neural networks",
    }
    return _package(control, files, {"triggers": "activate-noawait ldconfig\n"})


def network_package(network: Network, runtime: Runtime) -> tuple[str, bytes]:
    """The bundle, in ``/usr/lib/edgekit``."""
    files = {f"usr/lib/edgekit/{network.name}/{name}": Entry(content, name in network.programs)
             for name, content in network.files.items()}  # fmt: skip
    control = {
        "Package": f"edgekit-{network.name.replace('_', '-')}",
        "Version": network.version,
        "Architecture": _ARCHITECTURES[runtime.arch],
        "Maintainer": _MAINTAINER,
        "Section": "science",
        "Priority": "optional",
        "Depends": f"{LIBRARY} (>= {runtime.version}), libc6 (>= {network.glibc[0]}.{network.glibc[1]})",
        "Description": f"the neural network {network.name} for {network.target}",
    }
    return _package(control, files, {})
