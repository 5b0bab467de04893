"""Networks as hls4ml projects: proven by C simulation, refused where they cannot be, harmless when damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.backends.hls4ml import ENVIRONMENT, Hls4ml
from edgekit.bundle import Bundle, writing
from edgekit.bundle import load as load_bundle
from edgekit.bundle.execution import Execution, Kind
from edgekit.errors import DeviceError, ToolMissing
from edgekit.graph import tflite
from edgekit.runners import get as get_runner
from edgekit.runners import once
from edgekit.target import load
from edgekit.tools import toolchain
from tests.backends.overlay_networks import OPERATORS, Integers
from tests.e2e.command import edgekit, refused
from tests.networks.hls import streamed
from tests.networks.small import MODELS, dense

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not toolchain.load("host-cxx").found(), reason="there is no C++ compiler"),
]
PROJECT = Path("artifact", "hls")
WEIGHTS = PROJECT / "firmware" / "weights"


@pytest.fixture(scope="module")
def installed() -> None:
    try:
        ENVIRONMENT.ensure()
    except ToolMissing as error:
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def built(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the network, its softmax left to the host."""
    folder = tmp_path_factory.mktemp("hls")
    tflite.write(streamed(), folder / "net.tflite")
    done = edgekit("compile", folder / "net.tflite", "--target", "zynq-hls4ml", "--split", "-o", folder)
    assert done.code == 0, done.err
    assert "ok on csim: outputs within 0 LSB" in done.out
    return folder / "net.as-is.zynq-hls4ml"


def copied(built: Path, folder: Path) -> Path:
    shutil.copytree(built, folder)
    return folder


def signed(folder: Path, **changed: Any) -> None:
    """Write the manifest of a bundle whose files were changed, as whoever changed them would."""
    manifest = {k: v for k, v in load_bundle(folder).manifest.items() if k not in ("schema", "files")}
    (folder / "manifest.json").unlink()
    writing.finish(folder, manifest | changed)


def ran(folder: Path, built: Path, samples: int = 1) -> bool:
    """Run a damaged bundle, whose manifest is that of the sound one; True if the outputs are the reference's."""
    bundle = Bundle(folder, load_bundle(built).manifest)
    rng = np.random.default_rng(0)
    fed = [rng.integers(-128, 128, (samples, *t.shape), dtype=np.int8) for t in bundle.graph.inputs]
    made, expected = (
        once(get_runner(name), one, fed) for name, one in (("csim", bundle), ("null", load_bundle(built)))
    )
    return all(np.array_equal(a, b) for a, b in zip(made.outputs, expected.outputs, strict=True))


def test_a_project_is_proven_bit_for_bit(built: Path) -> None:
    assert ran(built, built, samples=200)
    done = edgekit("verify", built)
    assert done.code == 0 and "on csim: outputs within 0 LSB" in done.out
    assert "every file of artifact/ is what hls4ml writes for this network" in done.out


def test_the_readme_says_how_to_synthesize_and_what_to_do_before(built: Path) -> None:
    text = (built / "README.md").read_text()
    assert "vitis-run --mode hls --tcl build_prj.tcl" in text and "edgekit verify FOLDER" in text


def test_the_profile_says_what_it_cannot_know(built: Path) -> None:
    document = json.loads((built / "artifact" / "hls.json").read_text())
    profile = json.loads(edgekit("profile", built, "--on", "emulator", "--json").out)
    assert profile["cycles"] == document["latency"] > document["interval"]
    assert profile["latency_ms"]["value"] == pytest.approx(profile["cycles"] / 100e6 * 1e3)
    assert "nothing was synthesized" in profile["basis"] and "assumed" in profile["basis"]
    assert "1 operators on the host are not in it" in profile["basis"]
    assert "SOFTMAX" not in {row["op"] for row in profile["operators"]}
    estimate = json.loads(edgekit("profile", built, "--on", "estimate", "--json").out)["latency_ms"]
    assert estimate["low"] <= profile["latency_ms"]["value"] <= estimate["high"]


def test_the_project_names_the_device_and_is_the_same_every_time(built: Path, tmp_path: Path) -> None:
    script = (built / PROJECT / "project.tcl").read_text()
    assert 'set part "xc7z020-clg400-1"' in script and 'set backend "vitis"' in script
    done = edgekit("compile", built / "model.tflite", "--target", "zynq-hls4ml", "--split", "-o", tmp_path)
    assert done.code == 0, done.err
    (again,) = tmp_path.iterdir()
    for path in sorted((built / "artifact").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(built)).read_bytes(), path.name


@pytest.mark.slow
def test_fewer_multipliers_are_used_more_often(built: Path, tmp_path: Path) -> None:
    arguments = ("--target", "zynq-hls4ml", "--split", "--set", "hls4ml.multipliers=8", "-o", tmp_path)
    done = edgekit("compile", built / "model.tflite", *arguments)
    assert done.code == 0, done.err
    assert "ok on csim: outputs within 0 LSB" in done.out
    (again,) = tmp_path.iterdir()
    few, many = (json.loads((one / "artifact" / "hls.json").read_text()) for one in (again, built))
    assert few["multipliers"] < many["multipliers"] and few["interval"] > many["interval"]
    text = (again / PROJECT / "firmware" / "parameters.h").read_text()
    assert max(map(int, re.findall(r"reuse_factor = (\d+)", text))) > 16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv", "depthwise", "dense", "pair", "pool", "mean", "table"])
def test_random_operators_side_by_side(installed: None, tmp_path: Path, name: str) -> None:
    drawn = Integers(7)
    for _ in range(6):
        drawn.pool(side_by_side=True) if name == "pool" else OPERATORS[name](drawn)
    tflite.write(drawn.whole(), tmp_path / "net.tflite")
    done = edgekit("compile", tmp_path / "net.tflite", "--target", "zynq-hls4ml", "--split", "-o", tmp_path)
    assert done.code == 0, done.err
    assert "ok on csim: outputs within 0 LSB" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hello_world", "kws", "ad01", "ic_resnet8"])
def test_shared_networks_are_proven_bit_for_bit(installed: None, tmp_path: Path, name: str) -> None:
    if not MODELS.is_dir():
        pytest.skip("no ../shared/models")
    (model,) = MODELS.glob(f"*/{name}_int8.tflite")
    done = edgekit("compile", model, "--target", "zynq-hls4ml", "--split", "-o", tmp_path)
    assert done.code == 0, done.err
    assert "ok on csim: outputs within 0 LSB" in done.out


def test_what_has_no_layer_is_refused_unless_it_is_left_to_the_host(built: Path, tmp_path: Path) -> None:
    done = edgekit("compile", built / "model.tflite", "--target", "zynq-hls4ml", "-o", tmp_path / "out")
    refused(done, 3, "SOFTMAX: there is no layer for it", "add --split")
    assert not (tmp_path / "out").exists()


def test_unknown_options_are_refused(built: Path, tmp_path: Path) -> None:
    for option, message in (("reuse=4", "no such option"), ("multipliers=0", "not a number from 1 to 100,000")):
        done = edgekit(
            "compile", built / "model.tflite", "--target", "zynq-hls4ml", "--set", f"hls4ml.{option}", "-o", tmp_path
        )
        refused(done, 2, message)


def test_float_networks_become_no_project() -> None:
    rng = np.random.default_rng(0)
    plan = Hls4ml().plan(
        dense(rng.normal(size=(4, 4)).astype(np.float32), np.zeros(4, np.float32)), load("zynq-hls4ml")
    )
    assert isinstance(plan, list) and "float32" in plan[0].reason and "--recipe int8" in plan[0].remedy


def test_forms_without_a_layer_are_named() -> None:
    b = Integers(3)
    x = b.fed(1, 6, 6, 2)
    b.made(
        "MAX_POOL_2D", (x,), (1, 3, 3, 2), b.tensors[x].quantization, options="Pool2D", filterHeight=3, filterWidth=3,
        strideH=2, strideW=2, padding=0,
    )  # fmt: skip
    plan = Hls4ml().plan(b.whole(), load("zynq-hls4ml"))
    assert isinstance(plan, list) and "do not lie side by side" in plan[0].reason


@pytest.mark.slow
def test_a_changed_weight_is_found(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "bundle")
    text = (folder / WEIGHTS / "w3.txt").read_text()
    first, _, rest = text.partition(",")
    other = f"{int(first) - 1 if int(first) > 0 else int(first) + 1},{rest}"
    (folder / WEIGHTS / "w3.txt").write_text(other)
    with pytest.raises(DeviceError, match="not the weights of the header beside it"):
        ran(folder, built)
    header = folder / WEIGHTS / "w3.h"
    header.write_text(header.read_text().replace(text, other))
    assert not ran(folder, built)


def _replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(project: Path) -> None:
        text = (project / name).read_text()
        assert old in text
        (project / name).write_text(text.replace(old, new, 1))

    return plant


def _added(name: str, text: str) -> Callable[[Path], None]:
    return lambda project: (project / name).write_text(text) and None


SYNTHESIS_ONLY = _replaced(
    "firmware/nnet_utils/nnet_dense.h", "namespace nnet {",
    "#ifdef __SYNTHESIS__\n#define MAX(n, d) n\n#endif\nnamespace nnet {",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("build_prj.tcl", _replaced("build_prj.tcl", "\n", "\nexec touch /tmp/planted\n")),
        ("project.tcl", _replaced("project.tcl", "xc7z020-clg400-1", "xc7z020-clg400-2")),
        ("firmware/nnet_utils/nnet_dense.h", SYNTHESIS_ONLY),
        ("firmware/nnet_utils/edgekit_integers.h", _replaced(
            "firmware/nnet_utils/edgekit_integers.h", "#pragma HLS INLINE", "#pragma HLS PIPELINE"
        )),
        ("firmware/edgekit_network.cpp", _replaced(
            "firmware/edgekit_network.cpp", "#pragma HLS DATAFLOW", "#pragma HLS INLINE"
        )),
        ("firmware/hls_math.h", _added("firmware/hls_math.h", "#define MAX 0\n")),
        ("hls_init.tcl", _added("hls_init.tcl", "exec touch /tmp/planted\n")),
        ("build_opt.tcl", lambda project: (project / "build_opt.tcl").unlink()),
    ],
)  # fmt: skip
def test_what_the_vendors_tools_read_is_what_hls4ml_writes(
    built: Path, tmp_path: Path, name: str, plant: Callable[[Path], None]
) -> None:
    folder = copied(built, tmp_path / "bundle")
    plant(folder / PROJECT)
    signed(folder)
    refused(edgekit("verify", folder), 5, f"origin: artifact/hls/{name} ")


@pytest.mark.slow
def test_a_simulation_does_not_tell(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "bundle")
    SYNTHESIS_ONLY(folder / PROJECT)
    assert ran(folder, built)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"execution": Execution(Kind.MODEL).json()}, "origin: artifact/hls/build_prj.tcl "),
        ({"execution": Execution(Kind.MODEL).json(), "target": "rpi4"}, "origin: the target rpi4 has no"),
        (
            {"execution": Execution(Kind.MODEL).json(), "target": "rpi4", "backend": "null", "options": {}},
            "origin: artifact/",
        ),
        ({"backend": "null", "options": {}}, "origin: artifact/"),
        ({"backend": "overlay", "options": {"pnr": True}, "target": "ecp5-85f"}, "origin: overlay does not write"),
        ({"backend": "null"}, "'options' in manifest.json is damaged: --set null.split"),
        ({"options": {"split": True, "multipliers": 20}}, "origin: artifact/"),
    ],
)
def test_a_manifest_does_not_say_that_the_project_is_right(
    built: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    folder = copied(built, tmp_path / "bundle")
    with (folder / PROJECT / "build_prj.tcl").open("a") as script:
        script.write("exec touch /tmp/planted\n")
    signed(folder, **changed)
    refused(edgekit("verify", folder), 5, message)


def test_a_project_that_is_missing_is_not_right(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "bundle")
    shutil.rmtree(folder / "artifact")
    signed(folder)
    refused(edgekit("verify", folder), 5, "origin: artifact/", " is missing")


def _in_a_comment(header: str, text: str, other: str) -> str:
    return header.replace("#ifndef __SYNTHESIS__", f"// = {{{text}}};\n#ifndef __SYNTHESIS__").replace(
        f"{{{text}}};\n\n#endif", f"{{{other}}};\n\n#endif"
    )


def _redefined(header: str, text: str, other: str) -> str:
    return header.replace("#endif\n\n#endif", f"#endif\n#ifdef __SYNTHESIS__\n#define w3 w3[0]{other}\n#endif\n#endif")


@pytest.mark.parametrize("changed", [_in_a_comment, _redefined])
def test_headers_hold_one_array(built: Path, tmp_path: Path, changed: Callable[[str, str, str], str]) -> None:
    folder = copied(built, tmp_path / "bundle")
    text, header = (folder / WEIGHTS / "w3.txt").read_text(), folder / WEIGHTS / "w3.h"
    before = header.read_text()
    header.write_text(changed(before, text, text.replace("1", "2")))
    assert header.read_text() != before and f"= {{{text}}};" in header.read_text()
    with pytest.raises(DeviceError, match=r"w3\.txt has not the weights of the header beside it"):
        ran(folder, built)


def test_every_header_is_loaded_by_the_simulation(built: Path, tmp_path: Path) -> None:
    folder = copied(built, tmp_path / "bundle")
    top = folder / PROJECT / "firmware" / "edgekit_network.cpp"
    lines = top.read_text().splitlines(keepends=True)
    top.write_text("".join(line for line in lines if "(w3," not in line))
    with pytest.raises(DeviceError, match=r"w3\.txt has not the weights"):
        ran(folder, built)
    top.write_text("".join(lines) + "#ifdef __SYNTHESIS__\n#endif\n")
    with pytest.raises(DeviceError, match=r"edgekit_network\.cpp is another program"):
        ran(folder, built)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hls.json", "{", "is damaged"),
        ("hls.json", '{"schema": 1, "layers": -1}', "is damaged"),
        ("hls/firmware/parameters.h", "int main;", "does not compile"),
        ("hls/firmware/defines.h", "#ifdef __SYNTHESIS__", "is another program when it is synthesized"),
        ("hls/firmware/edgekit_network.cpp", None, "has no artifact/hls/firmware/edgekit_network.cpp"),
        ("hls/firmware/weights/w3.h", None, "not the weights of the header beside it"),
        ("host/after.c", "int main;", "is not the C of its operators"),
    ],
)
def test_damaged_projects_are_refused(built: Path, tmp_path: Path, name: str, text: str | None, message: str) -> None:
    folder = copied(built, tmp_path / "bundle")
    path = folder / "artifact" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DeviceError, match=message):
        ran(folder, built)


def test_a_link_in_a_project_is_refused(built: Path, tmp_path: Path) -> None:
    folder, secret = copied(built, tmp_path / "bundle"), tmp_path / "secret"
    secret.write_text("42")
    (folder / PROJECT / "firmware" / "more.h").symlink_to(secret)
    with pytest.raises(DeviceError, match="is a link"):
        ran(folder, built)


@pytest.mark.slow
def test_code_of_a_stranger_reads_nothing_and_writes_nothing_outside(built: Path, tmp_path: Path) -> None:
    folder, secret = copied(built, tmp_path / "bundle"), tmp_path / "secret"
    secret.write_text("int secret = 42;")
    code = folder / PROJECT / "firmware" / "edgekit_network.cpp"
    sound = code.read_text()
    code.write_text(f'#include "{secret}"\n{sound}')
    with pytest.raises(DeviceError, match="does not compile"):
        ran(folder, built)
    spy = f'static int spy = (system("cp {secret} {tmp_path}/copied"), fclose(fopen("{tmp_path}/written", "w")));'
    code.write_text(f"{sound}\n#include <cstdlib>\n{spy}\n")
    with pytest.raises(DeviceError):
        ran(folder, built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "secret"]
