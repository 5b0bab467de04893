"""Skip tests where a package is not installed, without importing it: TensorFlow alone takes seconds."""

from __future__ import annotations

import importlib.util

import pytest


def needed(package: str, extra: str) -> None:
    """Skip the test, or the module that is being imported, where ``package`` is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it comes with the extra {extra!r}", allow_module_level=True)
