"""`make smoke`: one network through compile, verify and profile on this machine."""

from __future__ import annotations

from pathlib import Path

from edgekit.graph import tflite
from tests.e2e.command import edgekit
from tests.networks.small import convolutional


def test_one_network_from_end_to_end(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    made = edgekit("compile", tmp_path / "net.tflite", "--target", "host", "--out", tmp_path / "out", "--json").json
    (bundle,) = made["bundles"]
    assert bundle["parity"]["ok"] and bundle["backend"] == "litert"
    assert edgekit("verify", bundle["path"], "--json").json["ok"]
    profile = edgekit("profile", bundle["path"], "--on", "host", "--json").json
    assert profile["latency_ms"]["value"] > 0
