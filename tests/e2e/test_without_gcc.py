"""From the command line to an emulated Cortex-M where Debian's cross compiler is not installed: zig compiles."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks.small import convolutional

pytestmark = [pytest.mark.slow, pytest.mark.emulator]
ZIG = importlib.util.find_spec("ziglang") is not None


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A PATH with all that this one has but GCC for Cortex-M."""
    programs = tmp_path_factory.mktemp("bin")
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in folder.iterdir() if folder.is_dir() else ():
            link = programs / program.name
            if not program.name.startswith("arm-none-eabi-") and not link.is_symlink():
                link.symlink_to(program)
    return {"PATH": str(programs)}


@pytest.mark.skipif(not ZIG, reason="ziglang is not installed (411 MB): pip install ziglang==0.15.1")
def test_zig_compiles_what_the_emulator_proves(tmp_path: Path, environment: dict[str, str]) -> None:
    """On a core with MVE, for which zig has to be told so."""
    tflite.write(convolutional(), tmp_path / "net.tflite")
    made = edgekit(
        "compile", tmp_path / "net.tflite", "--target", "mps3-an547", "--recipe", "int8", "--data", "random",
        "--out", tmp_path / "out", "--json", env=environment,
    ).json  # fmt: skip
    (bundle,) = made["bundles"]
    assert bundle["parity"]["ok"] and bundle["backend"] == "c99"
    said = json.loads((Path(bundle["path"]) / "artifact" / "firmware.json").read_text())
    assert said["stack"]["unknown"] == "ziglang does not say what functions need"
    assert edgekit("verify", bundle["path"], "--on", "emulator", "--json", env=environment).json["ok"]
    profile = edgekit("profile", bundle["path"], "--on", "emulator", "--json", env=environment).json
    assert profile["latency_ms"]["value"] > 0


@pytest.mark.skipif(ZIG, reason="ziglang is installed")
def test_without_a_compiler_both_are_offered(tmp_path: Path, environment: dict[str, str]) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    done = edgekit(
        "compile", tmp_path / "net.tflite", "--target", "nucleo-l4r5zi", "--recipe", "int8", "--data", "random",
        "--out", tmp_path / "out", env=environment,
    )  # fmt: skip
    refused(done, 4, "gcc-arm-none-eabi", "pip install ziglang==")
