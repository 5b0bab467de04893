"""``--workers``, as a user gives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.installed import needed
from tests.networks.small import classifier, digits

RECIPE = """
schema = 1
description = "further training, int8"
needs_data = true

[[pass]]
name = "finetune"
epochs = 1

[[pass]]
name = "quantize"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    tflite.write(classifier(folder, 300), folder / "model.tflite")
    x, y = digits(100, 1)
    np.savez(folder / "digits.npz", x=x[..., None], y=y)
    (folder / "further.toml").write_text(RECIPE)
    return folder


COMMAND = ("compile", "model.tflite", "-t", "host", "--data", "digits.npz")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_workers_train(folder: Path) -> None:
    needed("tensorflow", "train")
    done = edgekit(*COMMAND, "-r", "further.toml", "--workers", "2", "--json", cwd=folder)
    (bundle,) = done.json["bundles"]
    assert bundle["passes"][0]["workers"] == 2 and len(bundle["passes"][0]["history"]) == 2
    assert bundle["parity"]["ok"]
    assert "warning" not in done.err


def test_workers_that_are_not_used_are_no_error(folder: Path) -> None:
    done = edgekit(*COMMAND, "-r", "int8", "--workers", "2", cwd=folder)
    assert done.code == 0
    assert done.err.splitlines() == [
        "warning: --workers 2: the recipe int8 does not train, so they were not used",
    ]


@pytest.mark.parametrize("spec", ["0", "a,,b", "2,host"])
def test_nonsense_is_refused(folder: Path, spec: str) -> None:
    refused(edgekit(*COMMAND, "-r", "int8", "--workers", spec, cwd=folder), 2, f"--workers {spec}:")
