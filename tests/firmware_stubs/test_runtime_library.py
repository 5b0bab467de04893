"""The runtime library (docs/runtime.md): its programs in C, C++ and Python, damaged bundles, memory, threads."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from c_programs import ENVIRONMENT, LINUX, SANITIZE, runtime_driver

from edgekit import target
from edgekit.backends import runner_build
from edgekit.errors import ToolMissing
from edgekit.graph import tflite
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.command import edgekit
from tests.networks import small
from tests.tasks import task_networks

PAGE = Path(__file__).parents[2] / "docs" / "runtime.md"
SAMPLES = 5
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@dataclass(frozen=True)
class Place:
    """A folder with a network's bundles for this machine, samples for it, and what ``edgekit run`` makes of them."""

    folder: Path

    def bundle(self, backend: str) -> Path:
        return self.folder / backend / "model.as-is.host"

    def expected(self, backend: str) -> bytes:
        return (self.folder / f"{backend}.bin").read_bytes()

    @property
    def samples(self) -> Path:
        return self.folder / "in.bin"


def network(folder: Path) -> None:
    """Write ``model.tflite``, and samples for it as ``x.npz`` and ``in.bin``."""
    random = np.random.default_rng(3)
    weights, bias = random.standard_normal((7, 12)), random.standard_normal(7)
    graph = small.dense(weights.astype(np.float32), bias.astype(np.float32), relu=True)
    tflite.write(graph, folder / "model.tflite")
    x = random.standard_normal((SAMPLES, 12)).astype(np.float32)
    np.savez(folder / "x.npz", x=x)
    (folder / "in.bin").write_bytes(x.tobytes())


def run_here(bundle: Path, folder: Path, to: Path, *, on: str) -> None:
    done = edgekit("run", bundle, "--data", folder / "x.npz", "--save", folder / "y.npz", "--on", on)
    assert done.code == 0, done.err
    to.write_bytes(np.load(folder / "y.npz")["output0"].tobytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("runtime")
    network(folder)
    for backend in ("litert", "c99"):
        options = ("--target", "host", "--backend", backend, "--zip", "--out", folder / backend, "--json")
        assert edgekit("compile", folder / "model.tflite", *options).code == 0
        run_here(folder / backend / "model.as-is.host", folder, folder / f"{backend}.bin", on="host")
    return Place(folder)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the library, under both of its names."""
    return linked(runner_build.library(platform.machine()).path, tmp_path_factory.mktemp("library"))


def linked(made: Path, folder: Path) -> Path:
    shutil.copyfile(made, folder / "libedgekit.so.1")
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    return folder


def program(language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


def built(compiler: str, language: str, library: Path, folder: Path) -> Path:
    """The program of the documentation, in C or C++."""
    suffix, standard = {"c": ("c", "c11"), "cpp": ("cpp", "c++17")}[language]
    source, made = folder / f"classify.{suffix}", folder / f"classify-{suffix}"
    source.write_text(program(language))
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    command = [compiler, f"-std={standard}", *warnings, "-O1", f"-I{LINUX}", source, "-o", made, f"-L{library}"]
    subprocess.run([*command, "-ledgekit"], check=True)
    return made


def use(library: Path, *command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), **(env or {})}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "file"])
@pytest.mark.parametrize("backend", ["litert", "c99"])
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_programs_compute_the_same_bits(
    place: Place, library: Path, tmp_path: Path, language: str, backend: str, packed: bool
) -> None:
    made = built({"c": "gcc", "cpp": "g++"}[language], language, library, tmp_path)
    bundle = place.bundle(backend)
    opened = bundle.with_name(bundle.name + ".edgekit") if packed else bundle
    done = use(library, made, opened, place.samples, tmp_path / "out.bin", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.bin").read_bytes() == place.expected(backend)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("edgekit-")]  # it is removed


@pytest.mark.emulator
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_programs_compute_the_same_bits_on_a_pi(tmp_path: Path, language: str) -> None:
    network(tmp_path)
    compiler = {"c": "aarch64-linux-gnu-gcc", "cpp": "aarch64-linux-gnu-g++"}[language]
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        made = built(compiler, language, linked(runner_build.library("aarch64").path, tmp_path), tmp_path)
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    backend = {"c": "litert", "cpp": "c99"}[language]
    options = ("--target", "rpi4", "--backend", backend, "--out", tmp_path, "--json")
    (bundle,) = edgekit("compile", tmp_path / "model.tflite", *options).json["bundles"]
    run_here(Path(bundle["path"]), tmp_path, tmp_path / "expected.bin", on="emulator")
    board = tmp_path / "root"
    board.mkdir()
    for part in root.iterdir():
        (board / part.name).symlink_to(part)
    command = [emulator, "-cpu", "cortex-a72", "-L", board, "-E", f"LD_LIBRARY_PATH={tmp_path}", made]
    done = use(Path("/nonexistent"), *command, bundle["path"], tmp_path / "in.bin", tmp_path / "out.bin")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.bin").read_bytes() == (tmp_path / "expected.bin").read_bytes()


@pytest.mark.parametrize("backend", ["litert", "c99"])
def test_python_computes_the_same_bits(place: Place, library: Path, tmp_path: Path, backend: str) -> None:
    (tmp_path / "classify.py").write_text(program("python"))
    env = {"PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library / "libedgekit.so.1")}
    command = [sys.executable, tmp_path / "classify.py", place.bundle(backend), place.samples, tmp_path / "out.bin"]
    done = use(library, *command, env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.bin").read_bytes() == place.expected(backend)


def test_python_says_what_is_wrong(place: Place, library: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        """
import sys, numpy as np
from edgekit_runtime import Error, Network, version
def refused(call, status, words):
    try:
        call()
    except Error as error:
        assert error.status == status and words in str(error), (error.status, str(error))
    else:
        raise AssertionError(words)
network = Network(sys.argv[1], threads=2, checked=False)
assert version() == "1.0" and network.runtime == "c99"
assert network.inputs[0] == ("x", "float32", (1, 12), 0.0, 0) and network.outputs[0].shape == (1, 7)
assert network(np.zeros(12, np.float32)).shape == (1, 7)
refused(lambda: Network("/nonexistent"), 2, "there is no bundle /nonexistent")
refused(lambda: network(), 2, "the network has 1 inputs, not 0")
refused(lambda: network(np.zeros((1, 12))), 2, "float32, not float64")
refused(lambda: network(np.zeros(13, np.float32)), 2, "(1, 12), not (13,)")
network.close()
refused(lambda: network(np.zeros(12, np.float32)), 2, "the network is closed")
"""
    )
    env = {"PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library / "libedgekit.so.1")}
    done = use(library, sys.executable, tmp_path / "wrong.py", place.bundle("c99"), env=env)
    assert done.returncode == 0, done.stderr


def test_the_package_is_for_old_pythons_too() -> None:
    ast.parse((LINUX / "python" / "edgekit_runtime" / "__init__.py").read_text(), feature_version=(3, 9))


# The library itself


def test_only_versioned_functions_of_the_header_are_exported(library: Path) -> None:
    symbols = subprocess.check_output(["nm", "-D", "--defined-only", library / "libedgekit.so.1"], text=True)
    header = re.findall(r"\b(edgekit_\w+)\(", re.sub(r"/\*.*?\*/", "", (LINUX / "edgekit.h").read_text(), flags=re.S))
    assert set(re.findall(r" T (\S+)", symbols)) == {f"{name}@@EDGEKIT_1" for name in header}


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runtime_driver(tmp_path_factory.mktemp("counting"), "-O2", "-DCOUNT_ALLOCATIONS")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runtime_driver(tmp_path_factory.mktemp("sanitized"), *SANITIZE, "-Wno-format-truncation")


def checked(sanitized: Path, *arguments: str | Path, scratch: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = ENVIRONMENT if scratch is None else {**ENVIRONMENT, "TMPDIR": str(scratch)}
    return subprocess.run([sanitized, *arguments], env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("backend", "most"), [("litert", None), ("c99", 0)])
def test_memory_is_constant(place: Place, counting: Path, backend: str, most: int | None) -> None:
    done = use(Path(), counting, "memory", place.bundle(backend), "10000")
    assert done.returncode == 0, done.stderr
    allocations, grown = map(int, done.stdout.split())
    assert grown == 0 and (most is None or allocations <= most), done.stdout


@pytest.mark.parametrize("backend", ["litert", "c99"])
def test_an_instance_for_each_of_four_threads(place: Place, counting: Path, backend: str) -> None:
    done = use(Path(), counting, "threads", place.bundle(backend))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("backend", "count"), [("litert", 60), ("c99", 400)])
def test_closing_gives_everything_back(place: Place, counting: Path, backend: str, count: int) -> None:
    """LiteRT keeps some bytes each time; what is in use wavers by some KiB."""
    done = use(Path(), counting, "again", place.bundle(backend), str(count))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40_000, done.stdout


def test_misuse_is_refused_in_one_line(place: Place, sanitized: Path) -> None:
    done = subprocess.run(
        [sanitized, "misused", place.bundle("c99")], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("file", "count", "least"),
    [
        ("manifest.json", 1000, 0.9),
        ("artifact/network.so", 300, 0.95),
        ("artifact/weights.bin", 100, 1),
        ("zip", 600, 0.6),
    ],
)
def test_damaged_bundles_are_refused(
    place: Place, sanitized: Path, tmp_path: Path, file: str, count: int, least: float
) -> None:
    """2000 in all, without a complaint of a sanitizer. A damage to a part that no network needs is not noticed."""
    bundle = tmp_path / "bundle"
    if file == "zip":
        packed = tmp_path / "model.edgekit"
        shutil.copyfile(place.bundle("c99").with_name("model.as-is.host.edgekit"), packed)
        opened, changed = packed, packed
    else:
        shutil.copytree(place.bundle("c99"), bundle)
        changed = bundle / file
        if not changed.exists():
            changed.write_bytes(bytes(range(256)))  # a file that a network's library could read beside it
            register(bundle, file)
        opened = bundle
    done = checked(sanitized, "damaged", opened, changed, str(count), "7", scratch=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    refused, decided = map(int, done.stdout.split())
    assert least * count <= refused <= count and decided == 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("edgekit-")]


def plugged(folder: Path, **changes: object) -> Path:
    """A bundle whose kind of task is a plug-in's."""
    tflite.write(task_networks.classifier(), folder / "model.tflite")
    (folder / "task.toml").write_text(task_networks.CLASSIFIER_TASK)
    options = ("--target", "host", "--backend", "c99", "--out", folder, "--json")
    (made,) = edgekit("compile", folder / "model.tflite", *options).json["bundles"]
    file = Path(made["path"]) / "manifest.json"
    manifest = json.loads(file.read_text())
    task = {"schema": 1, "task": "rating", "plugin": "picture-rating", "picture": {"theirs": [1]}, **changes}
    file.write_text(json.dumps({**manifest, "task": task}))
    return file.parent


def test_kinds_of_plugins_are_run_and_not_decided(sanitized: Path, tmp_path: Path) -> None:
    bundle = plugged(tmp_path)
    done = checked(sanitized, "plugged", bundle, "rating")
    assert done.returncode == 0, done.stderr


def test_a_source_of_edgekits_serves_kinds_of_plugins(sanitized: Path, tmp_path: Path) -> None:
    bundle = plugged(tmp_path)
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text())
    scaling = {"scale": [0.5] * 3, "offset": [0.0] * 3}
    picture = {"fit": "stretch", "colors": "rgb", **scaling, "short": 0, "fill": 0}
    manifest["task"] |= {"picture": picture, "twins": {"source": "picture", "decider": ""}}
    file.write_text(json.dumps(manifest))
    done = checked(sanitized, "half", bundle)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "changes",
    [
        {"twins": {"source": "text"}}, {"twins": {"source": "picture"}}, {"twins": {"source": "sound", "decider": 3}},
        {"twins": {"source": "row", "decider": "detection"}}, {"plugin": None}, {"plugin": ""}, {"plugin": 3},
        {"plugin": "p" * 300}, {"task": "ra\nting"}, {"task": ""},
        {"task": "e" * 64}, {"task": None}, {"task": ["rating"]}, {"task": "Rating"},
    ],
)  # fmt: skip
def test_damaged_kinds_of_plugins_are_refused(sanitized: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    done = checked(sanitized, "memory", plugged(tmp_path, **changes), "1")
    assert done.returncode == 1 and "the bundle's task is " in done.stderr and "damaged" in done.stderr, done.stderr


def test_an_unknown_kind_of_no_plugin_is_refused(sanitized: Path, tmp_path: Path) -> None:
    bundle = plugged(tmp_path)
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["task"]["plugin"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = checked(sanitized, "memory", bundle, "1")
    assert done.returncode == 1 and "of a kind that this library does not know" in done.stderr, done.stderr


def register(bundle: Path, file: str) -> None:
    """Make a file part of a bundle."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    digest = subprocess.check_output(["sha256sum", bundle / file], text=True).split()[0]
    manifest["files"][file] = {"bytes": (bundle / file).stat().st_size, "sha256": digest}
    (bundle / "manifest.json").write_text(json.dumps(manifest))


REFUSED = {
    "another schema": (lambda m: m.update(schema=2), "of schema 2, this library reads schema 1"),
    "another kind": (lambda m: m["execution"].update(kind="firmware"), "artifact is of the kind 'firmware'"),
    "a file elsewhere": (lambda m: m["execution"].update(library="../../x.so"), "manifest.json is damaged (execution)"),
    "a file of no bundle": (lambda m: m["execution"].update(library="x.so"), "x.so does not belong"),
    "another digest": (
        lambda m: m["files"]["artifact/network.so"].update(sha256="0" * 64), "artifact/network.so has changed",
    ),
    "other outputs": (lambda m: m["outputs"][0].update(shape=[1, 8]), "describes other inputs or outputs"),
    "more outputs": (lambda m: m["outputs"].append(m["outputs"][0]), "describes other inputs or outputs"),
    "sizes that overflow": (lambda m: m["inputs"][0].update(shape=[2**31 - 1] * 8), "describes other inputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_manifests_that_are_refused(place: Place, sanitized: Path, tmp_path: Path, case: str) -> None:
    shutil.copytree(place.bundle("c99"), tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    change, words = REFUSED[case]
    change(manifest)
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    done = subprocess.run(
        [sanitized, "memory", tmp_path / "b", "1"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_what_lies_beside_a_network_is_checked(place: Place, sanitized: Path, tmp_path: Path) -> None:
    shutil.copytree(place.bundle("c99"), tmp_path / "b")
    (tmp_path / "b" / "artifact" / "weights.bin").write_bytes(b"1234")
    done = subprocess.run(
        [sanitized, "memory", tmp_path / "b", "1"], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "artifact/weights.bin does not belong" in done.stderr


def test_archives_do_not_leave_their_folder(place: Place, sanitized: Path, tmp_path: Path) -> None:
    """Names that lead elsewhere are not unpacked, names that come twice are refused."""
    whole = place.bundle("c99").with_name("model.as-is.host.edgekit")
    for name, words in (("artifact/../../escaped", None), ("/escaped", None), ("manifest.json", "in it twice")):
        packed = tmp_path / "m.edgekit"
        shutil.copyfile(whole, packed)
        with zipfile.ZipFile(packed, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there twice
            archive.writestr(name, b"{}")
        done = checked(sanitized, "memory", packed, "1", scratch=tmp_path)
        assert done.returncode == (0 if words is None else 1) and (words or "") in done.stderr, done.stderr
    assert not list(tmp_path.rglob("escaped")) and not Path("/escaped").exists()
