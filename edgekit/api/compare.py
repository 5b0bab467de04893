"""Compare bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import bundle as bundles
from edgekit.api.profile import REPEAT, profile
from edgekit.errors import UsageError
from edgekit.profiling import Profile
from edgekit.progress import Progress, Silent


@dataclass(frozen=True)
class Row:
    """One bundle: its size on disk in bytes, accuracy, parity and profile."""

    path: Path
    manifest: dict[str, Any]
    model_bytes: int
    bundle_bytes: int
    profile: Profile

    def json(self) -> dict[str, Any]:
        """Return the row as an entry of ``rows`` in the JSON of ``compare``."""
        accuracy = self.manifest.get("accuracy")
        return {
            "path": str(self.path),
            "model": self.manifest["model"]["name"],
            "target": self.manifest["target"],
            "recipe": self.manifest["recipe"]["name"],
            "backend": self.manifest["backend"],
            "model_bytes": self.model_bytes,
            "bundle_bytes": self.bundle_bytes,
            "accuracy": accuracy["compiled"] if accuracy else None,
            "metrics": self.manifest.get("metrics", []),
            "parity_ok": self.manifest.get("parity", {}).get("ok"),
            "profile": self.profile.json(),
        }


@dataclass(frozen=True)
class Comparison:
    """All rows; ``fastest``, ``smallest`` and ``most_frugal`` are indices into them."""

    rows: list[Row]
    fastest: int
    smallest: int
    most_frugal: int

    def json(self) -> dict[str, Any]:
        """Return the JSON document of ``compare``."""
        return {
            "schema": 1,
            "rows": [row.json() for row in self.rows],
            "fastest": self.fastest,
            "smallest": self.smallest,
            "most_frugal": self.most_frugal,
        }


def compare(
    paths: Sequence[str | Path], *, on: str = "estimate", threads: int = 1, progress: Progress = Silent()
) -> Comparison:
    """Profile every bundle by the same method and mark the fastest, the smallest and the most frugal."""
    if not paths:
        raise UsageError("pass at least one bundle")
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"there is no bundle {path}", "check the path; `edgekit compile` prints it")
        if not bundles.is_bundle(path):
            raise UsageError(f"{path} is not a bundle", "create one with `edgekit compile`")
    rows = []
    for path in map(Path, paths):
        row_profile = profile(path, on=on, threads=threads, repeat=REPEAT, progress=progress)
        with bundles.opened(path) as bundle:
            size = sum(entry["bytes"] for entry in bundle.manifest["files"].values())
            rows.append(Row(path, bundle.manifest, bundle.model.stat().st_size, size, row_profile))
    count = range(len(rows))
    return Comparison(
        rows,
        fastest=min(count, key=lambda i: rows[i].profile.latency_ms.value),
        smallest=min(count, key=lambda i: rows[i].model_bytes),
        most_frugal=min(count, key=lambda i: rows[i].profile.energy_mj.value),
    )
