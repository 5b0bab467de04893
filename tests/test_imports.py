"""Imports go one way: the contracts of pyproject.toml hold, and an import that goes back is noticed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [LINT, "--no-logo", "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and of its contracts."""
    shutil.copytree(ROOT / "edgekit", tmp_path / "edgekit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("graph/ops.py", "import edgekit.api.run", "Imports go one way BROKEN"),
        ("codegen/builder.py", "import edgekit.codegen.lower", "No cycles between files BROKEN"),
        ("a_new_room.py", "", "Imports go one way BROKEN"),
    ],
)
def test_an_import_that_goes_back_is_noticed(copy: Path, file: str, line: str, contract: str) -> None:
    with (copy / "edgekit" / file).open("a") as module:
        module.write(f"\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1 and contract in done.stdout


def test_few_modules_lie_loose() -> None:
    assert len([path for path in (ROOT / "edgekit").glob("*.py") if not path.name.startswith("__")]) <= 6


def test_test_modules_have_names_of_their_own() -> None:
    """Pytest imports a module by its name alone where its folder is no package, so a second one of that name fails."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_is_imported_from_test_modules() -> None:
    """What several of them need lies beside them: a module that skips must not take others with it."""
    pattern = re.compile(r"^\s*(?:from|import) tests\.(?:\w+\.)*test_\w+", re.MULTILINE)
    assert [str(path) for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())] == []
