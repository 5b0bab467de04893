"""A C library that refuses what the reference takes, or crashes on it, is a failed check of the proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.api.compile import compile
from edgekit.errors import CheckFailed
from tests.api.proofs import check, plant, rebuilt
from tests.e2e.command import edgekit
from tests.tasks import task_networks

FAULTS = {
    "refusal": (
        "classifier.c", "    if (!c)\n        return EDGEKIT_USAGE;\n",
        '    if (c)\n        return engine_fail(&instance->engine, EDGEKIT_USAGE, "%s", "this is not mine");\n',
        "pictures: the C library fails: number 0: this is not mine",
    ),
    "a refused task": (
        "classifier.c", "if (!c->classes || logits < 0", "if (c || !c->classes || logits < 0",
        "pictures: the C library fails: the bundle's task is not for this network, damaged, or too large",
    ),
    "crash": (
        "classifier.c", "    *count = most < c->top", "    abort();\n    *count = most < c->top",
        "pictures: the C library fails: it crashed (SIGABRT)",
    ),
    "silence": (
        "classifier.c", "    *count = most < c->top", "    _Exit(9);\n    *count = most < c->top",
        "pictures: the C library fails: it ended with status 9",
    ),
    "nonsense": (
        "decide.c", '"%ld %u 1 %a %s\\n", sample, classes', '"%ld%u 1 %a %s\\n", sample, classes',
        "pictures: the C library fails: the run left damaged decisions",
    ),
    "too little": (
        "decide.c", "    write_ports(e->output, e->output_count, files->outputs);\n", "",
        "pictures: the C library fails: the run wrote 0 bytes of tensors",
    ),
}  # fmt: skip
"""File, what is replaced in it, and what is said."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    model = task_networks.written(folder, "classification")
    (bundle,) = compile(model, targets=["host"], out=folder / "build")
    return bundle.path


@pytest.mark.parametrize("name", FAULTS)
def test_what_fails_on_material_is_a_failed_check(
    good: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *fault, words = FAULTS[name]
    plant(*fault, tmp_path / "sources", monkeypatch)
    bundle = rebuilt(good, tmp_path / "spoilt")
    found = check(bundle)
    assert found.ok is False and words in found.detail and "\n" not in found.detail, found.detail
    assert edgekit("verify", bundle, "--json").code == 5
    with pytest.raises(CheckFailed, match="the C library fails") as refused:
        compile(good.parents[1] / "model.tflite", targets=["host"], out=tmp_path / "new")
    assert "\n" not in refused.value.message and not list((tmp_path / "new").glob("*"))


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["refusal", "crash"])
def test_an_emulated_board_says_so_too(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    *fault, words = FAULTS[name]
    plant(*fault, tmp_path / "sources", monkeypatch)
    model = task_networks.written(tmp_path / "model", "classification")
    with pytest.raises(CheckFailed, match="the C library fails: ") as refused:
        compile(model, targets=["rpi4"], out=tmp_path / "new")
    assert words.split("SIG")[0] in refused.value.message
