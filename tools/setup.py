"""Set up a checkout: virtual environment, locked packages, system packages, helper tools.

Run by every target of the Makefile with whatever python3 the machine has; needs nothing but the standard
library. Each step says what it does and is skipped where it is already done; with nothing to do it takes a
fraction of a second.

    python3 tools/setup.py            set up; what could not be had before is not tried again
    python3 tools/setup.py --retry    try that again
    python3 tools/setup.py --check    say whether that was done, change nothing; exit 4 if not
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "set-up-for"
REST_STAMP = VENV / "rest-set-up-for"
INCOMPLETE = VENV / "rest-is-incomplete"


def main() -> int:
    """Set the checkout up; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retry", action="store_true", help="try again what could not be had before")
    parser.add_argument("--check", action="store_true", help="say whether that was done, change nothing")
    args = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036
        say(f"edgekit needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}")
        say("install one, then: make PYTHON=python3.11 demo")
        return 4
    ready, rest = is_current(STAMP, environment_key()), is_current(REST_STAMP, rest_key())
    complete = rest and not INCOMPLETE.exists()
    if args.check:
        say("done" if ready and complete else "not done, or something changed since; run: make setup")
        return 0 if ready and complete else 4
    if not ready:
        make_environment()
    compile_edgekit()
    if not rest or (args.retry and not complete):
        install_the_rest()
    elif not complete:
        say("some tools could not be had; make setup tries again, .venv/bin/edgekit doctor says what they are for")
    return 0


def say(line: str) -> None:
    """Print a line."""
    print(f"set-up: {line}", flush=True)


def fail(line: str, hint: str) -> SystemExit:
    """Print what is wrong and what to do; return the exception that ends the program."""
    say(line)
    say(hint)
    return SystemExit(4)


def run(*argv: str | Path, env: dict[str, str] | None = None, quiet: bool = False) -> None:
    """Run a command whose output the user sees (``quiet``: its errors only); its failure ends the set-up."""
    out = subprocess.DEVNULL if quiet else None
    done = subprocess.run([str(part) for part in argv], env=env, stdin=subprocess.DEVNULL, stdout=out, check=False)
    if done.returncode:
        raise fail(f"failed: {' '.join(map(str, argv))}", "the lines above say why; run make again once it is mended")


# The virtual environment


def environment_key() -> str:
    """What the environment is made from: if this changes, it is made anew."""
    files = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join([*files, str(ROOT).encode(), platform.python_version().encode()])).hexdigest()


def make_environment() -> None:
    """Create ``.venv`` with exactly the packages in requirements.lock, and edgekit itself, editable."""
    python = f"Python {sys.version.split()[0]}"
    if not usable_environment():
        say(f"making the virtual environment .venv ({python})")
        create_venv()
    # PYTHONDONTWRITEBYTECODE would make every start of TensorFlow compile its thousands of modules again.
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")}
    requirements = re.findall(r"^[A-Za-z0-9][^#\s]*==", LOCK.read_text(), re.MULTILINE)
    say(f"installing the {len(requirements)} packages in requirements.lock (2.7 GB, 1 to 5 minutes the first time)")
    install_uv(env)
    uv: list[str | Path] = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--quiet"]
    run(*uv, "--require-hashes", "--compile-bytecode", "-r", LOCK, env=env)
    run(*uv, "--no-deps", "--no-build-isolation", "--editable", ROOT, env=env)
    STAMP.write_text(environment_key())


def is_current(stamp: Path, key: str) -> bool:
    """True if ``stamp`` says that its part of the set-up was done for what the checkout now asks for."""
    return stamp.is_file() and stamp.read_text() == key


def usable_environment() -> bool:
    """True if ``.venv`` works and was made by this Python version, at this place."""
    script = "import sys, pip; print(sys.prefix, *sys.version_info[:2])"
    if not PYTHON.exists():
        return False
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.split() == [str(VENV), str(sys.version_info[0]), str(sys.version_info[1])]


def create_venv() -> None:
    """Create the virtual environment anew."""
    shutil.rmtree(VENV, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    # Debian ships venv without ensurepip unless python3-venv is installed.
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if "ensurepip" not in done.stdout + done.stderr or not shutil.which("apt-get"):
        raise fail(f"{sys.executable} -m venv failed:", (done.stderr or done.stdout).strip()[-300:])
    if os.geteuid() != 0:
        raise fail(f"{package} is missing", f"type: sudo apt-get install -y {package}, then run make again")
    say(f"installing {package}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=env, quiet=True)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, env=env, quiet=True)
    shutil.rmtree(VENV, ignore_errors=True)
    run(sys.executable, "-m", "venv", VENV)


def install_uv(env: dict[str, str]) -> None:
    """Install uv, which installs the rest in seconds; it too is checked against its hashes in the lock."""
    block = re.search(r"^uv==.*?(?=^\S)", LOCK.read_text() + "end", re.MULTILINE | re.DOTALL)
    if not block:
        raise fail("requirements.lock has no uv", "run: make lock")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(block.group())
        file.flush()
        pip: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--require-hashes", "-r", file.name, env=env)


def compile_edgekit() -> None:
    """Byte-compile edgekit's own modules (those that changed): it is what keeps ``edgekit --help`` quick."""
    subprocess.run([PYTHON, "-m", "compileall", "-q", "-j", "1", ROOT / "edgekit"], check=False)


# What edgekit itself knows how to get


def rest_key() -> str:
    """What the rest is made from: the environment, and what the toolchains ask for."""
    files = [path.read_bytes() for path in sorted((ROOT / "compile").rglob("*.toml"))]
    return hashlib.sha256(b"\0".join([environment_key().encode(), *files])).hexdigest()


def install_the_rest() -> None:
    """Let ``edgekit doctor`` install system packages (as root), the AArch64 runtime, converters, FPGA tools.

    What cannot be had now is named, with the command to type, and does not stop the set-up.
    """
    say("installing system packages where some are missing, the AArch64 runtime, tools of their own environments")
    names = ("system", "aarch64-runtime", "onnx", "ethos-u", "fpga", "da4ml", "hls4ml")
    argv = [str(VENV / "bin" / "edgekit"), "doctor", *(word for name in names for word in ("--install", name))]
    done = subprocess.run(argv, check=False)
    REST_STAMP.write_text(rest_key())
    INCOMPLETE.unlink(missing_ok=True)
    if done.returncode:
        INCOMPLETE.touch()
        say("going on without what is missing; whatever needs it will say so, and its tests are skipped")


if __name__ == "__main__":
    sys.exit(main())
