"""The Android backend: the app's project fits the model, the native program needs no library, and both are honest."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edgekit import bundle, target
from edgekit.api.compile import compile
from edgekit.backends import planned
from edgekit.backends.android import native, project
from edgekit.backends.tvm import TVM
from edgekit.bundle.execution import runner_command
from edgekit.graph import Graph, Quantization, tflite
from tests.e2e.command import edgekit
from tests.networks.small import Builder, classifier, digits, unary

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "firmware_stubs" / "android"
PHONES = [name for name in target.names() if "android" in target.load(name).backends]
pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("android")
    tflite.write(classifier(folder, training=500), folder / "model.tflite")
    x, y = digits(60)
    np.savez(folder / "digits.npz", x=x, y=y)
    options = {"targets": ["android-arm64"], "recipe": "int8", "data": str(folder / "digits.npz"), "out": folder}
    return bundle.load(compile(folder / "model.tflite", **options)[0].path)  # type: ignore[arg-type]


def test_the_program_is_static_and_proven(made: bundle.Bundle) -> None:
    program = made.artifact / "edgekit-run"
    kind = subprocess.run(["readelf", "-lh", program], capture_output=True, text=True, check=True).stdout
    assert "AArch64" in kind and "INTERP" not in kind and "DYNAMIC" not in kind
    assert made.manifest["parity"]["ok"] and made.manifest["parity"]["on"] == "emulator"
    assert made.manifest["run"] == list(runner_command("", model=False))
    assert {a["name"] for a in made.manifest["delegates"]} == {"xnnpack", "gpu", "nnapi"}


def test_the_same_inputs_give_the_same_program(made: bundle.Bundle, tmp_path: Path) -> None:
    native.program(planned(TVM(), made.graph, made.target), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (made.artifact / "edgekit-run").read_bytes()


def test_the_app_has_the_model_and_a_golden_sample(made: bundle.Bundle) -> None:
    assets = made.artifact / project.FOLDER / project.ASSETS
    assert (assets / "model.tflite").read_bytes() == made.model.read_bytes()
    inputs, outputs = made.golden()
    assert (assets / "input.bin").read_bytes() == inputs[0][0].tobytes()
    assert (assets / "output.bin").read_bytes() == outputs[0][0].tobytes()


def test_the_apps_tensors_are_the_models(made: bundle.Bundle) -> None:
    text = (made.artifact / project.FOLDER / project.TENSORS).read_text()
    rows = re.findall(
        r'Tensor\("([^"]*)", "(\w+)", intArrayOf\(([\d, ]*)\), (\d+), (\d+), ([\d.e-]+)f, (-?\d+)\)', text
    )
    tensors = [*made.graph.inputs, *made.graph.outputs]
    assert len(rows) == len(tensors)
    for (name, dtype, shape, size, elements, scale, zero), tensor in zip(rows, tensors, strict=True):
        assert (name, dtype) == (tensor.name, tensor.dtype)
        assert tuple(map(int, shape.split(", "))) == tensor.shape
        assert (int(size), int(elements)) == (tensor.nbytes, tensor.elements)
        assert tensor.quantization is not None
        assert float(scale) == float(tensor.quantization.scale[0]) and int(zero) == tensor.quantization.zero_point[0]


def test_the_projects_files_agree_with_each_other(made: bundle.Bundle) -> None:
    app = made.artifact / project.FOLDER
    gradle = (app / "app/build.gradle.kts").read_text()
    namespace = re.search(r'namespace = "([\w.]+)"', gradle).group(1)  # type: ignore[union-attr]
    sources = sorted((app / "app/src/main/java" / namespace.replace(".", "/")).glob("*.kt"))
    assert {path.name for path in sources} == {"MainActivity.kt", "Network.kt", "Tensors.kt"}
    texts = {path.name: path.read_text() for path in sources}
    assert all(text.startswith(f"package {namespace}\n") for text in texts.values())
    assert all(text.count("{") == text.count("}") and text.count("(") == text.count(")") for text in texts.values())
    manifest = ElementTree.parse(app / "app/src/main/AndroidManifest.xml").getroot()
    name = "{http://schemas.android.com/apk/res/android}name"
    assert [a.get(name) for a in manifest.iter("activity")] == [".MainActivity"]
    assert "class MainActivity" in texts["MainActivity.kt"]
    used = set(re.findall(r"Tensors\.([A-Z]+)", texts["Network.kt"]))
    assert used and all(re.search(rf"va[lr] {field} =", texts["Tensors.kt"]) for field in used)
    opened = set(re.findall(r'"(\w+\.bin)"', texts["Network.kt"])) | {"model.tflite"}
    assert opened == {path.name for path in (app / project.ASSETS).iterdir()}
    versions = set(re.findall(r"com\.google\.ai\.edge\.litert:[\w-]+:([\d.]+)", gradle))
    assert len(versions) == 1
    for plugin in re.findall(r'id\("([\w.]+)"\)', gradle):
        assert f'id("{plugin}") version' in (app / "build.gradle.kts").read_text()
    assert 'include(":app")' in (app / "settings.gradle.kts").read_text()
    assert (int(re.search(r"minSdk = (\d+)", gradle).group(1))) >= 26  # type: ignore[union-attr]


def test_names_of_tensors_cannot_break_the_source() -> None:
    b = Builder()
    x = b.tensor((1, 2), name='a"; System.exit(0) //${x}\n\\')
    text = project.tensors_kt(b.graph((x,), (b.add("RELU", (x,), (1, 2)),)))
    row = next(line for line in text.splitlines() if "System.exit" in line)
    assert row.count('"') == 4 and "$" not in row and "\\" not in row


def hybrid() -> Graph:
    """Float data by int8 weights: LiteRT rounds the data as it runs, which TVM's kernels do not."""
    b = Builder()
    x = b.tensor((3, 16), name="x")
    weights = np.random.default_rng(3).integers(-127, 128, (6, 16)).astype(np.int8)
    w = b.constant(weights, quantization=Quantization(np.array([0.01], np.float32), np.array([0])))
    return b.graph((x,), (b.add("FULLY_CONNECTED", (x, w), (3, 6), options="FullyConnected"),))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (
            unary("LOCAL_RESPONSE_NORMALIZATION", (1, 4, 4, 8), options="LocalResponseNormalization"),
            "operator 0 LOCAL_RESPONSE_NORMALIZATION: edgekit's TVM backend has no kernel",
        ),
        (hybrid(), "operator 0 FULLY_CONNECTED: it quantizes its float input as it runs"),
    ],
    ids=["unknown", "hybrid"],
)
def test_without_a_kernel_there_is_the_app_and_a_warning(network: Graph, words: str, tmp_path: Path) -> None:
    tflite.write(network, tmp_path / "net.tflite")
    done = edgekit("compile", "net.tflite", "-t", "android-arm64", "--json", cwd=tmp_path)
    found = bundle.load(tmp_path / done.json["bundles"][0]["path"])
    (line,) = [line for line in done.err.splitlines() if "no native program" in line]
    assert words in line
    assert found.manifest["run"] == [] and found.manifest["parity"]["on"] == "host"
    assert not (found.artifact / "edgekit-run").exists() and (found.artifact / "app").is_dir()
    assert "adb push" not in (found.path / "README.md").read_text()


def test_advice_in_words_and_json(made: bundle.Bundle) -> None:
    words = edgekit("inspect", made.path, "--target", "pixel-3").out
    assert "pixel-3, gpu" in words and "100 % of the MACs" in words and "float16" in words
    document = edgekit("inspect", made.path, "--target", "pixel-3", "--json").json
    (only,) = document["targets"]
    assert [d["name"] for d in only["delegates"]] == ["xnnpack", "gpu", "nnapi"]
    assert all(len(d["operators"]) == len(made.graph.operators) for d in only["delegates"])
    assert all(t["delegates"] == [] for t in edgekit("inspect", made.path, "--json").json["targets"])


@pytest.mark.parametrize("name", PHONES)
def test_phones_are_complete(name: str) -> None:
    phone = target.load(name)
    assert phone.arch == "aarch64" and {"emulator", "adb"} <= set(phone.runners) and phone.backends[0] == "android"
    assert list(phone.delegates) == ["xnnpack", "gpu", "nnapi"]
    assert 0 < phone.power.idle_w < phone.power.one_core_w < phone.power.all_cores_w
    assert phone.memory.sustained_gbps < phone.memory.bandwidth_gbps
    levels = [level for level in (phone.cache.l1d, phone.cache.l2, phone.cache.l3) if level is not None]
    assert [c.latency_cycles for c in levels] == sorted(c.latency_cycles for c in levels)
    assert all(c.kib * 1024 % (c.ways * c.line_bytes) == 0 for c in levels)
    # No program for this core may hold instructions that it lacks.
    assert ("asimddp" in phone.processor.features) == ("dotprod" in phone.cycles.llvm_features)


def test_the_sample_is_in_the_wheel() -> None:
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "firmware_stubs" in included["force-include"] and (SAMPLE / "settings.gradle.kts").is_file()
