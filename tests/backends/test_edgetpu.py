"""The Edge TPU backend: what it refuses, what it says, and how it calls the vendor's compiler.

The vendor's compiler is not free to hand on. Where a test needs it, a stand-in is on the PATH: a program of ours with
its options, its messages (those of version 16.0) and its result, a network whose first part is one custom operator.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle, delegates, target
from edgekit.backends import unsupported
from edgekit.backends.edgetpu import EdgeTPU, fixed, vendor
from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks.small import Builder, classifier, digits

STAND_IN = '''#!{python}
"""A stand-in for edgetpu_compiler: maps all operators but those named in STAND_IN_REFUSES."""
import os, sys
from pathlib import Path
from edgekit.graph import Operator, tflite

assert sys.argv[1:3] == ["-s", "-o"], sys.argv
out, model = Path(sys.argv[3]), Path(sys.argv[4])
graph = tflite.read(model)
print("Edge TPU Compiler version 16.0.384591198")
if any(t.shape_signature and -1 in t.shape_signature for t in graph.tensors):
    sys.exit("ERROR: Attempting to use a delegate that only supports static-sized tensors")
if any(t.dtype == "float32" for t in graph.tensors):
    print("Invalid model: " + model.name)
    sys.exit("Model not quantized")
refuses = os.environ.get("STAND_IN_REFUSES", "").split()
count = next((i for i, o in enumerate(graph.operators) if o.op in refuses), len(graph.operators))
print("Started a compilation timeout timer of 180 seconds.")
print(f"\\nModel compiled successfully in {{os.getpid()}} ms.\\n")
print(f"Input model: {{model}}\\nInput size: 1.00KiB")
print(f"Output model: {{model.stem}}_edgetpu.tflite\\nOutput size: 2.00KiB")
print("On-chip memory used for caching model parameters: 6.25KiB")
print("On-chip memory remaining for caching model parameters: 7.93MiB")
print("Off-chip memory used for streaming uncached model parameters: 0.00B")
print(f"Number of Edge TPU subgraphs: 1\\nTotal number of operations: {{len(graph.operators)}}")
print("Operation log: x.log\\n\\nOperator                       Count      Status\\n")
for index, operator in enumerate(graph.operators):
    status = "Mapped to Edge TPU" if index < count else "More than one subgraph is not supported"
    print(f"{{operator.op:<30}} 1          {{status}}")
last = graph.operators[count - 1].outputs
graph.operators[:count] = [Operator("edgetpu-custom-op", graph.main.inputs, last, custom=True)]
tflite.write(graph, out / (model.stem + "_edgetpu.tflite"))
print("Compilation child process completed within timeout period.\\nCompilation succeeded!")
'''


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coral")
    tflite.write(classifier(folder, training=500), folder / "model.tflite")
    x, y = digits(100)
    np.savez(folder / "digits.npz", x=x, y=y)
    program = folder / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def compiled(workplace: Path, out: str, path: str) -> tuple[bundle.Bundle, str]:
    options = ["-t", "coral-edgetpu", "-r", "int8", "--data", "digits.npz", "--out", out]
    done = edgekit("compile", "model.tflite", *options, "--json", cwd=workplace, env={"PATH": path})
    made = bundle.load(workplace / done.json["bundles"][0]["path"])
    assert done.json["bundles"][0]["delegates"] == made.manifest["delegates"]
    return made, done.err


def test_without_the_compiler_the_bundle_is_checked_and_ready_for_it(workplace: Path) -> None:
    made, said = compiled(workplace, "without", os.environ["PATH"])
    (advice,) = made.manifest["delegates"]
    assert advice["share"] == 1 and advice["fits"] and advice["partitions"] == 1
    assert 0 < advice["parameter_bytes"] < 8 << 20
    assert made.manifest["parity"]["ok"] and made.manifest["parity"]["on"] == "host"
    warning = [line for line in said.splitlines() if "edgetpu_compiler" in line]
    assert len(warning) == 1 and "docs/coral.md" in warning[0]
    assert {p.name for p in made.artifact.iterdir()} == {"network.tflite", "run.py"}
    assert not any(t.dtype == "float32" for t in tflite.read(made.artifact / "network.tflite").tensors)


def test_with_the_stand_in_its_result_and_report_are_in_the_bundle(workplace: Path) -> None:
    path = f"{workplace / 'bin'}:{os.environ['PATH']}"
    made, said = compiled(workplace, "with", path)
    network = tflite.read(made.artifact / "network_edgetpu.tflite")
    assert [o.op for o in network.operators] == ["edgetpu-custom-op"]
    report = json.loads((made.artifact / "compiler.json").read_text())
    assert report["version"] == "16.0.384591198" == made.manifest["tools"]["edgetpu_compiler"]
    assert [row["operator"] for row in report["operations"]] == [o.op for o in made.graph.operators]
    assert report["memory"]["on-chip memory used for caching model parameters"] == 6400
    assert "maps" not in said
    again, _ = compiled(workplace, "again", path)
    assert again.manifest["files"] == made.manifest["files"]  # the compiler's times are left out


def test_the_commands_of_the_bundles_readme(workplace: Path) -> None:
    """Without the vendor's compiler it has that command too, whose result lies where the check looks for it."""
    here = {**os.environ, "PATH": f"{workplace / 'bin'}:{os.environ['PATH']}"}
    for out, path in (("readme", os.environ["PATH"]), ("readme-with", here["PATH"])):
        made, _ = compiled(workplace, out, path)
        commands = [line.strip() for line in (made.path / "README.md").read_text().splitlines() if line[:4] == "    "]
        check = commands.pop()
        assert [command.split()[0] for command in commands] == ["edgetpu_compiler"] * (out == "readme")
        for command in commands:
            subprocess.run(command.split(), cwd=made.path, env=here, check=True, capture_output=True)
        python, *arguments = check.split()
        assert python == "python3" and arguments[-1] == "artifact/network_edgetpu.tflite"
        assert (made.path / arguments[0]).is_file() and (made.path / arguments[-1]).is_file()


def test_float_networks_are_refused_before_any_work(workplace: Path) -> None:
    done = edgekit("compile", "model.tflite", "-t", "coral-edgetpu", "--out", "refused", cwd=workplace)
    refused(done, 3, "operator 0 CONV_2D", "float32", "--recipe int8")
    assert not (workplace / "refused").exists()


def test_what_the_compiler_refuses_is_said_in_its_words(workplace: Path, tmp_path: Path) -> None:
    from edgekit.errors import ModelError
    from edgekit.tools.toolchain import Tool

    program = str(workplace / "bin" / "edgetpu_compiler")
    tool = Tool((program,), program, "", (), (), ())
    with pytest.raises(ModelError, match="Model not quantized"):
        vendor.compile(tool, workplace / "model.tflite", tmp_path / "out.tflite")
    assert not (tmp_path / "out.tflite").exists()


def test_a_report_with_operators_that_are_not_mapped() -> None:
    made = vendor.read(
        "Edge TPU Compiler version 14.1.317412892\nOff-chip memory used for streaming uncached model parameters: "
        "1.50MiB\nNumber of Edge TPU subgraphs: 1\nNumber of operations that will run on Edge TPU: 17\n"
        "Operator Count Status\n\nCONV_2D 11 Mapped to Edge TPU\nCONV_2D 2 More than one subgraph is not "
        "supported\nMAX_POOL_2D                    6          Mapped to Edge TPU\n"
        "QUANTIZE 1 Operation is otherwise supported, but not mapped due to some unspecified limitation\n"
    )
    assert made.mapped == 17
    assert made.operations[1] == ("CONV_2D", 2, "More than one subgraph is not supported")
    assert made.memory == {"off-chip memory used for streaming uncached model parameters": 3 << 19}


def test_a_network_of_which_nothing_could_be_taken_is_refused() -> None:
    b = Builder()
    x = b.tensor((1, 4), "int8", name="x")
    graph = b.graph((x,), (b.add("FLOOR_MOD", (x, x), (1, 4), "int8"),))
    (only,) = unsupported(EdgeTPU(), graph, target.load("coral-edgetpu"))
    assert "take no operator" in only.reason and "not in the list" in only.reason


def test_what_a_recipe_left_in_float_is_not_sent_back_to_the_recipe(tmp_path: Path) -> None:
    b = Builder()
    x, w = b.tensor((1, 4), name="x"), b.constant(np.eye(4, dtype=np.float32))
    y = b.add("FULLY_CONNECTED", (x, w, -1), (1, 4), options="FullyConnected")
    z = b.add("FULLY_CONNECTED", (b.add("ELU", (y,), (1, 4)), w, -1), (1, 4), options="FullyConnected")
    tflite.write(b.graph((x,), (z,)), tmp_path / "net.tflite")
    options = ["-t", "coral-edgetpu", "-r", "int8", "--data", "random", "--out", tmp_path]
    done = edgekit("compile", tmp_path / "net.tflite", *options)
    refused(done, 3, "ELU: it computes in float32", "take it out of the model")
    assert "DEQUANTIZE" not in done.err and "--recipe" not in done.err


def test_float_inputs_and_outputs_are_converted_on_the_cpu() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    q = b.add("QUANTIZE", (x,), (1, 4), "int8")
    r = b.add("RELU", (q,), (1, 4), "int8")
    y = b.add("DEQUANTIZE", (r,), (1, 4))
    graph = b.graph((x,), (y,))
    assert unsupported(EdgeTPU(), graph, target.load("coral-edgetpu")) == []
    verdicts = delegates.advise(graph, delegates.load("edgetpu")).verdicts
    assert [v.taken for v in verdicts] == [False, True, False]


def test_free_batches_are_fixed_for_the_compiler() -> None:
    b = Builder()
    x = b.tensor((1, 4), "int8", name="x", shape_signature=(-1, 4))
    graph = b.graph((x,), (b.add("RELU", (x,), (1, 4), "int8"),))
    assert unsupported(EdgeTPU(), graph, target.load("coral-edgetpu")) == []
    assert [t.shape_signature for t in fixed(graph).tensors] == [None, None]
    assert graph.tensors[0].shape_signature == (-1, 4)
    graph.tensors[1].shape_signature = (1, -1)
    (only,) = unsupported(EdgeTPU(), graph, target.load("coral-edgetpu"))
    assert "known only when it runs" in only.reason


def test_the_bundle_checks_itself_and_names_a_missing_delegate(workplace: Path) -> None:
    made, _ = compiled(workplace, "itself", os.environ["PATH"])
    command = [sys.executable, made.artifact / "run.py", "--model", made.artifact / "network.tflite"]
    done = subprocess.run([*command, "--python", "--repeat", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("OK: 16 samples"), done.stderr
    done = subprocess.run([*command, "--delegate", "libnobody.so.1"], capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("run.py:")]
    assert done.returncode == 4 and "libnobody.so.1" in line and "Traceback" not in done.stderr
    for options, status, words in (
        (["--delegate", "libedgetpu.so.404"], 4, "sudo apt-get install libedgetpu1-std"),
        (["--python", "--model", made.artifact / "network_edgetpu.tflite"], 3, "make it with edgetpu_compiler"),
    ):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("run.py:")]
        assert done.returncode == status and words in line and "Traceback" not in done.stderr
