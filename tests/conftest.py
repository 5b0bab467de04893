"""Fixtures for all tests."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell's background job ignores Ctrl-C, and what it starts inherits that; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

MODELS = Path(__file__).parents[2] / "shared" / "models"
SHARED_TFLITE = sorted(MODELS.glob("*/*.tflite"))


@pytest.fixture(autouse=True)
def _own_temporary_folder() -> Iterator[None]:
    """A child's function that a test calls in its own process sets where temporary files go: for that test only."""
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


@pytest.fixture
def models() -> Path:
    """The folder of networks that others trained; skips where it is absent."""
    if not MODELS.is_dir():
        pytest.skip("the shared models are not there")
    return MODELS


@pytest.fixture(scope="session")
def onnx_converter() -> None:
    """The ONNX converter; skips where it is not installed and cannot be fetched."""
    from edgekit.errors import ToolMissing
    from edgekit.readers import onnx2tf

    try:
        onnx2tf.ensure_onnx2tf()
    except ToolMissing as error:
        pytest.skip(error.message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``emulator`` skip, with the reason, where its tools are not installed."""
    missing = [tool for tool in ("qemu-aarch64", "aarch64-linux-gnu-gcc") if shutil.which(tool) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason="not installed: " + ", ".join(missing))
    for item in items:
        if "emulator" in item.keywords:
            item.add_marker(skip)
