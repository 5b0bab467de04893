"""What must be the same on all machines of a training run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import edgekit
from edgekit.errors import ToolMissing


def here() -> dict[str, str]:
    """Versions of ``edgekit`` and ``tensorflow`` ("" where it is missing), and a digest of edgekit's ``files``."""
    root = Path(edgekit.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return {"edgekit": edgekit.__version__, "files": digest.hexdigest()[:16], "tensorflow": _tensorflow()}


def _tensorflow() -> str:
    """Its version, under whatever name it was installed; importing it would take seconds."""
    if importlib.util.find_spec("tensorflow") is None:
        return ""
    names = importlib.metadata.packages_distributions().get("tensorflow", ["tensorflow"])
    return importlib.metadata.version(names[0])


def check(host: str, there: Mapping[str, str], mine: Mapping[str, str]) -> None:
    """Return if ``host`` has what is here. :raises ToolMissing: if it lacks something, or has another version."""
    if not there["tensorflow"]:
        raise ToolMissing(
            f"{host} has no TensorFlow", f"install it there: pip install 'edgekit[train]=={mine['edgekit']}'"
        )
    for name, shown in (("edgekit", "edgekit"), ("tensorflow", "TensorFlow")):
        if there[name] != mine[name]:
            raise ToolMissing(
                f"{host} has {shown} {there[name]}, and this machine {mine[name]}", "install the same version on both"
            )
    if there["files"] != mine["files"]:
        raise ToolMissing(
            f"edgekit {there['edgekit']} on {host} differs from the one on this machine",
            "install both from the same wheel or commit",
        )
