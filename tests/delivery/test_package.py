"""Bundles handed over: each form is installed by its own tools and computes the bits of ``edgekit run``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.api.package import package
from edgekit.audit.elf import Elf
from edgekit.errors import UsageError
from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks import small

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"
HANDOVER = Path(__file__).parents[2] / "firmware_stubs" / "linux" / "handover"
NAME = "seven_numbers"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled network for this machine; ``in.bin`` and ``out.bin`` beside it are samples and their outputs."""
    folder = tmp_path_factory.mktemp("package")
    random = np.random.default_rng(4)
    weights = random.standard_normal((7, 12)).astype(np.float32)
    tflite.write(small.dense(weights, np.ones(7, np.float32)), folder / "Seven numbers.tflite")
    x = random.standard_normal((3, 12)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    options = ("--target", "host", "--backend", "c99", "--out", folder / "build", "--json")
    (made,) = edgekit("compile", folder / "Seven numbers.tflite", *options).json["bundles"]
    assert edgekit("run", made["path"], "--data", folder / "x.npz", "--save", folder / "y.npz").code == 0
    (folder / "in.bin").write_bytes(x.tobytes())
    (folder / "out.bin").write_bytes(np.load(folder / "y.npz")["output0"].tobytes())
    return Path(made["path"])


def call(*command: str | Path, **variables: str | Path) -> str:
    environment = {**os.environ, **{key: str(value) for key, value in variables.items()}}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def agrees(bundle: Path, result: Path) -> bool:
    return result.read_bytes() == (bundle.parents[1] / "out.bin").read_bytes()


def made_twice(bundle: Path, form: str, folder: Path) -> list[Path]:
    """Package by the command; a second time gives the same bytes."""
    first = edgekit("package", bundle, "--format", form, "--out", folder / "one", "--json").json
    assert first["format"] == form and first["name"] == NAME
    again = package(bundle, format=form, out=folder / "two").paths
    for one, two in zip(map(Path, first["paths"]), again, strict=True):
        files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()] if one.is_dir() else [""]
        assert files and all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    return again


def test_cmake_finds_and_builds(bundle: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    (folder,) = made_twice(bundle, "cmake", tmp_path)
    call("cmake", "-S", folder, "-B", tmp_path / "build")
    call("cmake", "--build", tmp_path / "build")
    own = folder / "lib" / "edgekit" / NAME
    call(tmp_path / "build" / "classify", own, bundle.parents[1] / "in.bin", tmp_path / "result")
    assert agrees(bundle, tmp_path / "result")
    lists = folder / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace("find_package(edgekit 1.0", "find_package(edgekit 2.0"))
    done = subprocess.run(["cmake", "-S", folder, "-B", tmp_path / "b"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "1.0" in done.stderr


def test_pip_installs_the_wheels(bundle: Path, tmp_path: Path) -> None:
    wheels = made_twice(bundle, "wheel", tmp_path)
    assert re.fullmatch(r"edgekit_runtime-1\.0-py3-none-manylinux_2_\d+_\w+\.whl", wheels[0].name)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site]
    call(*pip, *wheels)
    code = f"""
import sys, numpy as np, {NAME}
network = {NAME}.load()
x = np.fromfile(sys.argv[1], np.float32).reshape(-1, 12)
np.stack([network(sample) for sample in x]).tofile(sys.argv[2])
"""
    call(sys.executable, "-c", code, bundle.parents[1] / "in.bin", tmp_path / "result", PYTHONPATH=site)
    assert agrees(bundle, tmp_path / "result")


def test_dpkg_installs_the_packages(bundle: Path, tmp_path: Path) -> None:
    if shutil.which("dpkg") is None or os.geteuid() != 0:
        pytest.skip("this needs dpkg, and root")
    packages, root = made_twice(bundle, "deb", tmp_path), tmp_path / "root"
    for part in ("info", "updates", "triggers"):
        (root / "var" / "lib" / "dpkg" / part).mkdir(parents=True)
    (root / "var" / "lib" / "dpkg" / "status").touch()
    # What they depend on is not in that folder, but on this machine.
    call("dpkg", f"--root={root}", "--force-depends", "--install", *packages)
    listed = call("dpkg-query", f"--root={root}", "--show", "--showformat=${Package} ${Status}\n")
    assert listed.splitlines() == [
        "edgekit-seven-numbers install ok installed", "libedgekit1 install ok installed",
    ]  # fmt: skip
    (libraries,) = (path.parent for path in root.rglob("libedgekit.so"))
    flags = [f"-I{root}/usr/include", f"-L{libraries}", "-ledgekit"]
    call("gcc", HANDOVER / "classify.c", "-o", tmp_path / "classify", *flags)
    own = root / "usr" / "lib" / "edgekit" / NAME
    source, result = bundle.parents[1] / "in.bin", tmp_path / "result"
    call(tmp_path / "classify", own, source, result, LD_LIBRARY_PATH=libraries)
    assert agrees(bundle, result)
    depends = call("dpkg-deb", "--field", packages[1], "Depends")
    assert re.fullmatch(r"libedgekit1 \(>= 1\.0\), libc6 \(>= 2\.\d+\)\n", depends)


def test_what_the_library_does_not_run_is_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "b")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["execution"]["kind"] = "firmware"
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    made = edgekit("package", tmp_path / "b", "--format", "deb", "--out", tmp_path / "dist")
    refused(made, 2, "the runtime library does not run this bundle", "firmware")
    assert not (tmp_path / "dist").exists()


def test_another_folder_is_not_replaced(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "mine").touch()
    with pytest.raises(UsageError, match="is not a package of edgekit"):
        package(bundle, format="cmake", out=tmp_path)
    assert (tmp_path / NAME / "mine").exists()


def test_the_example_is_the_one_of_the_documentation() -> None:
    (code,) = re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert (HANDOVER / "classify.c").read_text() == code


def test_the_oldest_glibc_that_will_do() -> None:
    versions = ("GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.9", "GLIBC_2.33.1", "GLIBC_PRIVATE", "XGLIBC_3.9")
    assert Elf("x86_64", 4096, versions).glibc == (2, 34)
    assert Elf("x86_64", 4096, ("GLIBC_2.2.5",)).glibc == Elf("x86_64", 4096, ()).glibc == (2, 17)
