"""``edgekit doctor``: what is here is found, what is missing is named with the command that gets it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from edgekit.api import doctor, installing
from edgekit.errors import ToolMissing, UsageError
from edgekit.tools import toolchain
from tests.e2e.command import edgekit, refused


def test_everything_is_looked_for() -> None:
    names = [check.name for check in doctor.checks()]
    assert len(names) == len(set(names))
    assert {
        "python",
        "numpy",
        "ai-edge-litert",
        "tensorflow",
        "seccomp",
        "landlock",
        "lock",
        "workers",
        "onnx2tf",
        "cache",
    } <= set(names)
    assert set(toolchain.names()) <= set(names)
    issue = {"nvrtc", "cuda-driver", "pocl", "adb", "xcode", "tvm-rpc", "edgetpu-compiler"}
    assert issue <= set(names)


def test_every_thing_has_its_place_and_says_what_cannot_be_done_without_it() -> None:
    found = doctor.checks()
    places = [list(doctor.GROUPS).index(check.group) for check in found]
    assert places == sorted(places)
    assert not [check.name for check in found if check.group == "other"]
    assert not [check.name for check in found if not check.without and check.name != "python"]
    assert not [check.name for check in found if check.without.endswith(".")]


def test_no_package_of_an_extra_is_forgotten() -> None:
    """Each has words in ``doctor.EXTRAS``, or a check or a toolchain that knows better."""
    known = {
        doctor._bare_name(r) for name in toolchain.names() for tool in toolchain.load(name).tools for r in tool.pip
    }
    known |= {check.name for check in doctor.checks()} | set(doctor.RPC)
    for requirement in requires("edgekit") or []:
        plain, _, condition = requirement.partition(";")
        if "extra ==" in condition and not any(extra in condition for extra in ("dev", "device", "calibration")):
            assert doctor._bare_name(plain) in known | {"edgekit"}, requirement


def test_what_is_here_is_found() -> None:
    found = {check.name: check for check in doctor.checks()}
    assert found["python"].ok and sys.executable in found["python"].detail
    assert found["numpy"].ok and found["numpy"].detail.startswith("2.")
    assert found["cache"].ok
    assert all(check.purpose and check.detail for check in found.values())
    assert all(bool(check.install) != check.ok for check in found.values() if check.group != "safety")


def test_people_read_what_is_missing_under_its_table(tmp_path: Path) -> None:
    """Nothing is on the PATH: each purpose has its table, and says what cannot be done."""
    found = edgekit("doctor", env={"PATH": str(tmp_path)})
    lines = found.out.splitlines()
    begin, end = (next(n for n, x in enumerate(lines) if x.startswith(title)) for title in ("Phones", "Coral"))
    rest = lines[begin:end]
    assert any(x.startswith("without adb: verify, run and profile on a phone") for x in rest)
    assert any(x.startswith("to get adb: ") and "apt-get install" in x for x in rest)
    assert any(x.startswith("without xcode: ") and "only a Mac" in x for x in rest)
    assert not any(x.startswith("without pocl") for x in rest)
    whole = {check["name"]: check for check in json.loads(edgekit("doctor", "--json").out)["checks"]}
    assert whole["nvrtc"]["group"] == "gpus" and "CUDA's headers" in whole["nvrtc"]["without"]


def test_what_tvm_rpc_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tornado" else plain(name))
    check = doctor._rpc()
    assert not check.ok
    assert check.detail.startswith("not installed: tornado") and "'edgekit[farm]'" in check.install
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert doctor._rpc().ok


def test_a_missing_tool_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = {check.name: check for check in doctor.checks() if not check.ok}
    assert missing["qemu-aarch64"].essential
    assert "apt-get install" in missing["qemu-aarch64"].install and "qemu-user" in missing["qemu-aarch64"].install
    assert not missing["llvm-mca"].essential
    assert not doctor.healthy(doctor.checks())


def test_a_missing_package_is_named_with_its_command() -> None:
    check = doctor._package("no-such-package", "edgekit[train]", doctor.Extra("models", "reads minds", "-"), False)
    assert not check.ok
    assert check.install.endswith("'edgekit[train]'")


def test_an_emulator_without_plugins_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "qemu-aarch64"
    fake.write_text("#!/bin/sh\necho usage: qemu-aarch64\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check = next(check for check in doctor.checks() if check.name == "qemu-aarch64")
    assert not check.ok
    assert "without plugin support" in check.detail


def test_the_command_line() -> None:
    found = edgekit("doctor", "--json")
    if found.code == 0:
        assert found.json["ok"]
    else:
        assert found.code == 4
    people = edgekit("doctor")
    assert people.code == found.code
    assert "qemu-aarch64" in people.out


def test_missing_essentials_exit_with_4(tmp_path: Path) -> None:
    refused(edgekit("doctor", env={"PATH": str(tmp_path)}), 4, "essential tools are missing", "qemu-aarch64")


def test_only_known_things_can_be_installed() -> None:
    with pytest.raises(UsageError, match="cannot install 'onxx'") as caught:
        installing.install("onxx")
    assert "onnx" in caught.value.hint
    refused(edgekit("doctor", "--install", "onxx"), 2, "did you mean 'onnx'?")


def test_nobody_but_root_installs_system_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("there is no apt-get")
    (tmp_path / "apt-get").symlink_to("/usr/bin/apt-get")
    monkeypatch.setenv("PATH", str(tmp_path))  # so that everything is missing
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    done, failed = installing.install_all(["system"])
    assert not done
    assert failed[0].hint.startswith("run: sudo apt-get install") and "qemu-user" in failed[0].hint


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"there is no apt-get to install .*qemu-user"):
        installing.install("system")
