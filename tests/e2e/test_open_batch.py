"""Networks that others exported with an open batch, or with last states, compile in integers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import edgekit
from tests.networks.small import MODELS

CASES = MODELS.parent / "cases"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b_mha.tflite", "b_unet.tflite", "lstm20.onnx"])
def test_int8(onnx_converter: None, tmp_path: Path, name: str) -> None:
    if not (CASES / name).is_file():
        pytest.skip("the shared cases are not there")
    args = ("--target", "host", "--recipe", "int8", "--data", "random", "--backend", "litert")
    made = edgekit("compile", CASES / name, *args, "--out", tmp_path)
    assert made.code == 0, made.err
    assert ("the dynamic batch was set to 1" in made.err) == name.endswith(".tflite")
