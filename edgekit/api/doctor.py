"""Report which tools are installed, what they are for, and how to get the missing ones."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from edgekit import resources, sandbox
from edgekit.errors import EdgekitError, ToolMissing, UsageError
from edgekit.files import temporary
from edgekit.sandbox import lockdown
from edgekit.sandbox.loopback import Loopback
from edgekit.tools import toolchain
from edgekit.tools.toolchain import Tool, Toolchain

GROUPS = {
    "core": "edgekit itself",
    "models": "Reading and training models",
    "boards": "Raspberry Pi, Jetson's processor and other Linux boards",
    "microcontrollers": "Microcontrollers",
    "fpga": "FPGAs",
    "tvm": "TVM: compiled networks and tuning",
    "gpus": "GPUs",
    "phones": "Phones",
    "coral": "Coral Edge TPU",
    "search": "Searching and plotting",
    "safety": "Protection from untrusted models",
    "tests": "edgekit's own tests",
    "other": "Other",
}
"""Headings of the groups, in the order of the report."""


@dataclass(frozen=True)
class Extra:
    """Texts for the packages of one of edgekit's extras (pyproject.toml)."""

    group: str
    purpose: str
    without: str


EXTRAS = {
    "train": Extra(
        "models", "reads .keras, .h5 and SavedModel files; trains",
        "Keras models and SavedModels cannot be read, and no recipe can train",
    ),
    "tvm": Extra(
        "tvm", "compiles networks to libraries (--backend tvm)",
        "networks can be run only by LiteRT, and ONNX models that TFLite cannot represent are refused",
    ),
    "plot": Extra("search", "plots: --plot", "there are tables and JSON, but no plots"),
    "search": Extra("search", "searches for recipes (edgekit compress)", "`edgekit compress` does not start"),
    "parquet": Extra("models", "reads Parquet tables as data", "tables are read from CSV files only"),
    "unicorn": Extra(
        "microcontrollers", "emulates Cortex-M without QEMU, and in tests boards' own chips",
        "without QEMU, nothing emulates Cortex-M; the tests of boards' own firmware are skipped",
    ),
}  # fmt: skip
OWN = "onnx2tf", "ethos-u-vela", "yowasp", "da4ml", "hls4ml"
"""Toolchains whose programs have an environment of their own."""
RPC = "tornado", "psutil", "cloudpickle"
"""Packages that TVM's tracker and servers import, but that its wheel does not require: edgekit's extra ``farm``."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    :param essential: the main job, a model on a Raspberry Pi, cannot be done without it.
    :param detail: what was found, or what is wrong.
    :param install: the exact command that installs it; empty if it is installed.
    :param group: a key of :data:`GROUPS`.
    :param without: what cannot be done without it, as text.
    """

    name: str
    ok: bool
    essential: bool
    purpose: str
    detail: str
    install: str = ""
    group: str = "other"
    without: str = ""


def checks() -> list[Check]:
    """Run all checks. Nothing is imported, installed or changed, but a child is sandboxed and tries to get out."""
    found = [
        _python(), *_packages(), _rpc(), *_toolchains(), _driver(), *_helpers(), *_protections(), _lock(), _workers(),
        _cache(),
    ]  # fmt: skip
    return sorted(found, key=lambda check: list(GROUPS).index(check.group))


def healthy(results: list[Check]) -> bool:
    """True if everything essential is installed."""
    return all(check.ok for check in results if check.essential)


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    return Check("python", sys.version_info >= (3, 11), True, "runs edgekit", found, group="core")


def _packages() -> list[Check]:
    """The packages that edgekit and its extras require, except those that a toolchain describes better."""
    described = {_bare_name(r) for name in toolchain.names() for tool in toolchain.load(name).tools for r in tool.pip}
    core, extras = [], []
    for requirement in requires("edgekit") or []:
        plain, _, condition = requirement.partition(";")
        name = _bare_name(plain)
        if "extra ==" not in condition:
            words = Extra("core", "edgekit itself", "edgekit does not work")
            core.append(_package(name, plain.strip(), words, True))
        elif (extra := condition.split("extra ==")[1].strip(" '\"")) in EXTRAS and name not in described:
            extras.append(_package(name, f"edgekit[{extra}]", EXTRAS[extra], False))
    return core + extras


def _package(name: str, requirement: str, words: Extra, essential: bool) -> Check:
    try:
        detail, command = version(name), ""
    except PackageNotFoundError:
        detail, command = "not installed", _pip(requirement)
    return Check(name, not command, essential, words.purpose, detail, command, words.group, words.without)


def _pip(requirement: str) -> str:
    return f"{sys.executable} -m uv pip install --python {sys.executable} '{requirement}'"


def _rpc() -> Check:
    """Check what TVM's RPC tracker and servers need in addition to TVM."""
    absent = [name for name in ("tvm", *RPC) if importlib.util.find_spec(name) is None]
    detail = "TVM's tracker and servers" if not absent else "not installed: " + ", ".join(absent)
    return Check(
        "tvm-rpc", not absent, False, "reaches a farm of boards through TVM's RPC tracker (--on tracker://HOST:PORT)",
        detail, _pip("edgekit[farm]") if absent else "", "tvm",
        "networks can be tuned only on this machine and over ssh",
    )  # fmt: skip


def _driver() -> Check:
    """Check for NVIDIA's driver, which a machine without a GPU does not have."""
    found = find_library("cuda") or ""
    return Check(
        "cuda-driver", bool(found), False, "runs CUDA bundles on this machine's own NVIDIA GPU (--on host-gpu)",
        found or "libcuda.so.1 is not installed",
        "" if found else "on a machine with an NVIDIA GPU, as root: apt-get install nvidia-driver (Debian: non-free)",
        "gpus", "CUDA bundles are proven on the CPU, by a stand-in for the driver, and not timed",
    )  # fmt: skip


def _bare_name(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return requirement[:end]


def _toolchains() -> list[Check]:
    """Check all toolchains but those that uv installs in environments of their own: they are checked separately."""
    return [_toolchain(toolchain.load(name)) for name in toolchain.names() if name not in OWN]


def _toolchain(wanted: Toolchain) -> Check:
    words = wanted.group, wanted.without
    try:
        tool = wanted.find()
        detail = _where(tool)
        if wanted.name.startswith("qemu-") and not tool.module:
            from edgekit.runners import tracing

            detail = f"{shutil.which(tracing.emulator(wanted.name))}, with plugins"
    except ToolMissing as missing:
        command, detail = wanted.tools[0].install_command(), missing.message.split("; it ")[0]
        if other := wanted.without_root():
            detail += f"; without root: {other.install_command()}"
        return Check(wanted.name, False, wanted.essential, wanted.purpose, detail, command, *words)
    return Check(wanted.name, True, wanted.essential, wanted.purpose, detail, "", *words)


def _where(tool: Tool) -> str:
    if tool.program:
        return shutil.which(tool.program) or tool.program
    return f"Python module {tool.module}" if tool.module else str(Path(tool.files[0]).parent)


def _helpers() -> list[Check]:
    """Check what edgekit fetches by itself on first use, and ``--install`` ahead of time."""
    from edgekit.backends.da4ml import ENVIRONMENT as DA4ML
    from edgekit.backends.hls4ml import ENVIRONMENT as HLS4ML
    from edgekit.backends.litert import library
    from edgekit.backends.overlay.route.tools import ENVIRONMENT as YOWASP
    from edgekit.backends.vela.compiler import ENVIRONMENT as VELA
    from edgekit.readers import onnx2tf

    try:
        runtime, converter = library.fetched("aarch64"), onnx2tf.python()
        vela, yowasp, da4ml = VELA.interpreter(), YOWASP.interpreter(), DA4ML.interpreter()
        hls4ml = HLS4ML.interpreter()
    except (UsageError, OSError):  # there is no cache to look into; its own check says so
        runtime, converter, vela, yowasp, da4ml, hls4ml = Path(), None, None, None, None, None
    described, npus, fpgas, logic, hls = map(toolchain.load, OWN)
    return [
        _helper(
            "aarch64-runtime", "aarch64-runtime", runtime if runtime.is_file() else None, "LiteRT for boards, 6 MB",
            "boards", "it is fetched when a bundle for a 64-bit Arm board is first built, which needs the network",
        ),
        _helper(
            "onnx2tf", "onnx", converter, f"reads .onnx files ({onnx2tf.requirement()}, 0.6 GB)", described.group,
            described.without,
        ),
        _helper(
            "ethos-u-vela", "ethos-u", vela, f"compiles networks for Ethos-U ({VELA.requirement()}, {VELA.size})",
            npus.group, npus.without,
        ),
        _helper(
            "yowasp", "fpga", yowasp, f"places and routes for FPGAs ({YOWASP.requirement()}, yosys; {YOWASP.size})",
            fpgas.group, fpgas.without,
        ),
        _helper(
            "da4ml", "da4ml", da4ml, f"writes small networks as Verilog ({DA4ML.requirement()}, {DA4ML.size})",
            logic.group, logic.without,
        ),
        _helper(
            "hls4ml", "hls4ml", hls4ml,
            f"writes projects for high-level synthesis ({HLS4ML.requirement()}, {HLS4ML.size})", hls.group, hls.without,
        ),
    ]  # fmt: skip


def _helper(name: str, installer: str, found: Path | None, purpose: str, group: str, without: str) -> Check:
    if found:
        return Check(name, True, False, purpose, str(found), "", group, without)
    detail = "not installed yet; edgekit fetches it on first use"
    return Check(name, False, False, purpose, detail, f"edgekit doctor --install {installer}", group, without)


def _protections() -> list[Check]:
    purpose = {
        "seccomp": "keeps child processes that handle models off the network",
        "landlock": "keeps them away from your files",
    }
    return [
        Check(name, there, False, purpose.get(name, "protects from hostile models"),
              "in this kernel" if there else "this kernel lacks it: read untrusted models in a virtual machine",
              group="safety", without="a hostile model that breaks out of its interpreter meets one barrier less")
        for name, there in lockdown.available().items()
    ]  # fmt: skip


MEANINGS = {
    "Landlock": "a hostile model can read and change your files",
    "seccomp": "a hostile model can reach the network, other processes and all system calls",
    "no_new_privs": "a hostile model can gain privileges from programs that have more",
    "capabilities": "a hostile model keeps the privileges of the user who runs edgekit",
}
"""Consequences if a part of the sandbox is missing; keys begin the names in :func:`lockdown.not_in_force`."""


def _lock() -> Check:
    """Sandbox a child for real and let it try what it must not."""
    try:
        answer = _tried()
    except (EdgekitError, OSError) as error:
        return _lock_check(f"no child process could be sandboxed: {error}", "models of most formats cannot be read")
    missing, done = answer["missing"], [name for name, succeeded in answer["tried"].items() if succeeded]
    if not missing and not done:
        return _lock_check(
            f"in force: a child process tried {len(answer['tried'])} forbidden things, and all were refused", ""
        )
    parts = [part for part in MEANINGS if any(name.startswith(part) for name in missing)]
    detail = f"missing: {', '.join(missing)}" if missing else "set"
    if done:
        detail += f"; a child process could {', '.join(done)}"
    meaning = "; ".join(MEANINGS[part] for part in parts) or "a hostile model can do that, too"
    refused = "edgekit reads no model in such a child process unless --no-sandbox is given" if missing else ""
    return _lock_check(detail, "; ".join(filter(None, (meaning, refused))))


def _workers() -> Check:
    """Check that workers can get a network of their own, by creating one."""
    purpose, without = "isolates workers that train together", "--workers N works only with one worker"
    detail = "this kernel gives them a network of their own"
    try:
        Loopback().close()
    except ToolMissing as error:
        return Check(
            "workers", False, False, purpose, f"{error.message}; {error.hint}", group="safety", without=without
        )
    return Check("workers", True, False, purpose, detail, group="safety", without=without)


def _lock_check(detail: str, wrong: str) -> Check:
    without = wrong or "a hostile model can do what you can"
    purpose = "keeps models away from files, processes and the network"
    return Check("lock", not wrong, sandbox.required(), purpose, detail, group="safety", without=without)


def _tried() -> dict[str, Any]:
    """Return what a sandboxed child reports about its sandbox, and what it could do to a file and a process of ours."""
    with temporary.folder() as place:
        theirs = place / "theirs"
        theirs.mkdir()
        (theirs / "file").write_text("kept")
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as other:  # fmt: skip
            args = {"path": str(theirs / "file"), "pid": other.pid}
            limits = sandbox.Limits(seconds=60)
            answer, _ = sandbox.call("edgekit.sandbox.probe:few", args, limits=limits, anyway=True)
    return answer


def _cache() -> Check:
    """Check the cache: one that is filled works without being writable, but nothing can be added to it."""
    purpose, words = "keeps what edgekit built or fetched; safe to delete", ("core", "nothing can be compiled")
    command = "export EDGEKIT_CACHE=/a/writable/folder"
    try:
        folder = resources.created(resources.cache())
    except UsageError as error:
        there = error.hint == resources.ANOTHER_CACHE and _filled()
        return Check("cache", there, True, purpose, error.message, command, *words)
    return Check("cache", True, True, purpose, str(folder), "", *words)


def _filled() -> bool:
    """True if the cache holds something."""
    try:
        return any(resources.cache().iterdir())
    except (OSError, UsageError):
        return False
