"""The host program's reader of plans: what edgekit writes is accepted, what is damaged is refused, nothing overruns."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit import resources
from edgekit.backends.gpu import plan
from edgekit.backends.gpu.dialect import OPENCL
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule import gpu
from tests.networks.small import convolutional

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stubs, program = resources.folder("firmware_stubs"), tmp_path_factory.mktemp("reader") / "reader"
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    done = subprocess.run(
        ["gcc", *flags, "-fno-sanitize-recover=all", f"-I{stubs / 'gpu'}", f"-I{stubs / 'linux'}",
         HERE / "plan_reader.c", stubs / "gpu" / "plan.c", "-o", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return program


def read(reader: Path, folder: Path, texts: list[bytes]) -> list[str]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.plan")
        paths[-1].write_bytes(text)
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([reader, *paths], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    plan.write(gpu.schedule(lower(convolutional()), 1), plan.Form(), "opencl 1", tmp_path, OPENCL)
    return (tmp_path / plan.PLAN).read_bytes()


def test_what_edgekit_writes_is_accepted(reader: Path, whole: bytes, tmp_path: Path) -> None:
    assert read(reader, tmp_path, [whole]) == ["accepted"]


def test_what_is_cut_off_or_long_is_refused(reader: Path, whole: bytes, tmp_path: Path) -> None:
    found = read(reader, tmp_path, [whole[:n] for n in range(0, len(whole), 7)] + [whole + b"argument 0 0\n"])
    assert all("damaged near its byte" in line for line in found)


def test_another_version_is_named(reader: Path, whole: bytes, tmp_path: Path) -> None:
    (found,) = read(reader, tmp_path, [whole.replace(b"edgekit-plan 1", b"edgekit-plan 7")])
    assert found == "network.plan is version 7, this program reads version 1"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"counts 1", b"counts 99999999999"), (b"input ", b"input 9999999"), (b"argument 0 ", b"argument 0 99999999"),
     (b"launch ", b"launch 0 "), (b"launch ", b"launch -1 "), (b"function k0", b"function " + b"k" * 300),
     (b"bytes ", b"bytes 99999999999999999999999")],
)  # fmt: skip
def test_impossible_numbers_are_refused(reader: Path, whole: bytes, old: bytes, new: bytes, tmp_path: Path) -> None:
    assert old in whole
    (found,) = read(reader, tmp_path, [whole.replace(old, new, 1)])
    assert "damaged near its byte" in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"input 3136 9216", b"input 3140 9216"),  # its end is beyond the arena's, which has 12352 bytes
        (b"output 2304 9216", b"output 3140 9216"),
        (b"launch 3 2 12 0 0 4", b"launch 3 2 12 4 12352 4"),  # what is cleared, too
        (b"launch 3 2 12 0 0 4", b"launch 3 2 12 2 0 4"),  # and no multiple of 4
        (b"launch 3 2 12 0 0 4", b"launch 3 2 12 4 2 4"),
        (b"argument 0 9216", b"argument 0 9214"),
        (b"argument 0 9216", b"argument 0 12356"),
        (b"argument 1 1600", b"argument 1 1668"),  # the weights have 1664
        (b"launch 3 2 12 0 0 4", b"launch 3 2 12 0 0 9"),
        (b"launch 3 2 12 0 0 4", b"launch 3 0 12 0 0 4"),
        (b"cost 115200 4800 9216", b"cost 115200 4800"),
        (b"cost 115200 4800 9216", b"cost 115200 4800 9216 1"),
    ],
)
def test_numbers_just_beyond_their_bounds_are_refused(
    reader: Path, whole: bytes, old: bytes, new: bytes, tmp_path: Path
) -> None:
    assert old in whole
    (found,) = read(reader, tmp_path, [whole.replace(old, new, 1)])
    assert "damaged near its byte" in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"input 3136 9216", b"input 3136 9216"),
        (b"launch 3 2 12 0 0 4", b"launch 3 2 12 4 12348 4"),
        (b"argument 0 9216", b"argument 0 12352"),
        (b"argument 1 1600", b"argument 1 1664"),
    ],
)
def test_numbers_at_their_bounds_are_accepted(
    reader: Path, whole: bytes, old: bytes, new: bytes, tmp_path: Path
) -> None:
    assert old in whole and read(reader, tmp_path, [whole.replace(old, new, 1)]) == ["accepted"]


def test_mutations_never_overrun(reader: Path, whole: bytes, tmp_path: Path) -> None:
    draw, texts = random.Random(0), []
    for _ in range(600):
        text = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(text))
            if draw.random() < 0.3:
                del text[at : at + draw.randint(1, 40)]
            else:
                text[at] = draw.choice(b"0123456789-\n kx\0")
        texts.append(bytes(text))
    found = read(reader, tmp_path, texts)
    assert len(found) == 600 and 0 < sum(line == "accepted" for line in found) < 600
