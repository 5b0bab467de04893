"""What lists say of calibrations, from an index beside their files, which is parsed in a hundredth of the time.

``tools/calibrate.py`` writes the index. It names each file's digest, and a file that is not the one it was written
from is read itself: an index that is old costs time, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from edgekit.files import documents
from edgekit.profiling import calibrated

FILE = "index.json"
SCHEMA = 1


def of(target: str) -> tuple[dict[str, Any], ...]:
    """What ``edgekit targets --json`` says of each calibration of a target, in the order of their names.

    :raises UsageError: if a file that the index does not know is damaged.
    """
    return tuple(_told(calibrated.path(target, *one)) for one in calibrated.listed(target))


def content(folder: Path) -> str:
    """The index of a folder of calibrations, with a line for each.

    :raises UsageError: if a file is damaged.
    """
    from edgekit.profiling.calibrated import calibration

    lines = []
    for path in sorted(folder.glob("*/*.toml")):
        entry = {"sha256": _digest(path), "told": calibration.read(path).json()}
        lines.append(f"{json.dumps(_key(path))}: {json.dumps(entry)}")
    return f'{{"schema": {SCHEMA}, "files": {{\n' + ",\n".join(lines) + "\n}}\n"


def _told(path: Path) -> dict[str, Any]:
    entry = _index(calibrated.folder()).get(_key(path))
    if entry and entry["sha256"] == _digest(path):
        told: dict[str, Any] = entry["told"]
        return told
    from edgekit.profiling.calibrated import calibration

    return calibration.read(path, thorough=False).json()


@cache
def _index(folder: Path) -> dict[str, Any]:
    """The entries of the index; none if there is no index."""
    try:
        document = documents.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return {}
    files: dict[str, Any] = document["files"] if document["schema"] == SCHEMA else {}
    return files


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
