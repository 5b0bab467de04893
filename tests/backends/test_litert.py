"""The LiteRT backend: what it builds, what it fetches, what it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import target
from edgekit.backends import Request, unsupported
from edgekit.backends import runner_build as build
from edgekit.backends.litert import LiteRT, library, operators
from edgekit.backends.runner_build import litert_version
from edgekit.bundle import digest
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, Operator, Subgraph, Tensor

ARCHITECTURES = ["native", "aarch64"]


def needs_compiler(arch: str) -> str:
    name = build.native_arch(arch)
    try:
        build.get(name)
    except ToolMissing as error:
        pytest.skip(error.message)
    return name


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_runner_has_the_same_bytes_wherever_it_is_built(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = needs_compiler(arch)
    built = []
    for place in ("a", "another/place"):
        monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / place))
        built.append(build.get(name).path.read_bytes())
    assert built[0] == built[1]
    for path in (str(Path(__file__).parents[2]), str(tmp_path), "/tmp/", "/home/"):
        assert path.encode() not in built[0]


def test_a_second_build_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = needs_compiler("native")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    first = build.get(name).path
    before = first.stat().st_mtime_ns
    assert build.get(name).path == first and first.stat().st_mtime_ns == before


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_runner_and_library_need_no_newer_c_library_than_the_docs_say(arch: str) -> None:
    name = needs_compiler(arch)
    known = library.facts(name)
    assert known, f"compile/runtimes/litert.toml does not describe {name}"

    def newest(path: Path, prefix: bytes) -> tuple[int, ...]:
        found = re.findall(prefix + rb"_(\d+(?:\.\d+)+)\0", path.read_bytes())
        return max(tuple(map(int, version.split(b"."))) for version in found)

    glibc = tuple(map(int, known["glibc"].split(".")))
    shared = library.get(name)
    assert newest(shared, rb"GLIBC") == glibc
    assert newest(shared, rb"GLIBCXX") == tuple(map(int, known["glibcxx"].split(".")))
    if name == "aarch64":  # the cross compiler's C library must not be newer than what LiteRT needs anyway
        assert newest(build.get(name).path, rb"GLIBC") <= glibc


def test_libraries_are_the_files_edgekit_knows() -> None:
    for name in ("aarch64", "x86_64"):
        try:
            assert digest(library.get(name)) == library.facts(name)["sha256"]
        except ToolMissing as error:
            if "cannot fetch" not in error.message:
                raise
            pytest.skip(error.message)


def test_without_a_network_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = "x86_64" if build.native_arch("native") == "aarch64" else "aarch64"
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "edgekit"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "uv"))
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ToolMissing, match="cannot fetch LiteRT") as caught:
        library.get(foreign)
    assert "uv --no-config pip install" in caught.value.hint and "\n" not in caught.value.message
    assert not list((tmp_path / "edgekit").rglob("*.so"))


def test_a_damaged_library_in_the_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = "x86_64" if build.native_arch("native") == "aarch64" else "aarch64"
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    damaged = tmp_path / "runtimes" / f"litert-{litert_version()}-{foreign}" / library.FILE
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"not a library")
    try:
        assert digest(library.get(foreign)) == library.facts(foreign)["sha256"]
    except ToolMissing as error:
        if "cannot fetch" not in error.message:
            raise


def test_a_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as caught:
        build.get("aarch64" if build.native_arch("native") != "aarch64" else "aarch64_be")
    assert "gcc-aarch64-linux-gnu" in caught.value.hint or "toolchain" in caught.value.message


def test_an_artifact_is_complete(tmp_path: Path) -> None:
    needs_compiler("native")
    graph = Graph([Subgraph("main", [Tensor("x", (1,), "float32")], [], (0,), (0,))])
    artifact = LiteRT().build(LiteRT().plan(graph, target.load("host")), Request(tmp_path / "model.tflite", tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edgekit-run", "libLiteRt.so", "run.py"]
    assert (tmp_path / "edgekit-run").stat().st_mode & 0o111
    assert artifact.runtime == f"litert {litert_version()}"


def graph_with(*ops: Operator, dtype: str = "float32") -> Graph:
    return Graph([Subgraph("main", [Tensor("x", (1,), dtype)], list(ops), (0,), (0,))])


def test_operators_without_a_kernel_are_refused_up_front() -> None:
    graph = graph_with(
        Operator("ADD", (0, 0), (0,)),
        Operator("SignalWindow", (0,), (0,), custom=True),
        Operator("FlexErf", (0,), (0,), custom=True),
        Operator("TFLite_Detection_PostProcess", (0,), (0,), custom=True),
        Operator("STABLEHLO_SORT", (0,), (0,)),
    )
    refused = unsupported(LiteRT(), graph, target.load("host"))
    assert [(r.index, r.operator) for r in refused] == [(1, "SignalWindow"), (2, "FlexErf"), (4, "STABLEHLO_SORT")]
    assert all(r.reason and r.remedy for r in refused)
    assert "SELECT_TF_OPS" in refused[1].remedy


def test_strings_are_refused() -> None:
    assert [r.operator for r in operators.unsupported(graph_with(dtype="string"))] == ["input", "output"]


_ASK = """
import flatbuffers
from ai_edge_litert import schema_py_generated as s
from ai_edge_litert.interpreter import Interpreter, OpResolverType

def model(code, custom, version):
    m, c, t, g, o = s.ModelT(), s.OperatorCodeT(), s.TensorT(), s.SubGraphT(), s.OperatorT()
    c.builtinCode, c.deprecatedBuiltinCode, c.version, c.customCode = code, min(code, 127), version, custom
    t.shape, t.type, t.buffer, t.name = [1], 0, 0, "x"
    o.opcodeIndex, o.inputs, o.outputs, o.customOptions = 0, [0], [0], b""
    g.tensors, g.inputs, g.outputs, g.operators = [t], [0], [0], [o]
    m.version, m.operatorCodes, m.subgraphs, m.buffers = 3, [c], [g], [s.BufferT()]
    b = flatbuffers.Builder(1024)
    b.Finish(m.Pack(b), b"TFL3")
    return bytes(b.Output())

for name, code in sorted(vars(s.BuiltinOperator).items()):
    if name.startswith("_") or name == "CUSTOM":
        continue
    errors = []
    for version in (1, 2):
        try:
            Interpreter(model_content=model(code, None, version), experimental_op_resolver_type=OpResolverType.AUTO)
        except (ValueError, RuntimeError) as error:
            errors.append("find op" in str(error))
    if len(errors) == 2 and all(errors):
        print("builtin", name)
for name in ("TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram", "NumericVerify"):
    try:
        Interpreter(model_content=model(s.BuiltinOperator.CUSTOM, name, 1)).allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if "unresolved custom op" in str(error):
            print("custom", name)
print("done")
"""


def test_the_tables_say_what_litert_says() -> None:
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=False)
    lines = done.stdout.split("\n")
    assert "done" in lines, done.stderr[-500:]
    assert {line.split()[1] for line in lines if line.startswith("builtin")} == operators.WITHOUT_KERNEL
    assert not [line for line in lines if line.startswith("custom")]
