"""From texts to decisions: a bundle with a tokenizer, by the command line, and the same in C, C++ and Python."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit import resources, target
from edgekit.backends import runner_build
from edgekit.errors import ToolMissing
from edgekit.graph import tflite
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit, refused
from tests.installed import needed
from tests.tasks import tokenizer_files
from tests.tasks.text_networks import averaging

needed("tokenizers", "dev")

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
LINUX = resources.folder("firmware_stubs") / "linux"
TASK = """schema = 1
task = "text-classification"
labels = ["go", "stop", "wait"]
scores = "logits"
top = 2
[text]
"""
TEXTS = ("Turn the lights on", "playing", "  naïve — 한국어!  ", "unknown words " * 20, "[MASK] x", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    document = tokenizer_files.bert()
    tflite.write(averaging(len(document["model"]["vocab"])), folder / "model.tflite")
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "task.toml").write_text(TASK)
    (folder / "texts").mkdir()
    for number, text in enumerate(TEXTS):
        (folder / "texts" / f"{number}.txt").write_text(text)
    (folder / "texts.csv").write_text("text,label\nTurn the lights on,go\nplaying,stop\nlight,go\n")
    return folder


def compiled(place: Path, *options: str | Path) -> Path:
    more = ["--data", place / "texts.csv", "--out", place / "build", "--json"]
    (made,) = edgekit("compile", place / "model.tflite", *more, *options).json["bundles"]
    return Path(made["path"])


@pytest.fixture(scope="module")
def bundle(place: Path) -> Path:
    return compiled(place, "--target", "host", "--recipe", "as-is", "--zip")


def decided(bundle: Path, place: Path) -> list[list[dict[str, Any]]]:
    """What ``edgekit run`` decides on each of the texts."""
    found = edgekit("run", bundle, "--data", place / "texts", "--json").json["decisions"]
    assert [one["sample"] for one in found] == [f"{number}.txt" for number in range(len(TEXTS))]
    return [one["classes"] for one in found]


def test_run_prints_decisions_of_a_table(bundle: Path, place: Path) -> None:
    done = edgekit("run", bundle, "--data", place / "texts.csv")
    assert re.search(r"^Turn the lights on: (go|stop|wait) 0\.\d+, (go|stop|wait) [\d.]+$", done.out, re.MULTILINE)
    assert "accuracy: " in done.out
    refused(edgekit("run", bundle, "--data", place / "task.toml"), 2, "task.toml")


def test_python_decides_the_same_bits(bundle: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "board.py").write_text(
        """
import json, sys
from edgekit_runtime import Error, Network
import numpy as np
network = Network(sys.argv[1])
for wrong, words in ((np.zeros((4, 4, 3), np.uint8), "takes a text: call edgekit_set_text"), ("\\ud800", "no Unicode")):
    try:
        network.classify(wrong)
    except Error as error:
        assert error.status == 2 and words in str(error), error
    else:
        raise AssertionError(words)
print(json.dumps([[one._asdict() for one in network.classify(text)] for text in json.load(sys.stdin)]))
"""
    )
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    expected = decided(bundle, place)
    for opened in (bundle, bundle.with_name(bundle.name + ".edgekit")):
        command = [sys.executable, tmp_path / "board.py", opened]
        done = subprocess.run(command, input=json.dumps(TEXTS), env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected


def program(folder: Path, library: Path, compiler: str) -> Path:
    """The program of docs/tasks.md that takes a text."""
    (code,) = (
        block for block in re.findall(r"^```c\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        if "edgekit_set_text" in block
    )  # fmt: skip
    (folder / "ask.c").write_text(code)
    shutil.copyfile(library, folder / "libedgekit.so.1")
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", f"-I{LINUX}", f"-L{folder}"]
    subprocess.run([compiler, *flags, folder / "ask.c", "-o", folder / "ask", "-ledgekit"], check=True)
    return folder / "ask"


def check_program(run: list[Any], bundle: Path, place: Path, env: dict[str, str] | None = None) -> None:
    for text, classes in zip(TEXTS, decided(bundle, place), strict=True):
        done = subprocess.run([*run, bundle, text], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"{one['label']} {one['score']:.6f}" for one in classes]


def test_c_decides_the_same(bundle: Path, place: Path, tmp_path: Path) -> None:
    made = program(tmp_path, runner_build.library(platform.machine()).path, "gcc")
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    check_program([made], bundle, place, env)
    done = subprocess.run([made, bundle, b"\xff"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "the text is not UTF-8" in done.stderr
    other = tmp_path / "bundle"
    shutil.copytree(bundle, other)
    (other / "tokens.json").write_text((other / "tokens.json").read_text().replace("play", "plaz"))
    done = subprocess.run([made, other, "x"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "tokens.json has changed" in done.stderr.splitlines()[-1]


@pytest.mark.emulator
def test_an_emulated_pi_decides_the_same(place: Path, tmp_path: Path) -> None:
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        library = runner_build.library("aarch64").path
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    made = compiled(place, "--target", "rpi4", "--recipe", "as-is")
    ask = program(tmp_path, library, "aarch64-linux-gnu-gcc")
    run = [emulator, "-cpu", "cortex-a72", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}", ask]
    check_program(run, made, place)


def test_cpp_takes_a_text(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "ask.cpp").write_text(
        '#include <edgekit.hpp>\n#include <cstdio>\nint main(int, char **argv)\n{\n'
        "    edgekit::Network network(argv[1]);\n    network.set_text(argv[2]);\n"
        '    std::printf("%d %d\\n", network.input<std::int32_t>(0)[0], network.input<std::int32_t>(1)[3]);\n'
        '    try {\n        network.set_text("\\xff");\n    } catch (const edgekit::Error &error) {\n'
        '        std::puts(error.what());\n    }\n}\n'
    )  # fmt: skip
    library = runner_build.library(platform.machine()).path
    shutil.copyfile(library, tmp_path / "libedgekit.so.1")
    (tmp_path / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{LINUX}", f"-L{tmp_path}"]
    subprocess.run(["g++", *flags, tmp_path / "ask.cpp", "-o", tmp_path / "ask", "-ledgekit"], check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.check_output([tmp_path / "ask", bundle, "a b"], env=env, text=True)
    assert done == "2 1\nthe text is not UTF-8\n"
