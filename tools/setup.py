"""Set up a checkout: virtual environment, locked packages, system packages, helper tools.

Run by every target of the Makefile with whatever python3 the machine has; needs nothing but the standard
library. Each step says what it does and is skipped where it is already done; with nothing to do it takes a
fraction of a second.

    python3 tools/setup.py            set up
    python3 tools/setup.py --check    say what is missing, change nothing; exit 4 if anything is
"""

from __future__ import annotations

import argparse
import hashlib
import os
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
TOOLS_STAMP = VENV / "helper-tools-for"
TEST_PACKAGES = ROOT / "tools" / "debian-test-packages.txt"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="say what is missing, change nothing")
    args = parser.parse_args()
    if sys.version_info < (3, 11):
        say(f"edgekit needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}")
        say("install one, then: make PYTHON=python3.11 demo")
        return 4
    ready, missing = STAMP.is_file() and STAMP.read_text() == environment_key(), missing_debian_packages()
    if args.check:
        say(f"virtual environment: {'ready' if ready else 'not set up'}")
        say("system packages: " + ("missing: " + " ".join(missing) if missing else "all there"))
        return 0 if ready and not missing else 4
    if missing:
        install_debian_packages(missing)
    if not ready:
        make_environment()
    compile_edgekit()
    fetch_helper_tools()
    return 0


def say(line: str) -> None:
    print(f"set-up: {line}", flush=True)


def fail(line: str, hint: str) -> SystemExit:
    say(line)
    say(hint)
    return SystemExit(4)


def run(*argv: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command whose output the user sees; its failure ends the set-up."""
    done = subprocess.run([str(part) for part in argv], env=env, check=False)
    if done.returncode:
        raise fail(f"failed: {' '.join(map(str, argv))}", "the lines above say why; run make again once it is mended")


# The virtual environment


def environment_key() -> str:
    """What the environment is made from: if this changes, it is made anew."""
    files = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join([*files, str(ROOT).encode(), sys.version.encode()])).hexdigest()


def make_environment() -> None:
    """Create ``.venv`` with exactly the packages in requirements.lock, and edgekit itself, editable."""
    python = f"Python {sys.version.split()[0]}"
    if not usable_environment():
        say(f"making the virtual environment .venv ({python})")
        create_venv()
    # PYTHONDONTWRITEBYTECODE would make every start of TensorFlow compile its thousands of modules again.
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")}
    requirements = re.findall(r"^[A-Za-z0-9][^#\s]*==", LOCK.read_text(), re.MULTILINE)
    say(f"installing the {len(requirements)} packages in requirements.lock (2.5 GB, 2 to 5 minutes the first time)")
    install_uv(env)
    uv = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--quiet"]
    run(*uv, "--require-hashes", "--compile-bytecode", "-r", LOCK, env=env)
    run(*uv, "--no-deps", "--no-build-isolation", "--editable", ROOT, env=env)
    STAMP.write_text(environment_key())


def usable_environment() -> bool:
    """True if ``.venv`` works and was made by this Python version, at this place."""
    script = "import sys, pip; print(sys.prefix, *sys.version_info[:2])"
    if not PYTHON.exists():
        return False
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, check=False)
    return done.stdout.split() == [str(VENV), str(sys.version_info[0]), str(sys.version_info[1])]


def create_venv() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    # Debian ships venv without ensurepip unless python3-venv is installed.
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if "ensurepip" not in done.stdout + done.stderr or not shutil.which("apt-get"):
        raise fail(f"{sys.executable} -m venv failed: {(done.stderr or done.stdout).strip()[-300:]}", "see above")
    install_debian_packages([package], essential=True)
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
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--require-hashes", "-r", file.name, env=env)


def compile_edgekit() -> None:
    """Byte-compile edgekit's own modules (those that changed): it is what keeps ``edgekit --help`` quick."""
    subprocess.run([PYTHON, "-m", "compileall", "-q", "-j", "1", ROOT / "edgekit"], check=False)


# System packages


def wanted_debian_packages() -> list[str]:
    """What the toolchains prefer (``compile/toolchains/*.toml``), and what only the tests need."""
    import tomllib

    wanted = []
    for path in sorted((ROOT / "compile" / "toolchains").glob("*.toml")):
        tools = tomllib.loads(path.read_text()).get("tool", [])
        if tools:
            wanted += tools[0].get("debian", [])
    lines = TEST_PACKAGES.read_text().splitlines()
    wanted += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return list(dict.fromkeys(wanted))


def missing_debian_packages() -> list[str]:
    """Which of them are not installed; none on a system without dpkg, where ``edgekit doctor`` says more."""
    if not shutil.which("dpkg-query"):
        return []
    wanted = wanted_debian_packages()
    argv = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    installed = {line.split()[0] for line in lines if line.endswith(" installed")}
    return [name for name in wanted if name.partition(":")[0] not in installed]


def install_debian_packages(packages: list[str], *, essential: bool = False) -> None:
    """Install them when root, else print the command; without ``essential`` the set-up goes on either way."""
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        words = f"system packages are missing; type: sudo {' '.join(command)}"
        if essential:
            raise fail(words, "then run make again")
        say(words)
        say("going on without them: the emulator and the cross compiler will not work, and their tests are skipped")
        return
    say("installing system packages: " + " ".join(packages))
    # The lists of a fresh machine are empty or old: bring them up to date, but only where installing fails.
    if quietly(*command, errors=False) or (quietly("apt-get", "update", "-q") and quietly(*command)):
        return
    words = f"could not install them: {' '.join(command)}"
    if essential:
        raise fail(words, "the lines above say why")
    say(words)


def quietly(*argv: str, errors: bool = True) -> bool:
    """Run a command without questions and without its chatter; say whether it succeeded."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    null = subprocess.DEVNULL
    done = subprocess.run(argv, env=env, stdin=null, stdout=null, stderr=None if errors else null, check=False)
    return done.returncode == 0


# Helper tools that edgekit keeps in its own cache


def fetch_helper_tools() -> None:
    """Fetch the ONNX converter and the AArch64 runtime now; edgekit would otherwise do so on first use."""
    if TOOLS_STAMP.is_file() and TOOLS_STAMP.read_text() == environment_key():
        return
    complete = True
    for name, words in (("aarch64-runtime", "the AArch64 LiteRT runtime"), ("onnx", "the ONNX converter")):
        say(f"fetching {words} into edgekit's cache")
        done = subprocess.run([VENV / "bin" / "edgekit", "doctor", "--install", name], check=False)
        complete &= done.returncode == 0
    if complete:
        TOOLS_STAMP.write_text(environment_key())


if __name__ == "__main__":
    sys.exit(main())
