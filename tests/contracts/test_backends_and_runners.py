"""Every backend's bundles run on every runner that is here, and compute what the reference computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle, plugins, target
from edgekit.api.compile import compile
from edgekit.backends import Backend, unsupported
from edgekit.errors import DeviceError, ModelError
from edgekit.graph import Graph, Operator, tflite
from edgekit.metrics.parity import compare
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.target.mcu import Fpu
from tests.contracts.kinds import INTEGERS_ONLY
from tests.networks.small import Builder, convolutional, dense, integers

BACKENDS = sorted(plugins.names("backends"))
LOCAL_RUNNERS = sorted(set(plugins.names("runners")) - {"ssh", "adb"})  # those are tested against servers of their own


def network(backend: str) -> Graph:
    """One that the backend takes: of integers where it takes no other."""
    return integers() if backend in INTEGERS_ONLY else dense(np.ones((2, 2), np.float32), np.zeros(2, np.float32))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A bundle of each backend for a board and for this host, of a float network."""
    folder = tmp_path_factory.mktemp("bundles")
    tflite.write(convolutional(), folder / "net.tflite")
    paths = {}
    for name in BACKENDS:
        for board in ("rpi5", "host"):
            if name not in target.load(board).backends:
                continue
            out = folder / name
            paths[name, board] = compile(folder / "net.tflite", targets=[board], backend=name, out=out)[0].path
    return paths


@pytest.mark.emulator
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("board", ["rpi5", "host"])
@pytest.mark.parametrize("runner", LOCAL_RUNNERS)
def test_runs(made: dict[tuple[str, str], Path], backend: str, board: str, runner: str) -> None:
    if (backend == "null") != (runner == "null") and runner == "emulator":
        pytest.skip("the null backend makes nothing to emulate")
    if (backend, board) not in made:
        pytest.skip(f"{backend} does not support {board}")
    if runner not in target.load(board).runners:
        pytest.skip(f"{board} has no {runner}")
    if backend in ("tvm", "c99") and runner == "host" and board != "host":
        with pytest.raises(DeviceError, match="compiled for aarch64"):
            once(get_runner(runner), bundle.load(made[backend, board]), [], RunOptions())
        return
    found = bundle.load(made[backend, board])
    inputs, reference = found.golden()
    run = once(get_runner(runner), found, inputs, RunOptions(repeat=2, profile=True))
    assert compare(found.graph, reference, run.outputs).ok
    assert run.trace.source in ("host", "emulator", "device")
    assert run.conditions["threads"] == 1
    assert [o.dtype for o in run.outputs] == [o.dtype for o in reference]
    if runner == "host":
        assert len(run.trace.latency_ms) == 2
    if runner == "emulator":
        assert run.trace.counts["instructions"] > 10_000


@pytest.mark.parametrize("name", BACKENDS)
def test_backends_state_what_they_cannot_compile_before_any_work(name: str) -> None:
    backend: Backend = plugins.get("backends", name)
    for board in map(target.load, target.names()):
        if board.mcu is not None and board.mcu.fpu is Fpu.NONE and name in board.backends and name != "null":
            refused = unsupported(backend, network(name), board)
            assert refused and all("no FPU" in one.reason for one in refused)
        elif name in board.backends:
            assert unsupported(backend, network(name), board) == []
    b = Builder()
    x, y = b.tensor((1, 4), name="x"), b.tensor((1, 4), name="y")
    b.operators.append(Operator("Nobody", (x,), (y,), custom=True))
    if name != "null":
        missing = unsupported(backend, b.graph((x,), (y,)), target.load("rpi4"))
        assert [m.operator for m in missing] == ["Nobody"]
        assert missing[0].reason


@pytest.mark.parametrize("name", BACKENDS)
def test_nothing_is_left_where_the_reference_refuses(name: str, tmp_path: Path) -> None:
    b = Builder()
    x, y = b.tensor((1, 4), name="x"), b.tensor((1, 4), name="y")
    b.operators.append(Operator("Nobody", (x,), (y,), custom=True))
    tflite.write(b.graph((x,), (y,)), tmp_path / "custom.tflite")
    board = next(board for board in ("host", *target.names()) if name in target.load(board).backends)
    with pytest.raises(ModelError):
        compile(tmp_path / "custom.tflite", targets=[board], backend=name, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()
