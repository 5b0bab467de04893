"""A bug in a rule or in a child's task stays a bug: exit code 1 and a traceback, not "the model is not supported"."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgekit import cli, sandbox
from edgekit.codegen import lower
from edgekit.errors import ModelError
from edgekit.graph import tflite
from tests.networks.small import convolutional

HERE = "tests.sandbox.bugs"


def test_what_edgekits_own_code_raises_in_a_child_is_a_bug() -> None:
    with pytest.raises(sandbox.ChildBug, match="KeyError: 'optimized'") as caught:
        sandbox.call("edgekit.reference.litert:run_task", {})
    assert "reference/litert.py" in "".join(caught.value.__notes__)


def test_what_a_library_raises_is_said_of_the_model() -> None:
    with pytest.raises(ModelError, match="TypeError: the JSON object must be"):
        sandbox.call(f"{HERE}:library_refuses", {})


def _compile(folder: Path, backend: str) -> int:
    tflite.write(convolutional(), folder / "net.tflite")
    out = str(folder / "out")
    with pytest.raises(SystemExit) as ended:
        cli.main(["compile", str(folder / "net.tflite"), "--target", "host", "--backend", backend, "--out", out])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_bug_in_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def planted(*_: Any) -> None:
        raise TypeError("planted")

    monkeypatch.setitem(lower.RULES, "CONV_2D", planted)
    assert _compile(tmp_path, "tvm") == 1
    assert "a bug in edgekit: TypeError: planted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bug_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    original = sandbox.call

    def planted(task: str, args: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        return original(task, {} if task.startswith("edgekit.reference") else args, *rest, **more)

    monkeypatch.setattr(sandbox, "call", planted)
    assert _compile(tmp_path, "litert") == 1
    assert "a bug in edgekit: ChildBug: KeyError" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
