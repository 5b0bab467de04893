"""Say what of edgekit's surroundings is here, what for, and how to get what is not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from edgekit import resources, toolchain
from edgekit.errors import ToolMissing
from edgekit.sandbox import lockdown
from edgekit.toolchain import Tool, Toolchain

EXTRAS = {  # package: (extra, what it is for)
    "tensorflow": ("train", "reads .keras, .h5 and SavedModel files"),
    "apache-tvm": ("tvm", "compiles networks to libraries: `--backend tvm`"),
    "matplotlib": ("plot", "draws `edgekit profile --plot` and `edgekit compress --plot`"),
    "optuna": ("search", "searches recipes for `edgekit compress`"),
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked for.

    :param essential: the main job, a model on a Raspberry Pi, cannot do without it.
    :param detail: what was found, or what is wrong.
    :param install: the exact command that gets it; empty where it is here.
    """

    name: str
    ok: bool
    essential: bool
    purpose: str
    detail: str
    install: str = ""


def checks() -> list[Check]:
    """Look at everything. Nothing is imported, installed or changed."""
    return [_python(), *_packages(), *_toolchains(), *_helpers(), *_protections(), _cache()]


def healthy(results: list[Check]) -> bool:
    """True if everything essential is here."""
    return all(check.ok for check in results if check.essential)


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    return Check("python", sys.version_info >= (3, 11), True, "runs edgekit", found)


def _packages() -> list[Check]:
    core = [r for r in requires("edgekit") or [] if "extra ==" not in r]
    results = [_package(_bare_name(r), r.split(";")[0].strip(), "edgekit itself", True) for r in core]
    for name, (extra, purpose) in EXTRAS.items():
        results.append(_package(name, f"edgekit[{extra}]", purpose, False))
    return results


def _package(name: str, requirement: str, purpose: str, essential: bool) -> Check:
    try:
        return Check(name, True, essential, purpose, version(name))
    except PackageNotFoundError:
        command = f"{sys.executable} -m uv pip install --python {sys.executable} '{requirement}'"
        return Check(name, False, essential, purpose, "not installed", command)


def _bare_name(requirement: str) -> str:
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return requirement[:end]


def _toolchains() -> list[Check]:
    """onnx2tf is uv's to make: whether it was made is said below."""
    return [_toolchain(toolchain.load(name)) for name in toolchain.names() if name != "onnx2tf"]


def _toolchain(wanted: Toolchain) -> Check:
    try:
        tool = wanted.find()
        detail = _where(tool)
        if wanted.name == "qemu-aarch64":
            from edgekit.runners.emulator import plugin

            detail = f"{shutil.which(plugin.emulator())}, with plugins"
    except ToolMissing as missing:
        command = wanted.tools[0].install_command()
        return Check(wanted.name, False, wanted.essential, wanted.purpose, missing.message, command)
    return Check(wanted.name, True, wanted.essential, wanted.purpose, detail)


def _where(tool: Tool) -> str:
    if tool.program:
        return shutil.which(tool.program) or tool.program
    return f"Python module {tool.module}" if tool.module else str(Path(tool.files[0]).parent)


def _helpers() -> list[Check]:
    """What edgekit fetches by itself on first use, and ``--install`` ahead of time."""
    from edgekit.backends.litert import library
    from edgekit.readers import onnx2tf

    runtime, converter = library.fetched("aarch64"), onnx2tf.python()
    return [
        _helper(
            "aarch64-runtime", "aarch64-runtime", runtime if runtime.is_file() else None, "LiteRT for boards, 6 MB"
        ),
        _helper("onnx2tf", "onnx", converter, f"reads .onnx files ({onnx2tf.requirement()}, 0.5 GB)"),
    ]


def _helper(name: str, installer: str, found: Path | None, purpose: str) -> Check:
    if found:
        return Check(name, True, False, purpose, str(found))
    detail = "not fetched yet; edgekit does so on first use"
    return Check(name, False, False, purpose, detail, f"edgekit doctor --install {installer}")


def _protections() -> list[Check]:
    purpose = {"seccomp": "keeps models read in a child off the network", "landlock": "keeps them off your files"}
    return [
        Check(name, there, False, purpose.get(name, "protects from hostile models"),
              "in this kernel" if there else "this kernel lacks it: read models of strangers in a virtual machine")
        for name, there in lockdown.available().items()
    ]  # fmt: skip


def _cache() -> Check:
    purpose = "keeps what edgekit built or fetched; safe to delete"
    try:
        folder = resources.cache()
    except OSError as error:
        return Check("cache", False, True, purpose, str(error), "export EDGEKIT_CACHE=/a/folder/you/can/write")
    writable = os.access(folder, os.W_OK)
    return Check("cache", writable, True, purpose, str(folder), "" if writable else f"chown {os.getuid()} {folder}")
