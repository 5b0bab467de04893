"""Nothing is imported or run from the folder in which the user happens to stand, and children hold no secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit import sandbox
from edgekit.sandbox import environment
from edgekit.tools import toolchain

Result = tuple[dict[str, Any], dict[str, Any]]
MODULES = (
    "numpy",
    "json",
    "ctypes",
    "subprocess",
    "runpy",
    "uv",
    "ziglang",
    "sitecustomize",
    "usercustomize",
    "tflite",
)
_CALL = "from edgekit import sandbox\nprint(sandbox.call('tests.security.test_current_folder:told', {})[0])\n"
_PROGRAM = (
    "from edgekit import sandbox\nfrom pathlib import Path\nimport sys\n"
    "print(sandbox.run_program([sys.executable, '-c', 'print(6 * 7)'], folder=Path(sys.argv[1])).stdout)\n"
)


def told(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    """A task: its environment, where it stands and from where it imports."""
    return {"environment": dict(os.environ), "folder": os.getcwd(), "path": sys.path}, {}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A stranger's folder: every module in it leaves a mark when it is imported."""
    folder = tmp_path / "theirs"
    for name in MODULES:
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write({name!r} + '\\n')\n")
    for package in ("edgekit", "edgekit/sandbox", "tests", "tests/security"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(
            f"open({str(tmp_path / 'mark')!r}, 'a').write({package!r} + '\\n')\n"
        )
    return folder


def run(trap: Path, code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code of the user's that stands in the stranger's folder, as the program ``edgekit`` does: with ``-P``."""
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(
        command, cwd=trap, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("code", [_CALL, _PROGRAM], ids=["call", "run_program"])
@pytest.mark.parametrize("variables", [{}, {"PATH": f":{os.environ['PATH']}:."}], ids=["plain", "open PATH"])
def test_the_current_folder_is_not_imported(trap: Path, tmp_path: Path, code: str, variables: dict[str, str]) -> None:
    (tmp_path / "scratch").mkdir()
    done = run(trap, code, str(tmp_path / "scratch"), **variables)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mark").exists(), (tmp_path / "mark").read_text()


def test_a_module_as_a_program_does_not_import_it_either(trap: Path, tmp_path: Path) -> None:
    for package in ("edgekit", "tests"):
        (trap / package).rename(tmp_path / package)  # `python -m edgekit` itself would be theirs
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", "targets"], cwd=trap, capture_output=True, text=True, check=False
    )
    seen = (tmp_path / "mark").read_text().split() if (tmp_path / "mark").exists() else []
    assert set(seen) <= {"runpy", "sitecustomize", "usercustomize"}, done.stderr


@pytest.mark.parametrize("name", [n for n in toolchain.names() if toolchain.load(n).tools])
def test_toolchains_start_python_without_the_current_folder(name: str) -> None:
    for tool in toolchain.load(name).tools:
        if tool.argv[0] == sys.executable:
            assert {"-P", "-E"} <= set(tool.argv[: tool.argv.index("-m")])


def test_compilers_are_asked_from_a_neutral_folder(trap: Path, tmp_path: Path) -> None:
    code = (
        "import dataclasses, sys\nfrom edgekit.backends import runner_build\nfrom edgekit.tools import toolchain\n"
        "tool = dataclasses.replace(toolchain.load('host-cc').tools[0], module='',\n"
        "    argv=(sys.executable, '-P', '-E', '-c', 'import os; print(os.getcwd(), dict(os.environ))'))\n"
        "print(runner_build.describe(tool))"
    )
    done = run(trap, code, EDGEKIT_TEST_TOKEN="secret")
    assert done.stdout.startswith("/ "), done.stderr
    assert "secret" not in done.stdout


def test_children_hold_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = (
        "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKEN", "SSH_AUTH_SOCK", "HTTPS_PROXY", "UV_INDEX_URL",
        "PIP_INDEX_URL", "EDGEKIT_SSH_OPTIONS", "PYTHONSTARTUP", "PYTHONPATH", "LD_PRELOAD", "LD_AUDIT",
    )  # fmt: skip
    kept = environment.clean({**dict.fromkeys(secrets, "secret"), "PATH": "/bin", "LC_ALL": "C"})
    assert kept == {"PATH": "/bin", "LC_ALL": "C"}
    monkeypatch.setenv("GITHUB_TOKEN", "very-secret")
    found, _ = sandbox.call("tests.security.test_current_folder:told", {}, lane=901)
    done = sandbox.run_program(["env"], folder=tmp_path)
    sandbox.stop([901])
    assert "very-secret" not in str(found["environment"])
    assert found["folder"] == "/"
    assert "PATH=" in done.stdout
    assert "very-secret" not in done.stdout


def test_search_paths_hold_no_relative_entries() -> None:
    kept = environment.clean({"PATH": ":/usr/bin:.:bin", "LD_LIBRARY_PATH": ":"})
    assert kept == {"PATH": "/usr/bin"}
