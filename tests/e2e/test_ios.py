"""iPhones through the command line: a bundle with what is known of its accelerators, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks.small import Builder, convolutional


def test_a_bundle_says_what_it_is(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    done = edgekit("compile", "net.tflite", "-t", "ios", "--recipe", "palette", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    made = json.loads(done.out)["bundles"][0]
    assert made["backend"] == "coreml" and made["parity"]["ok"] and made["parity"]["on"] == "mil"
    assert {d["name"] for d in made["delegates"]} == {"neural-engine", "coreml-gpu"}
    files = {f["path"] for f in made["artifact"]["files"]}
    assert {"artifact/network.mlpackage/Manifest.json", "artifact/network.json", "artifact/verify_on_mac.py"} <= files
    folder = tmp_path / made["path"]
    readme = (folder / "README.md").read_text()
    assert "python3 artifact/verify_on_mac.py" in readme and "Swift" in readme
    assert edgekit("verify", folder).code == 0
    refused(edgekit("profile", folder, "--on", "mil"), 2)
    refused(edgekit("run", folder, "--on", "host", "--data", "random"), 6)


def test_refusals(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    out = tmp_path / "build"
    arguments = ("compile", tmp_path / "net.tflite", "-t", "ios", "-o", out)
    refused(edgekit(*arguments, "--recipe", "palette", "--set", "palettize.bits=3"), 2, "1, 2, 4, 6 or 8")
    refused(edgekit(*arguments, "--recipe", "int8-w-int16-a", "--data", "random"), 3, "CONV_2D", "int16")
    b = Builder()
    x = b.tensor((1, 4), "int32", name="x")
    graph = b.graph((x,), (b.add("DIV", (x, b.constant(np.full(4, 2, np.int32))), (1, 4), "int32", options="Div"),))
    tflite.write(graph, tmp_path / "net.tflite")
    refused(edgekit(*arguments), 3, "DIV", "int32")
    assert not out.exists()
