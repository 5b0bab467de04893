"""The set-up of a checkout: its lock, its Makefile, its steps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;]+)", LOCK, re.MULTILINE))


@pytest.fixture
def setup(tmp_path: Path) -> Any:
    """tools/setup.py as a module, of a checkout in ``tmp_path`` where nothing was set up yet."""
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.py", tmp_path / "tools" / "setup.py")
    shutil.copytree(ROOT / "compile", tmp_path / "compile")
    spec = spec_from_file_location("checkout_setup", tmp_path / "tools" / "setup.py")
    assert spec and spec.loader
    module: ModuleType = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lock_is_hashed_and_names_no_host() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 40
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK and "index" not in LOCK.replace("--no-emit-index-url", "")


def test_the_lock_covers_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["plot"], *extras["dev"]]
    for requirement in map(Requirement, wanted):
        if requirement.name != "edgekit":
            assert requirement.name in LOCKED, f"run make lock: {requirement.name}"
            assert LOCKED[requirement.name] in requirement.specifier, f"run make lock: {requirement}"


def test_the_build_backend_is_the_locked_one() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert build == [f"hatchling=={LOCKED['hatchling']}"]


def test_every_target_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) - {"ready"}
    # MAKEFLAGS: the test may itself run under make, which would then say which folder it enters.
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = subprocess.run(["make", "help"], cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    assert targets == {line.split()[0] for line in shown.splitlines()}
    assert {"setup", "demo", "test", "quick", "lint", "bench", "lock", "clean", "help"} <= targets


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1].endswith("exec make test")


def test_nothing_is_changed_by_a_check(setup: Any, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, tmp_path / "tools" / "setup.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4 and "run: make setup" in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_a_changed_lock_or_toolchain_asks_for_a_new_set_up(setup: Any, tmp_path: Path) -> None:
    environment, rest = setup.environment_key(), setup.rest_key()
    assert (environment, rest) == (setup.environment_key(), setup.rest_key())
    toolchain = tmp_path / "compile" / "toolchains" / "qemu-aarch64.toml"
    toolchain.write_text(toolchain.read_text() + "\n# changed\n")
    assert setup.environment_key() == environment and setup.rest_key() != rest
    (tmp_path / "requirements.lock").write_text(LOCK + "# changed\n")
    assert setup.environment_key() != environment


def test_an_environment_of_another_place_is_not_used(setup: Any, tmp_path: Path) -> None:
    assert not setup.usable_environment()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", setup.VENV], check=True)
    assert not setup.usable_environment(), "it has no pip"
    (setup.VENV / "lib").rename(tmp_path / "elsewhere")
    assert not setup.usable_environment()


def test_uv_comes_out_of_the_lock_with_its_hashes(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run(*argv: object, env: object = None) -> None:
        seen.append(Path(str(argv[-1])).read_text())
        assert "--require-hashes" in argv

    monkeypatch.setattr(setup, "run", run)
    setup.install_uv({})
    assert seen[0].startswith(f"uv=={LOCKED['uv']}") and seen[0].count("==") == 1
    assert seen[0].count("--hash=sha256:") > 3


def test_a_set_up_checkout_is_quick_to_check() -> None:
    if not (ROOT / ".venv" / "rest-set-up-for").is_file():
        pytest.skip("this checkout was not set up by make setup")
    done = subprocess.run([sys.executable, ROOT / "tools" / "setup.py", "--check"], timeout=1, check=False)
    assert done.returncode in (0, 4)
