"""From photos to what they are like in a gallery: by the command line, and the same in C++ and Python."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit import resources, target
from edgekit.backends import runner_build
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit
from tests.tasks import embedding_networks

LINUX = resources.folder("firmware_stubs") / "linux"
CPP = """
#include <edgekit.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
int main(int, char **argv)
{
    edgekit::Network network(argv[1]);
    std::ifstream file(argv[2], std::ios::binary);
    std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    edgekit_picture picture{};
    picture.size = sizeof picture;
    picture.data = reinterpret_cast<const std::uint8_t *>(bytes.data());
    picture.width = picture.height = 16;
    picture.stride = 48;
    picture.pixels = EDGEKIT_RGB;
    network.set(picture);
    network.run();
    for (const edgekit_neighbour &one : network.neighbours())
        std::printf("%s %a %d\\n", one.label, static_cast<double>(one.cosine), one.known);
    for (float value : network.embedding())
        std::printf("%a\\n", static_cast<double>(value));
}
"""
C = """
#include <edgekit.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    edgekit_instance *network;
    struct edgekit_neighbour near[9];
    float vector[8];
    static unsigned char bytes[16 * 16 * 3];
    struct edgekit_picture picture = {sizeof picture, bytes, 16, 16, 48, EDGEKIT_RGB};
    uint32_t count, elements;
    FILE *file = fopen(argv[argc - 1], "rb");
    if (edgekit_open(argv[1], NULL, &network) || !file || fread(bytes, 1, sizeof bytes, file) != sizeof bytes)
        return 1;
    if (edgekit_set_picture(network, &picture) || edgekit_run(network) ||
        edgekit_neighbours(network, near, 9, &count) || edgekit_embedding(network, vector, 8, &elements))
        return 2;
    for (uint32_t i = 0; i < count; i++)
        printf("%s %a %d\\n", near[i].label, (double)near[i].cosine, near[i].known);
    for (uint32_t i = 0; i < elements; i++)
        printf("%a\\n", (double)vector[i]);
    edgekit_close(network);
    return fclose(file);
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recognition")
    embedding_networks.written(folder)
    embedding_networks.photos(folder / "asked", 10, 4)
    embedding_networks.photos(folder / "asked" / "strangers", 10, 1, ("dora",))
    (folder / "asked" / "strangers" / "dora" / "10.png").rename(folder / "asked" / "strangers" / "10.png")
    (folder / "asked" / "strangers" / "dora").rmdir()
    return folder


def compiled(place: Path, to: Path, *options: str) -> dict[str, Any]:
    command = ["compile", place / "model.tflite", "--data", place / "asked", "--recipe", "int8", "--out", to, "--json"]
    (made,) = edgekit(*command, *options).json["bundles"]
    return dict(made)


@pytest.fixture(scope="module")
def made(place: Path) -> dict[str, Any]:
    return compiled(place, place / "build", "--target", "host", "--metric", "recall@1", "--metric", "verification-auc")


@pytest.fixture(scope="module")
def decided(made: dict[str, Any], place: Path) -> dict[str, dict[str, Any]]:
    """What ``edgekit run`` decides on each of the photos."""
    found = edgekit("run", made["path"], "--data", place / "asked", "--json").json["decisions"]
    return {one["sample"]: one for one in found}


def test_what_is_in_the_gallery_is_recognized(decided: dict[str, dict[str, Any]], made: dict[str, Any]) -> None:
    for sample, one in decided.items():
        expected = sample.split("/")[0]
        assert one["neighbours"][0]["label"] == expected or expected == "strangers", one
        assert one["label"] in (expected, None) and len(one["neighbours"]) == 2
    assert decided["strangers/10.png"]["label"] is None
    assert sum(one["label"] is not None for one in decided.values()) >= 10
    recalled, verified = made["metrics"]
    assert recalled["name"] == "recall@1" and recalled["after"]["value"] == 1.0 and made["accuracy"] is None
    assert verified["after"]["low"] > 0.99


def test_run_prints_who_it_is(made: dict[str, Any], place: Path, tmp_path: Path) -> None:
    done = edgekit("run", made["path"], "--data", place / "asked", "--decisions", tmp_path / "found.jsonl")
    assert "anna/10.png: anna 0.9" in done.out and "strangers/10.png: unknown (nearest: " in done.out
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [one["sample"] for one in lines][:2] == ["anna/10.png", "anna/11.png"]


def test_python_recognizes_the_same(
    made: dict[str, Any], decided: dict[str, dict[str, Any]], place: Path, tmp_path: Path
) -> None:
    (tmp_path / "who.py").write_text(
        """
import json, sys
from edgekit_runtime import Network
from PIL import Image
network = Network(sys.argv[1])
made = {}
for name in sys.argv[3:]:
    photo = Image.open(f"{sys.argv[2]}/{name}").convert("RGB")
    near = network.recognize(photo)
    made[name] = [one._asdict() for one in near], network.embed(photo).astype(float).tolist()
print(json.dumps(made))
"""
    )
    env = {
        **os.environ, "PYTHONPATH": str(LINUX / "python"),
        "EDGEKIT_LIBRARY": str(runner_build.library(platform.machine()).path),
    }  # fmt: skip
    command = [sys.executable, tmp_path / "who.py", made["path"], place / "asked", *decided]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, one in decided.items():
        assert found[name] == [one["neighbours"], one["vector"]], name


def nearest(compiler: str, code: str, library: Path, folder: Path, *run: str | Path) -> list[str]:
    """What a program prints of Anna's twelfth photo. :param run: the emulator and its arguments, and the bundle."""
    shutil.copyfile(library, folder / "libedgekit.so.1")
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    source = folder / ("nearest.cpp" if compiler.endswith("++") else "nearest.c")
    source.write_text(code)
    flags = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", f"-I{LINUX}", f"-L{folder}"]
    subprocess.run([compiler, *flags, source, "-o", folder / "nearest", "-ledgekit"], check=True)
    (folder / "photo.bin").write_bytes(embedding_networks.picture("anna", 12).tobytes())
    *before, bundle = run
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)} if not before else None
    command = [*before, folder / "nearest", bundle, folder / "photo.bin"]
    return subprocess.check_output(command, text=True, env=env).splitlines()


def agree(said: list[str], expected: dict[str, Any]) -> None:
    """What a program printed is a decision, in every bit."""
    near = [line.split(" ") for line in said[:2]]
    assert [[label, float.fromhex(cosine), bool(int(known))] for label, cosine, known in near] == [
        [one["label"], one["cosine"], one["known"]] for one in expected["neighbours"]
    ]
    assert [float.fromhex(line) for line in said[2:]] == expected["vector"]


def test_cpp_recognizes_the_same(made: dict[str, Any], decided: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    said = nearest("g++", CPP, runner_build.library(platform.machine()).path, tmp_path, made["path"])
    agree(said, decided["anna/12.png"])


@pytest.mark.emulator
def test_c_recognizes_the_same_on_an_emulated_pi(place: Path, tmp_path: Path) -> None:
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        library = runner_build.library("aarch64").path
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    bundle = compiled(place, tmp_path / "build", "--target", "rpi4")["path"]
    run = [emulator, "-cpu", "cortex-a72", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}"]
    said = nearest("aarch64-linux-gnu-gcc", C, library, tmp_path, *run, bundle)
    found = edgekit("run", bundle, "--data", place / "asked", "--json").json["decisions"]
    agree(said, next(one for one in found if one["sample"] == "anna/12.png"))
