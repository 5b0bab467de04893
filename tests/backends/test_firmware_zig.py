"""Firmware built by zig, where there is no GCC for Cortex-M."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgekit import runners, target
from edgekit.api.doctor import checks
from edgekit.backends.c99 import firmware
from edgekit.errors import ToolMissing
from edgekit.files import elf
from edgekit.tools import toolchain
from tests.runners.firmware_bundles import bundle, expected, network, samples

pytestmark = pytest.mark.emulator
ZIG = importlib.util.find_spec("ziglang") is not None


@pytest.fixture
def without_gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where nobody could install GCC."""
    which = toolchain.shutil.which
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None if name == "arm-none-eabi-gcc" else which(name))


@pytest.mark.slow
@pytest.mark.usefixtures("without_gcc")
@pytest.mark.skipif(not ZIG, reason="ziglang is not installed (411 MB)")
def test_zig_builds_firmware_that_computes_exactly(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", "nucleo-l4r5zi")
    inputs = samples(2)
    with runners.opened(runners.get("emulator"), made) as session:
        run = session.run([inputs])
    np.testing.assert_array_equal(run.outputs[0], expected(inputs))
    said = json.loads((made.artifact / "firmware.json").read_text())["stack"]
    assert said["bytes"] is None and said["unknown"] == "ziglang does not say what functions need"
    for name in ("firmware.elf", "emulator.elf"):
        data = (made.artifact / name).read_bytes()
        assert b"ziglang" not in data and b"/tmp/" not in data and str(Path.home()).encode() not in data
        image = elf.read(data)
        assert image.entry == image.symbols["ek_reset"].address


@pytest.mark.usefixtures("without_gcc")
def test_without_any_compiler_zig_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_is_there", lambda module: module != "ziglang")
    with pytest.raises(ToolMissing) as caught:
        firmware.build(network(), target.load("nucleo-l4r5zi"), tmp_path)
    assert "apt-get install" in caught.value.hint and "pip install ziglang==" in caught.value.hint
    assert os.listdir(tmp_path) == []
    (found,) = (check for check in checks() if check.name == "cortex-m-cc")
    assert not found.ok and "pip install ziglang==" in found.detail and "apt-get" in found.install
