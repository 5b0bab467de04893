"""Fixtures for all tests."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import sandbox
from tests import kernels, objects, warm

# A shell's background job ignores Ctrl-C, and what it starts inherits that; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

FRESH_WORKERS = ("sandbox", "security")
"""Folders of tests about the workers themselves."""
TESTS = Path(__file__).parent
COSTS = TESTS / "costs.txt"
MODELS = TESTS.parents[1] / "shared" / "models"
SHARED_TFLITE = sorted(MODELS.glob("*/*.tflite"))


@pytest.fixture(autouse=True)
def _own_temporary_folder() -> Iterator[None]:
    """A child's function that a test calls in its own process sets where temporary files go: for that test only."""
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="module", autouse=True)
def _workers_begin_with_imports_done(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sandbox workers are forked from processes that have imported their modules, but where they are what is tested."""
    if request.path.parent.name in FRESH_WORKERS:
        sandbox.shutdown()
        yield
        sandbox.shutdown()
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_started", warm.start_worker)
        patch.setattr(sandbox, "_launched", warm.start_program)
        yield


@pytest.fixture(scope="session", autouse=True)
def _folders_of_all_workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In these, workers and the commands that they call find what others compiled."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    kernels.folder, objects.folder = shared / "kernels", shared / "objects"
    for folder in (kernels.folder, objects.folder):
        folder.mkdir(exist_ok=True)


@pytest.fixture(scope="module", autouse=True)
def _kernels_are_compiled_once(request: pytest.FixtureRequest, _folders_of_all_workers: None) -> Iterator[None]:
    """But not where the sandbox is what is tested."""
    if kernels.folder is None or request.path.parent.name in FRESH_WORKERS:
        yield
        return
    with kernels.kept(kernels.folder):
        yield


@pytest.fixture
def fresh_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sandbox workers that import their modules themselves, within a test's own limits."""
    sandbox.shutdown()
    monkeypatch.setattr(sandbox, "_started", warm.FRESH)
    monkeypatch.setattr(sandbox, "_launched", warm.FRESH_PROGRAM)
    yield
    sandbox.shutdown()


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


@pytest.fixture(scope="session")
def vela() -> None:
    """Arm's compiler for Ethos-U; skips where it is not installed and cannot be fetched."""
    from edgekit.backends.vela import compiler
    from edgekit.errors import ToolMissing

    try:
        compiler.ENVIRONMENT.ensure()
    except ToolMissing as error:
        pytest.skip(error.message)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let several workers begin with the costly modules; skip what needs the emulator's tools where there are none."""
    if hasattr(config, "workerinput"):
        costs = {TESTS / name: int(seconds) for seconds, name in map(str.split, COSTS.read_text().splitlines()[2:])}
        items.sort(key=lambda item: -costs.get(item.path, 0))
    missing = [tool for tool in ("qemu-aarch64", "aarch64-linux-gnu-gcc") if shutil.which(tool) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason="not installed: " + ", ".join(missing))
    for item in items:
        if "emulator" in item.keywords:
            item.add_marker(skip)
