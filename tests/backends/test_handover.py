"""Libraries for build systems: built and run where the tools are here, else held against the documented layout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgekit
from edgekit import target
from edgekit.backends import Planned, Request
from edgekit.backends.c99 import C99
from edgekit.backends.c99.handover import Format, identifier, parsed
from edgekit.errors import UsageError
from edgekit.graph import tflite
from tests.networks import small

STUBS = Path(__file__).parent / "handover_stubs"
STRICT = ("-Wall", "-Wextra", "-Werror")
NAME = "two_layers"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 24 numbers and 5 classes, handed over in every format."""
    folder = tmp_path_factory.mktemp("handover")
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((5, 24)).astype(np.float32)
    tflite.write(small.dense(weights, np.zeros(5, np.float32)), folder / "Two layers.tflite")
    np.savez(folder / "data.npz", x=generator.standard_normal((40, 24)).astype(np.float32))
    (made,) = edgekit.compile(
        folder / "Two layers.tflite", targets=["host"], recipe="int8", backend="c99", data=str(folder / "data.npz"),
        changes=[f"c99.format={','.join(Format)}"], out=folder,
    )  # fmt: skip
    assert made.manifest["options"]["format"] == ",".join(Format)
    return made.path


def library(bundle: Path, form: Format) -> Path:
    return bundle / "artifact" / form / NAME


def run(*command: str | Path, cwd: Path | None = None, input: bytes = b"") -> bytes:
    done = subprocess.run(list(map(str, command)), cwd=cwd, input=input, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def golden(bundle: Path) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    with np.load(bundle / "golden.npz") as archive:
        return archive["input0"], archive["output0"]


def test_cmake_is_built_installed_and_used(bundle: Path, tmp_path: Path) -> None:
    """The example tells the reference's labels and scores; another project finds the installed library."""
    needs("cmake", "make", "gcc")
    prefix, build = tmp_path / "prefix", tmp_path / "build"
    run("cmake", "-S", library(bundle, Format.CMAKE), "-B", build, f"-DCMAKE_INSTALL_PREFIX={prefix}")
    run("cmake", "--build", build)
    inputs, outputs = golden(bundle)
    said = run(build / "examples" / "classify" / "classify", input=inputs.tobytes()).decode().splitlines()
    best = outputs.reshape(len(outputs), -1)
    assert len(said) == len(best) > 3
    assert said == [f"class {row.argmax()} score {row.max()}" for row in best]
    assert len(set(said)) > 1

    run("cmake", "--install", build)
    other = tmp_path / "other"
    other.mkdir()
    (other / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.13)\nproject(other C CXX)\nfind_package({NAME} 1.0 REQUIRED)\n"
        f"add_executable(app app.cpp)\ntarget_link_libraries(app {NAME}::{NAME})\n"
    )
    (other / "app.cpp").write_text(
        f'#include "{NAME}.h"\n#include <cstdio>\nint main() {{ std::printf("%s", {NAME}_model.name); }}\n'
    )
    run("cmake", "-S", other, "-B", other / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", other / "build")
    assert run(other / "build" / "app") == NAME.encode()


@pytest.mark.parametrize("name", ["test", "string", "Classify"])
def test_names_that_others_have(bundle: Path, name: str, tmp_path: Path) -> None:
    """A library's name is a header's, a target's and a project's."""
    needs("cmake", "make", "gcc")
    graph = tflite.read(bundle / "model.tflite")
    backend = C99(formats=(Format.CMAKE,))
    plan = backend.plan(graph, target.load("host"))
    assert isinstance(plan, Planned)
    (tmp_path / "artifact").mkdir()
    backend.build(plan, Request(bundle / "model.tflite", tmp_path / "artifact", name=name))
    run("cmake", "-S", tmp_path / "artifact" / "cmake" / identifier(name), "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    inputs, _ = golden(bundle)
    assert run(tmp_path / "build" / "examples" / "classify" / "classify", input=inputs[:1].tobytes()).startswith(
        b"class "
    )


@pytest.mark.parametrize("form", [Format.CMAKE, Format.PICO_SDK])
def test_as_a_part_of_another_project_for_a_microcontroller(bundle: Path, form: Format, tmp_path: Path) -> None:
    needs("cmake", "make", "arm-none-eabi-gcc")
    (tmp_path / "CMakeLists.txt").write_text(
        f'cmake_minimum_required(VERSION 3.13)\nproject(other C)\nadd_subdirectory("{library(bundle, form)}" {NAME})\n'
        f"add_library(app STATIC app.c)\ntarget_link_libraries(app {NAME})\n"
    )
    (tmp_path / "app.c").write_text(
        f'#include "{NAME}.h"\nunsigned arena(void) {{ return {NAME.upper()}_ARENA_BYTES; }}\n'
    )
    run(
        "cmake", "-S", tmp_path, "-B", tmp_path / "build", "-DCMAKE_SYSTEM_NAME=Generic",
        "-DCMAKE_C_COMPILER=arm-none-eabi-gcc", "-DCMAKE_C_FLAGS=-mcpu=cortex-m0plus -mthumb",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
    )  # fmt: skip
    run("cmake", "--build", tmp_path / "build")
    (archive,) = (tmp_path / "build").rglob(f"lib{NAME}.a")
    assert f"{NAME}_run" in run("arm-none-eabi-nm", archive).decode()


@pytest.mark.parametrize(
    ("board", "machine", "board_flag"),
    [
        ("nucleo-l4r5zi", "ARM", "-mcpu=cortex-m4"),
        ("pico", "ARM", "-mcpu=cortex-m0plus"),
        ("esp32-c3", "RISC-V", "-march"),
    ],
)
def test_cmake_for_a_board(bundle: Path, board: str, machine: str, board_flag: str, tmp_path: Path) -> None:
    """The toolchain file that comes along, with the core's flags."""
    compiler = "riscv32-esp-elf-gcc" if board == "esp32-c3" else "arm-none-eabi-gcc"
    needs("cmake", "make")
    graph = tflite.read(bundle / "model.tflite")
    shutil.copy(bundle / "model.tflite", tmp_path)
    (tmp_path / "artifact").mkdir()
    backend = C99(formats=(Format.CMAKE,))
    plan = backend.plan(graph, target.load(board))
    assert isinstance(plan, Planned)
    backend.build(plan, Request(tmp_path / "model.tflite", tmp_path / "artifact", name="Dense 1"))
    root, build = tmp_path / "artifact" / "cmake" / "dense_1", tmp_path / "build"
    assert board_flag in (root / "cmake" / "toolchain.cmake").read_text()
    needs(compiler)
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={root / 'cmake' / 'toolchain.cmake'}"
    run(
        "cmake",
        "-S",
        root,
        "-B",
        build,
        toolchain,
        "-DDENSE_1_EXAMPLES=OFF",
        f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'p'}",
    )
    run("cmake", "--build", build)
    run("cmake", "--install", build)
    assert (
        f"Machine:                           {machine}"
        in run("readelf", "-h", tmp_path / "p/lib/libdense_1.a").decode()
    )


def test_arduino_layout(bundle: Path) -> None:
    """Format 1.5: https://docs.arduino.cc/arduino-cli/library-specification."""
    root = library(bundle, Format.ARDUINO)
    properties = dict(line.split("=", 1) for line in (root / "library.properties").read_text().splitlines())
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(properties) and all(properties.values())
    assert properties["name"] == root.name and re.fullmatch(r"[A-Za-z0-9][\w .-]{0,62}", root.name)
    assert properties["category"] in ("Data Processing",) and (root / "src" / properties["includes"]).is_file()
    assert (root / "examples" / "classify" / "classify.ino").is_file()
    assert all(line.count("\t") == 1 for line in (root / "keywords.txt").read_text().splitlines())
    assert not [path for path in (root / "src").iterdir() if path.is_dir()]


def test_zephyr_layout(bundle: Path) -> None:
    """https://docs.zephyrproject.org/latest/develop/modules.html: what module.yml names is there."""
    root = library(bundle, Format.ZEPHYR)
    module = (root / "zephyr" / "module.yml").read_text()
    assert f"name: {NAME}\n" in module and "  cmake: .\n  kconfig: Kconfig\n" in module and "  - samples\n" in module
    symbol = re.findall(r"^config (\w+)$", (root / "Kconfig").read_text(), re.MULTILINE)
    assert symbol == [f"EDGEKIT_{NAME.upper()}"]
    assert f"if(CONFIG_{symbol[0]})" in (root / "CMakeLists.txt").read_text()
    sample = root / "samples" / "classify"
    assert f"CONFIG_{symbol[0]}=y\n" in (sample / "prj.conf").read_text()
    assert {path.name for path in sample.iterdir()} == {"CMakeLists.txt", "prj.conf", "sample.yaml", "src"}


def test_platformio_layout(bundle: Path) -> None:
    """https://docs.platformio.org/en/latest/manifests/library-json."""
    root = library(bundle, Format.PLATFORMIO)
    manifest = json.loads((root / "library.json").read_text())
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", manifest["name"]) and manifest["version"] == "1.0.0"
    assert (root / "include" / manifest["headers"]).is_file() and len(manifest["description"]) <= 255
    for example in manifest["examples"]:
        assert all((root / example["base"] / name).is_file() for name in example["files"])


@pytest.mark.parametrize(
    ("form", "place", "language"),
    [
        (Format.ARDUINO, "examples/classify/classify.ino", "c++"),
        (Format.PLATFORMIO, "examples/classify/src/main.cpp", "c++"),
        (Format.ZEPHYR, "samples/classify/src/main.c", "c"),
        (Format.PICO_SDK, "examples/classify/main.c", "c"),
        (Format.CMAKE, "examples/classify/main.c", "c"),
    ],
)
def test_examples_compile_without_a_warning(bundle: Path, form: Format, place: str, language: str) -> None:
    """Against declarations of the functions that they call, where the framework itself is not here."""
    needs("g++")
    root = library(bundle, form)
    first = ["-include", "Arduino.h"] if language == "c++" else []
    headers = [f"-I{path}" for path in (root / "include", root / "src", (root / place).parent, STUBS)]
    run("g++" if language == "c++" else "gcc", *STRICT, *first, "-fsyntax-only", *headers, "-x", language, root / place)


@pytest.mark.parametrize("form", Format)
def test_nothing_is_left_to_fill_in(bundle: Path, form: Format) -> None:
    """No mark of a template, and what every library has."""
    root = library(bundle, form)
    files = [path for path in root.rglob("*") if path.is_file()]
    marks = {m for path in files for m in re.findall(r"@[A-Za-z_]+@", path.read_text())}
    assert marks <= ({"@PACKAGE_INIT@"} if form is Format.CMAKE else set())
    assert "| input 0 | int8 | [1, 24] |" in (root / "README.md").read_text()
    assert len([path for path in files if path.name == "classify.h"]) == 1
    assert {path.name for path in files} >= {f"{NAME}.c", f"{NAME}.h", "ek_model.h", "README.md"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Two layers", "two_layers"), ("7up", "network_7up"), ("", "network"), ("-a--b-", "a_b"), ("Ünïcode", "n_code"),
        ("x" * 99, "x" * 40), ('a";b\n@name@', "a_b_name"), ("Test", "test_network"),
        ("string", "string_network"), ("ek_model", "ek_model_network"),
    ],
)  # fmt: skip
def test_identifier(text: str, name: str) -> None:
    assert identifier(text) == name


def test_formats() -> None:
    assert parsed("cmake, pico-sdk,cmake") == (Format.CMAKE, Format.PICO_SDK)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("c99.format=mbed", "c99 has no format 'mbed'"),
        ("c99.optimize=fast", "c99 has no optimize 'fast'"),
        ("c99.speed=1", "c99.speed"),
    ],
)
def test_refused(change: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as error:
        edgekit.compile(tmp_path / "none.tflite", targets=["host"], backend="c99", changes=[change], out=tmp_path)
    assert error.value.hint
    assert not list(tmp_path.iterdir())


def test_a_backend_that_does_not_write_c(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="c99 would not compile") as error:
        edgekit.compile(tmp_path / "none.tflite", targets=["host"], changes=["c99.format=cmake"], out=tmp_path)
    assert error.value.hint == "add --backend c99"
