"""The record of what backends make: it must notice a file that changed, appeared, or went away."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from edgekit import plugins, target

TOOL = Path(__file__).parents[1] / "tools" / "artifact_digests.py"
spec = importlib.util.spec_from_file_location("artifact_digests", TOOL)
assert spec is not None and spec.loader is not None
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def test_what_differs_is_named() -> None:
    before = {"a": {"x": "1", "y": "2"}, "b": {"x": "1"}, "c": {"refused": "ModelError"}, "d": {"x": "1"}}
    after = {"a": {"x": "1", "z": "2"}, "b": {"x": "1"}, "c": {"x": "1"}, "e": {"x": "1"}}
    assert tool.differences(before, before) == []
    assert tool.differences(before, after) == ["a: y, z", "c: refused, x", "e: not in the earlier record"]


def test_every_backend_is_recorded() -> None:
    boards = tool.boards(
        {"net, as-is, tvm on jetson-orin-nano-cpu": {"x": "1"}, "net, as-is, gone on rpi4": {"x": "1"}}
    )
    assert boards["tvm"][-1] == "jetson-orin-nano-cpu", "the board of an earlier record"
    assert set(boards) == set(plugins.names("backends"))
    assert {"rpi4", "rpi5"} <= set(boards["tvm"]) and {"host", "nucleo-l4r5zi"} <= set(boards["c99"])
    assert all(backend in target.load(name).backends for backend, names in boards.items() for name in names)


@pytest.mark.skipif(not tool.MODELS.is_dir(), reason="the shared models are not there")
def test_a_record_is_the_same_again_and_a_change_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*arguments: str) -> int:
        files = [str(tmp_path / name) for name in arguments]
        monkeypatch.setattr(sys, "argv", ["artifact_digests.py", "--only", "hello_world", *files])
        return int(tool.main())

    monkeypatch.setattr(tool, "boards", lambda before: {"litert": ["host"], "opencl": ["mali-g610"]})
    assert call("before.json") == 0 and call("after.json", "before.json") == 0
    record = json.loads((tmp_path / "before.json").read_text())
    assert len(record) == 10 and {"refused": "operator 0"} in record.values()
    first = next(files for name, files in record.items() if name.endswith("litert on host"))
    first["model.tflite"] = "0" * 64
    (tmp_path / "before.json").write_text(json.dumps(record))
    assert call("after.json", "before.json") == 1
