"""What lies beside the package: the check for a Mac, and a Swift sample (``firmware_stubs/ios``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHECK = "verify_on_mac.py"


def write(about: dict[str, Any], golden: Path, folder: Path) -> None:
    """Write both to ``folder``."""
