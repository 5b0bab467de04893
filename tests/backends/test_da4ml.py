"""Small networks as unrolled Verilog: proven by simulation, refused where they cannot be, harmless when damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgekit.api import origin
from edgekit.backends.da4ml import ENVIRONMENT, Da4ml
from edgekit.bundle import load as load_bundle
from edgekit.bundle import writing
from edgekit.errors import DeviceError, ToolMissing
from edgekit.graph import tflite
from edgekit.runners import get as get_runner
from edgekit.runners import once
from edgekit.target import load
from edgekit.tools import toolchain
from tests.e2e.command import edgekit, refused
from tests.networks.logic import classifier
from tests.networks.small import dense

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the classifier, its softmax left to the host."""
    try:
        ENVIRONMENT.ensure()
    except ToolMissing as error:
        pytest.skip(error.message)
    folder = tmp_path_factory.mktemp("logic")
    tflite.write(classifier(), folder / "net.tflite")
    done = edgekit("compile", folder / "net.tflite", "--target", "da4ml", "--split", "-o", folder)
    assert done.code == 0, done.err
    assert "ok on verilator: outputs within 0 LSB" in done.out
    return folder / "net.as-is.da4ml"


def test_a_network_in_logic_is_proven_bit_for_bit(built: Path) -> None:
    bundle = load_bundle(built)
    rng = np.random.default_rng(0)
    fed = [rng.integers(-128, 128, (200, *t.shape), dtype=np.int8) for t in bundle.graph.inputs]
    made, expected = (once(get_runner(name), bundle, fed) for name in ("verilator", "null"))
    assert all(np.array_equal(a, b) for a, b in zip(made.outputs, expected.outputs, strict=True))
    assert len(np.unique(made.outputs[0])) > 20
    assert made.trace.counts["interval"] == 1
    done = edgekit("verify", built)
    assert done.code == 0 and "on verilator: outputs within 0 LSB" in done.out
    assert "every file of artifact/ is what da4ml writes for this network" in done.out


def test_the_profile_counts_stages_and_says_what_it_cannot_know(built: Path) -> None:
    document = json.loads((built / "artifact" / "logic.json").read_text())
    done = edgekit("profile", built, "--on", "emulator", "--json")
    profile = json.loads(done.out)
    assert profile["cycles"] == document["stages"] + 1
    assert profile["latency_ms"]["value"] == pytest.approx(profile["cycles"] / 200e6 * 1e3)
    assert "as simulated" in profile["basis"] and "assumed" in profile["basis"]
    estimate = json.loads(edgekit("profile", built, "--on", "estimate", "--json").out)["latency_ms"]
    assert estimate["low"] <= profile["latency_ms"]["value"] <= estimate["high"]


def test_verilog_is_the_same_every_time(built: Path, tmp_path: Path) -> None:
    done = edgekit("compile", built / "model.tflite", "--target", "da4ml", "--split", "-o", tmp_path)
    assert done.code == 0, done.err
    (again,) = tmp_path.iterdir()
    for path in sorted((built / "artifact").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(built)).read_bytes(), path.name


@pytest.mark.parametrize("cores", [1, 5])
def test_verilog_does_not_depend_on_the_number_of_cores(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert origin.difference(load_bundle(built), Da4ml(split=True)) == ""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("edgekit_network.v", "endmodule", "`ifdef SYNTHESIS\nassign y = 0;\n`endif\nendmodule"),
        ("network.v", "module ", "(* keep_hierarchy *) module "),
        ("more.v", "", "module more; endmodule\n"),
    ],
)
def test_what_the_vendors_tools_read_is_what_da4ml_writes(
    built: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(built, folder)
    path = folder / "artifact" / "rtl" / name
    text = path.read_text() if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new, 1))
    manifest = {k: v for k, v in load_bundle(folder).manifest.items() if k not in ("schema", "files")}
    (folder / "manifest.json").unlink()
    writing.finish(folder, manifest)
    refused(edgekit("verify", folder), 5, f"origin: artifact/rtl/{name} ", "compile its model.tflite again")


def test_what_has_no_circuit_is_refused_unless_it_is_left_to_the_host(built: Path, tmp_path: Path) -> None:
    done = edgekit("compile", built / "model.tflite", "--target", "da4ml", "-o", tmp_path / "out")
    refused(done, 3, "SOFTMAX: there is no circuit for it", "add --split")
    assert not (tmp_path / "out").exists()


def test_float_networks_and_large_ones_become_no_logic(tmp_path: Path) -> None:
    board, rng = load("da4ml"), np.random.default_rng(0)
    small = dense(rng.normal(size=(4, 4)).astype(np.float32), np.zeros(4, np.float32))
    large = dense(rng.normal(size=(200, 200)).astype(np.float32), np.zeros(200, np.float32))
    for graph, reason, remedy in (
        (small, "it computes with float32", "--recipe int8"),
        (large, "the network has 40,000 multiplications", "--target ecp5-85f"),
    ):
        plan = Da4ml().plan(graph, board)
        assert isinstance(plan, list) and reason in plan[0].reason and remedy in plan[0].remedy


def test_split_is_for_fpgas(built: Path, tmp_path: Path) -> None:
    done = edgekit("compile", built / "model.tflite", "--target", "rpi4", "--split", "-o", tmp_path / "out")
    refused(done, 2, "--split is for FPGAs", "omit it")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("logic.json", "{", "is damaged"),
        ("logic.json", '{"schema": 1, "stages": 100000}', "is damaged"),
        ("rtl/network.v", "module network; endmodule", "Verilog is damaged"),
        ("rtl/network.v", None, "Verilog is damaged"),
        ("host/after.c", "int main;", "is not the C of its operators"),
    ],
)
def test_damaged_logic_is_refused(built: Path, tmp_path: Path, name: str, text: str | None, message: str) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(built, folder)
    path = folder / "artifact" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    bundle = load_bundle(built)
    bundle = type(bundle)(folder, bundle.manifest)
    fed = [np.zeros((1, *t.shape), np.int8) for t in bundle.graph.inputs]
    with pytest.raises(DeviceError, match=message):
        once(get_runner("verilator"), bundle, fed)


def test_verilog_of_a_stranger_reads_nothing_and_runs_nothing_outside(built: Path, tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "bundle"
    secret.write_text("42")
    shutil.copytree(built, folder)
    top = folder / "artifact" / "rtl" / "edgekit_network.v"
    spy = f'initial begin $system("touch {tmp_path}/ran"); $system("cp {secret} {tmp_path}/copied"); end\nendmodule'
    top.write_text(top.read_text().replace("endmodule", spy))
    bundle = load_bundle(built)
    bundle = type(bundle)(folder, bundle.manifest)
    fed = [np.zeros((1, *t.shape), np.int8) for t in bundle.graph.inputs]
    with pytest.raises(DeviceError):  # or it runs, and nothing is there
        once(get_runner("verilator"), bundle, fed)
        raise DeviceError("it ran")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "secret"]
