"""How a bundle says that it is run, in today's manifests and in those of older versions."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.bundle.execution import Execution, Footprint, Kind, of_manifest, runner_command
from edgekit.errors import CheckFailed

ENDS = ("--inputs", "in.bin", "--outputs", "out.bin", "--samples", "1")
RUNTIME = ("artifact/edgekit-run", "--library", "artifact/libLiteRt.so", "--model", "model.tflite", *ENDS)
LIBRARY = ("artifact/edgekit-run", "--library", "artifact/network.so", *ENDS)
PROGRAM = ("artifact/edgekit-run", *ENDS)
TABLE = {
    # what is in the artifact: holds the network, was made of it, uses threads
    Kind.RUNTIME: (False, False, True),
    Kind.LIBRARY: (True, True, False),
    Kind.PROGRAM: (True, True, False),
    Kind.HANDOVER: (True, True, False),
    Kind.NPU: (True, True, False),
    Kind.FIRMWARE: (True, True, False),
    Kind.OVERLAY: (True, True, False),
    Kind.LOGIC: (True, True, False),
    Kind.HLS: (True, True, False),
    Kind.MODEL: (False, False, True),
}


@pytest.mark.parametrize("kind", Kind)
def test_what_each_kind_means(kind: Kind) -> None:
    execution = Execution(kind)
    assert (execution.holds_network, execution.made_of_network, execution.threads) == TABLE[kind]
    assert Execution(kind, network="network.tflite").made_of_network


@pytest.mark.parametrize(
    "execution",
    [
        Execution(),
        Execution(Kind.RUNTIME, RUNTIME, "libLiteRt.so"),
        Execution(Kind.MODEL, (), "", "network.tflite"),
        Execution(prover="null"),
        Execution(Kind.HANDOVER, ("artifact/build.sh",), prover="onnx"),
    ],
)
def test_the_manifest_gives_back_what_was_written(execution: Execution) -> None:
    assert of_manifest({"execution": execution.json(), "run": ["something", "else"]}) == execution


def test_the_runners_command_lines() -> None:
    assert runner_command("libLiteRt.so", model=True) == RUNTIME
    assert runner_command("network.so", model=False) == LIBRARY
    assert runner_command("", model=False) == PROGRAM


def test_a_footprint_in_the_manifest() -> None:
    assert Footprint(5, 7).json() == {"flash_bytes": 5, "ram_bytes": 7}
    assert Footprint().json() == {"flash_bytes": 0, "ram_bytes": None}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"run": list(RUNTIME)}, Execution(Kind.RUNTIME, RUNTIME, "libLiteRt.so")),
        ({"run": list(LIBRARY)}, Execution(Kind.LIBRARY, LIBRARY, "network.so")),
        ({"run": list(PROGRAM)}, Execution(Kind.PROGRAM, PROGRAM)),
        ({"run": ["artifact/edgekit-run"]}, Execution(Kind.PROGRAM, ("artifact/edgekit-run",))),
        ({"run": ["artifact/build.sh"]}, Execution(Kind.HANDOVER, ("artifact/build.sh",), prover="onnx")),
        ({"run": ["python3", "artifact/verify_on_mac.py"]},
         Execution(Kind.HANDOVER, ("python3", "artifact/verify_on_mac.py"), prover="mil")),
        ({"run": []}, Execution()),
        ({}, Execution()),
        ({"run": [], "files": {"artifact/network.tflite": {}}}, Execution(network="network.tflite")),
        ({"run": [], "files": {"artifact/other.tflite": {}}}, Execution()),
        ({"run": [], "backend": "null"}, Execution(prover="null")),
        ({"run": [], "backend": "null", "files": {"artifact/network.tflite": {}}}, Execution(network="network.tflite")),
        ({"run": [], "backend": "litert"}, Execution()),
        ({"run": ["x", "--library", "../../lib/evil.so"]},
         Execution(Kind.LIBRARY, ("x", "--library", "../../lib/evil.so"), "evil.so")),
    ],
)  # fmt: skip
def test_bundles_of_older_versions(manifest: dict[str, Any], expected: Execution) -> None:
    assert of_manifest(manifest) == expected


@pytest.mark.parametrize(
    "run",
    [
        ["sh"], ["artifact/other"], ["artifact/edgekit-run", "--library"], ["artifact/edgekit-run", "--model", "m"],
        ["rm", "--model", "m"], [3], "artifact/build.sh", ["artifact/edgekit-run", 3],
    ],
)  # fmt: skip
def test_other_command_lines_are_refused(run: object) -> None:
    with pytest.raises(CheckFailed, match=r"'run' in manifest\.json"):
        of_manifest({"run": run})


@pytest.mark.parametrize("prover", ["null", "onnx", "mil", "vela"])
@pytest.mark.parametrize("kind", Kind)
def test_a_prover_is_for_one_kind(prover: str, kind: Kind) -> None:
    """Another manifest, such as a stranger's, would have a file proved that is not what the device executes."""
    made = {"null": Kind.MODEL, "onnx": Kind.HANDOVER, "mil": Kind.HANDOVER, "vela": Kind.NPU}
    told = {"execution": Execution(kind, prover=prover).json()}
    if kind is made[prover]:
        assert of_manifest(told).prover == prover
        return
    with pytest.raises(CheckFailed, match="does not run what it describes"):
        of_manifest(told)


def test_the_reference_proves_no_network_file() -> None:
    with pytest.raises(CheckFailed, match="'null' does not run"):
        of_manifest({"execution": Execution(Kind.MODEL, network="network.tflite", prover="null").json()})


SOUND = Execution(Kind.RUNTIME, RUNTIME, "libLiteRt.so", "n.tflite", "host").json()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "spaceship"}, {"kind": None}, {"command": "artifact/edgekit-run"}, {"command": [3]}, {"library": 3},
        {"network": None}, {"prover": ["host"]}, {"library": "../lib.so"}, {"network": "a/b"}, {"prover": "/bin/sh"},
    ],
)  # fmt: skip
def test_damaged_executions_are_refused(change: dict[str, Any]) -> None:
    assert of_manifest({"execution": SOUND}).prover == "host"
    with pytest.raises(CheckFailed, match=r"'execution' in manifest\.json is damaged"):
        of_manifest({"execution": {**SOUND, **change}})
    for key in change:
        with pytest.raises(CheckFailed, match="damaged"):
            of_manifest({"execution": {name: value for name, value in SOUND.items() if name != key}})
