"""Estimates calibrated on measured boards: work of operators, coefficients as data, intervals with a known coverage."""

from __future__ import annotations

from pathlib import Path

from edgekit import resources
from edgekit.profiling.dtypes import Dtype


def folder() -> Path:
    """Where the calibrations are."""
    return resources.folder("targets") / "calibration"


def listed(target: str) -> tuple[tuple[str, Dtype], ...]:
    """Runtime and dtype of each calibration of a target, by the names of their files."""
    stems = (path.stem.rpartition("-") for path in sorted((folder() / target).glob("*.toml")))
    return tuple((runtime, Dtype(dtype)) for runtime, _, dtype in stems if dtype in list(Dtype))


def path(target: str, runtime: str, dtype: Dtype) -> Path:
    """The file of a calibration."""
    return folder() / target / f"{runtime}-{dtype}.toml"
