"""Every verb through the command line, on a real network: JSON for machines, tables for people."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgekit import plugins, target
from edgekit.bundle import writing
from edgekit.passes import recipe
from edgekit.target.kinds import BoardKind
from tests.e2e.command import edgekit, refused

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of the keyword spotter for a Pi 4, a Pi 5 and this host, and the JSON that compiling printed."""
    model = Path(__file__).parents[3] / "shared" / "models" / "mlperf_tiny" / "kws_int8.tflite"
    if not model.is_file():
        pytest.skip("the shared models are not there")
    out = tmp_path_factory.mktemp("build")
    targets = ["--target", "rpi4", "--target", "rpi5", "--target", "host"]
    result = edgekit("compile", model, *targets, "--out", out, "--json", "--zip")
    (out / "compile.json").write_text(json.dumps(result.json))
    return out


def test_compile(bundles: Path) -> None:
    document = json.loads((bundles / "compile.json").read_text())
    assert document["schema"] == 1
    assert [b["target"] for b in document["bundles"]] == ["rpi4", "rpi5", "host"]
    for made in document["bundles"]:
        assert made["parity"]["ok"]
        assert made["parity"]["samples"] >= 2
        assert made["accuracy"] is None
        names = {file["path"] for file in made["artifact"]["files"]}
        assert {"model.tflite", "artifact/edgekit-run", "artifact/libLiteRt.so", "artifact/run.py"} <= names
        assert Path(made["path"]).is_dir()
        assert Path(made["path"] + ".edgekit").is_file()
    assert document["bundles"][0]["parity"]["on"] == "emulator"
    assert not [p for p in bundles.iterdir() if p.name.startswith(".")]


def test_compiling_again_gives_the_same_bytes(bundles: Path, tmp_path: Path, models: Path) -> None:
    edgekit("compile", models / "mlperf_tiny" / "kws_int8.tflite", "-t", "rpi4", "-o", tmp_path, "--zip")
    name = "kws_int8.as-is.rpi4.edgekit"
    assert (tmp_path / name).read_bytes() == (bundles / name).read_bytes()


def test_verify(bundles: Path) -> None:
    document = edgekit("verify", bundles / "kws_int8.as-is.rpi4", "--json").json
    assert document["ok"]
    assert [check["name"] for check in document["checks"]] == ["files", "model", "golden", "system", "parity"]
    assert document["parity"]["on"] == "emulator"


def test_verify_a_packed_bundle_on_the_host(bundles: Path) -> None:
    assert edgekit("verify", bundles / "kws_int8.as-is.rpi5.edgekit", "--on", "host", "--json").json["ok"]


def test_verify_sees_a_changed_network(bundles: Path, tmp_path: Path) -> None:
    """Swap the golden outputs of two samples and mend the manifest's checksum: only running it can tell."""
    import shutil

    from edgekit import bundle

    copy = tmp_path / "copy"
    shutil.copytree(bundles / "kws_int8.as-is.host", copy)
    found = bundle.load(copy)
    inputs, outputs = found.golden()
    writing.save_golden(copy, inputs, [outputs[0][::-1]])
    refused(edgekit("verify", copy, "-q"), 5, "golden.npz has changed")
    manifest = {k: v for k, v in found.manifest.items() if k not in ("files", "schema")}
    (copy / "manifest.json").unlink()
    writing.finish(copy, manifest)
    refused(edgekit("verify", copy, "-q"), 5, "reference")


def test_run(bundles: Path, tmp_path: Path) -> None:
    data = tmp_path / "x.npz"
    x = np.random.default_rng(0).random((3, 49, 10, 1), np.float32)
    np.savez(data, x=x, y=np.array([1, 2, 3]))
    saved = tmp_path / "out.npz"
    host = edgekit(
        "run", bundles / "kws_int8.as-is.host", "--data", data, "--save", saved, "--repeat", "3", "--json"
    ).json
    assert host["samples"] == 3
    assert host["latency_ms"] > 0
    assert len(host["top1"]) == 3
    assert host["accuracy"] is not None
    with np.load(saved) as outputs:
        assert outputs["output0"].shape == (3, 1, 12)
    emulated = edgekit("run", bundles / "kws_int8.as-is.rpi4", "--data", data, "--json").json
    assert emulated["on"] == "emulator"
    assert emulated["latency_ms"] is None
    assert emulated["top1"] == host["top1"]


@pytest.mark.parametrize(
    ("board", "where", "source"),
    [("rpi4", "estimate", "estimate"), ("rpi5", "emulator", "emulator"), ("host", "host", "device")],
)
def test_profile(bundles: Path, board: str, where: str, source: str) -> None:
    document = edgekit("profile", bundles / f"kws_int8.as-is.{board}", "--on", where, "--json").json
    assert document["target"] == board
    assert document["source"] == source
    assert document["conditions"]["dtype"] == "int8"
    for name in ("latency_ms", "energy_mj", "power_w"):
        figure = document[name]
        assert 0 < figure["low"] <= figure["value"] <= figure["high"], name
    assert document["energy_mj"]["scope"] in ("wall", "board_supply", "core_rail", "accelerator")
    assert document["memory"]["weights_bytes"] > 0
    rows = document["operators"]
    assert sum(row["latency_ms"] for row in rows) == pytest.approx(document["latency_ms"]["value"], rel=0.02)
    assert sum(row["macs"] for row in rows) == 2_656_768
    if where == "emulator":
        assert sum(row["instructions"] for row in rows) == pytest.approx(document["instructions"], rel=0.02)


def test_a_boards_bundle_measured_on_the_host_is_the_hosts_profile(bundles: Path) -> None:
    document = edgekit("profile", bundles / "kws_int8.as-is.rpi5", "--on", "host", "--json").json
    assert document["target"] == "host"
    assert document["energy_mj"]["scope"] == "core_rail"
    title = edgekit("profile", bundles / "kws_int8.as-is.rpi5", "--on", "host").out.partition("┏")[0]
    assert "median_ms" in title and not re.search(r"\d{9}", title), title


def test_counts_are_exact_and_the_pi_5_needs_fewer(bundles: Path) -> None:
    """Three runs count the same instructions; dot products make an int8 network cheaper on a Pi 5."""

    def count(board: str) -> int:
        return int(
            edgekit("profile", bundles / f"kws_int8.as-is.{board}", "--on", "emulator", "--json").json["instructions"]
        )

    assert len({count("rpi4") for _ in range(3)}) == 1
    assert count("rpi5") < 0.7 * count("rpi4")


def test_profile_plot(bundles: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    result = edgekit("profile", bundles / "kws_int8.as-is.rpi4", "--plot", plot)
    assert result.code == 0
    assert "DEPTHWISE_CONV_2D" in plot.read_text()
    assert "latency" in result.out


def test_compare(bundles: Path) -> None:
    paths = [bundles / f"kws_int8.as-is.{board}" for board in ("rpi4", "rpi5")]
    document = edgekit("compare", *paths, "--json").json
    assert document["fastest"] == 1
    assert [row["target"] for row in document["rows"]] == ["rpi4", "rpi5"]
    assert "fastest" in edgekit("compare", *paths).out


def test_inspect(models: Path) -> None:
    document = edgekit("inspect", models / "tflite_micro" / "person_detect.tflite", "--json").json
    assert document["macs"] == 7_157_888
    assert document["inputs"][0]["shape"] == [1, 96, 96, 1]
    assert document["notes"]
    assert {t["name"] for t in document["targets"]} >= {"host", "rpi4", "rpi5", "jetson-orin-nano-cpu"}
    boards = {t["name"]: t["ok"] for t in document["targets"]}
    assert all(boards[name] for name in ("host", "rpi4", "rpi5", "jetson-orin-nano-cpu"))
    assert not boards["mali-g610"]  # integers are not for GPUs
    where = (models / "mlperf_tiny" / "ic_resnet8_fp32.tflite", "--target", "coral-edgetpu")
    missing = edgekit("inspect", *where, "--json").json["targets"][0]["unsupported"]
    said = edgekit("inspect", *where).out
    assert f"{len(missing)} not supported" in said and f"and {len(missing) - 5} more; --json lists them all" in said


def test_targets() -> None:
    document = edgekit("targets", "--json").json
    boards = {t["name"]: t for t in document["targets"]}
    assert boards["rpi4"]["runners"][:2] == ["emulator", "ssh"]
    assert "rpi5" in edgekit("targets").out


def test_targets_are_grouped_by_kind() -> None:
    out = edgekit("targets").out
    headings = [line.strip() for line in out.splitlines() if line.strip() and line[0].isalpha()]
    families = ["Linux boards", "GPUs", "Phones", "Accelerators", "Microcontrollers", "NPUs of microcontrollers",
                "FPGAs", "Logic made for one network", "FPGAs by high-level synthesis"]  # fmt: skip
    assert headings == families
    assert len(headings) == len(BoardKind)
    assert all(name in out for name in target.names())


def test_recipes() -> None:
    listed = {r["name"]: r for r in edgekit("recipes", "--json").json["recipes"]}
    assert list(listed) == recipe.names()
    assert listed["qat"]["trains"] and listed["qat"]["needs_data"] and "qat" in listed["qat"]["passes"]
    assert listed["sparse-trained"]["trains"] and not listed["int8"]["trains"]
    assert listed["as-is"] == {"name": "as-is", "description": listed["as-is"]["description"], "needs_data": False,
                               "trains": False, "passes": []}  # fmt: skip
    assert all(name in edgekit("recipes").out for name in listed)


def test_help_names_every_recipe_and_backend() -> None:
    text = " ".join(edgekit("compile", "--help").out.replace("-\n", "-").split())
    words = text.replace("low- rank", "low-rank")
    assert all(name in words for name in (*recipe.names(), *plugins.names("backends")))


def test_profile_a_bare_model(models: Path) -> None:
    model = models / "mlperf_tiny" / "ic_resnet8_fp32.tflite"
    document = edgekit("profile", model, "--target", "rpi4", "--json").json
    assert document["source"] == "estimate"
    refused(edgekit("profile", model), 2, "--target")
    refused(edgekit("profile", model, "--target", "rpi4", "--on", "emulator"), 2, "edgekit compile")


def test_float_network_with_data_and_labels(tmp_path: Path) -> None:
    """Accuracy before and after, and the quantization figures, on digits that were really drawn."""
    from edgekit.graph import tflite
    from tests.networks.small import classifier, digits

    tflite.write(classifier(tmp_path), tmp_path / "digits.tflite")
    x, y = digits(400, seed=7)
    np.savez(tmp_path / "digits.npz", x=x, y=y)
    options = ["--recipe", "int8", "--data", tmp_path / "digits.npz", "--out", tmp_path, "--json"]
    made = edgekit("compile", tmp_path / "digits.tflite", "-t", "rpi5", *options).json["bundles"][0]
    assert made["recipe"] == "int8"
    assert made["accuracy"]["samples"] == 400
    assert made["accuracy"]["float"] > 0.85
    assert made["accuracy"]["compiled"] > made["accuracy"]["float"] - 0.02
    tensors = made["quantization"]["tensors"]
    assert any(t["sqnr_db"] is not None and t["sqnr_db"] > 20 for t in tensors)
    assert made["quantization"]["outputs"][0]["cosine_similarity"] > 0.98
