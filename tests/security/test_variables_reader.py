"""The runner's search for variable tensors reads and writes nothing outside a damaged model, under sanitizers.

Each of its bounds is taken out once: the same models then end the program, or keep it busy.
"""

from __future__ import annotations

import functools
import resource
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit import resources
from edgekit.graph import tflite
from tests.networks.small import Builder

READER = Path(__file__).with_name("variables_reader.c")
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
MOST = 4096
SECONDS = 2
"""Of processor time, for all models; 0.05 are enough with all bounds."""
BOUNDS = {
    "reading 4 bytes": ("if (at > v.size || v.size - at < 4)", "if (0)"),
    "reading 2 bytes": ("return at > v.size || v.size - at < 2 ? 0 : ", "return "),
    "the flag's place": ("flag && flag < size &&", "flag &&"),
    "the number of flags": (" && variables->count < VARIABLES_MAX", ""),
    "the number of subgraphs": (" && i < size / 4", ""),
    "the number of tensors": (" && k < size / 4", ""),
}


@functools.cache
def build(folder: Path, old: str = "", new: str = "") -> Path:
    """The program, with a part of ``variables.c`` replaced."""
    stubs = resources.folder("firmware_stubs") / "linux"
    text = (stubs / "variables.c").read_text()
    assert old in text
    source, program = folder / "variables.c", folder / "reader"
    source.write_text(text.replace(old, new))
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{stubs}"]
    done = subprocess.run(
        ["gcc", *flags, READER, source, "-o", program], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return program


def counts(program: Path, folder: Path, models: list[bytes]) -> list[int]:
    """How many variable tensors it finds in each."""
    paths = []
    for number, data in enumerate(models):
        paths.append(folder / f"{number}.tflite")
        paths[-1].write_bytes(data)
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [program, *paths], capture_output=True, text=True, check=False, env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    )  # fmt: skip
    done.check_returncode()
    return [int(line) for line in done.stdout.split()]


@functools.cache
def sound() -> bytes:
    """A network with two variable tensors."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("FULLY_CONNECTED", (x, b.constant(np.ones((2, 4), np.float32)), -1), (1, 2), options="FullyConnected")
    for name in ("state", "memory"):
        b.tensor((1, 16), name=name, is_variable=True)
    return tflite.dumps(b.graph((x,), (y,)))


@functools.cache
def crowded() -> bytes:
    """A flatbuffer whose one subgraph lists the same variable tensor more often than there is room for."""
    model = struct.pack("<I4s", 20, b"TFL3") + struct.pack("<6H", 10, 8, 0, 0, 4, 0)  # the model's vtable at 8
    model += struct.pack("<iI", 20 - 8, 4) + struct.pack("<II", 1, 16)  # its table at 20, subgraphs at 28: one, at 48
    model += struct.pack("<4H", 6, 8, 4, 0) + bytes(4)  # the subgraph's vtable at 36
    model += struct.pack("<iI", 48 - 36, 4) + struct.pack("<I", MOST + 9)  # its table at 48, tensors at 56
    tensor = 60 + 4 * (MOST + 9) + 16
    model += b"".join(struct.pack("<I", tensor - place) for place in range(60, tensor - 16, 4))
    model += struct.pack("<8H", 16, 8, 0, 0, 0, 0, 0, 4)  # the tensor's vtable
    return model + struct.pack("<iBxxx", 16, 1)


@functools.cache
def damaged() -> list[bytes]:
    """Models that are cut off, or whose every number was replaced by ones that lead out of them."""
    whole = sound()
    found = [whole[:n] for n in range(len(whole))]
    for place in range(0, len(whole) - 3, 2):
        long = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, len(whole) - 1, (len(whole) - place - 2) & 0xFFFFFFFF)
        numbers = [struct.pack("<I", value) for value in long]
        numbers += [struct.pack("<H", value) for value in (0xFFFF, 0x7FFF, 4)]
        found += [whole[:place] + number + whole[place + len(number) :] for number in numbers]
    return [*found, crowded()]


def test_variable_tensors_are_found(tmp_path: Path) -> None:
    assert counts(build(tmp_path), tmp_path, [sound(), crowded(), b""]) == [2, MOST, 0]


def test_damaged_models_are_read_within_their_bounds(tmp_path: Path) -> None:
    assert len(counts(build(tmp_path), tmp_path, damaged())) == len(damaged()) > 1000


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_that_is_missing_is_noticed(name: str, tmp_path: Path) -> None:
    program = build(tmp_path, *BOUNDS[name])
    with pytest.raises(subprocess.CalledProcessError):
        counts(program, tmp_path, damaged())
