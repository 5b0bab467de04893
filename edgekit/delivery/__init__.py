"""Hands a bundle for Linux over to whoever builds an application: as a CMake package, a Python wheel, a Debian package.

Each holds the runtime library (``firmware_stubs/linux``), and the bundle, unchanged. The same bundle gives the same
bytes. Layouts, as documented (read in 2026):

* CMake: cmake-packages(7), "Config-file Packages"
* wheel: "Binary distribution format", packaging.python.org; platform tags by PEP 600
* deb(5), deb-control(5)
"""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What ``edgekit package --format`` may be."""

    CMAKE = "cmake"
    WHEEL = "wheel"
    DEB = "deb"
