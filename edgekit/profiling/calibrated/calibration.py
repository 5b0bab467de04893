"""Calibrations: costs fitted to measurements of one board, runtime and dtype, as files in ``targets/calibration/``.

``tools/calibrate.py`` writes them; docs/calibration.md says how, and how far they can be trusted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from operator import mul
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.files import documents, tables
from edgekit.files.tables import number
from edgekit.profiling.calibrated import folder as folder
from edgekit.profiling.calibrated import listed
from edgekit.profiling.calibrated import path as location
from edgekit.profiling.calibrated.quantities import NAMES
from edgekit.profiling.dtypes import Dtype

ROUNDING = 1e-3
"""Variances may be negative by as much: the files hold rounded figures."""
BROKEN = "run `make calibration` to write it again, or remove it"


@dataclass(frozen=True, kw_only=True)
class MeasuredPower:
    """Power of the board while it infers, watts; 90 % of the measured networks drew between ``low`` and ``high``.

    :param mape, coverage: of the energies of networks left out, time and power both predicted; None: of none.
    """

    scope: str
    watts: float = number("power while it infers, watts")
    low: float = number("least power while it infers, watts")
    high: float = number("greatest power while it infers, watts")
    samples: int = number("networks whose power was measured", whole=True)
    mape: float | None = number("mean error of energies of what was left out", default=None, zero=True)
    coverage: float | None = number("part of those within the interval", default=None, zero=True, most=1)

    @property
    def judged(self) -> tuple[float, float] | None:
        """Mean error and coverage of energies; None where none were judged."""
        return None if self.mape is None or self.coverage is None else (self.mape, self.coverage)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """One file.

    :param threads: what an estimate assumes if nobody says. :param scaling: False if the costs are for those only.
    :param samples: rows fitted. :param mape, within_10, within_20: of networks left out of the fit, as parts of 1;
        ``left_out`` says what was left out at once. :param coverage: part of those within the interval.
    :param caution: why intervals hold less often than they should, where they do.
    :param width: the interval's reach, in predicted deviations of the logarithm.
    :param kinds: kinds of operators that the measured networks have. :param macs: the least and the most of them.
    :param covariance: lower triangle, row by row, of the logarithms' covariance: numbers in a text, because a TOML
        array of them takes most of the time that a file takes to read.
    """

    target: str
    runtime: str
    dtype: Dtype
    threads: int = number("threads", whole=True)
    scaling: bool
    clock_mhz: float = number("clock while it was measured, MHz")
    power_mode: str = ""
    samples: int = number("measured rows", whole=True)
    families: tuple[str, ...]
    left_out: str
    mape: float = number("mean error of what was left out", zero=True)
    within_10: float = number("part within 10 %", zero=True, most=1)
    within_20: float = number("part within 20 %", zero=True, most=1)
    coverage: float = number("part within the interval", zero=True, most=1)
    caution: str = ""
    width: float = number("the interval's reach in deviations")
    kinds: tuple[str, ...]
    macs: tuple[float, ...]
    source: str
    covariance: str
    costs: Mapping[str, float]
    power: MeasuredPower | None = None

    @property
    def lower(self) -> tuple[float, ...]:
        """The covariance's lower triangle, row by row.

        :raises ValueError: if it holds anything but numbers.
        """
        return tuple(map(float, self.covariance.split(",")))

    def json(self) -> dict[str, Any]:
        """What ``edgekit targets --json`` says of it."""
        return {
            "runtime": self.runtime, "dtype": str(self.dtype), "threads": self.threads, "samples": self.samples,
            "mape": self.mape, "within_10": self.within_10, "within_20": self.within_20, "coverage": self.coverage,
            "power_mode": self.power_mode, "clock_mhz": self.clock_mhz, "left_out": self.left_out,
            "caution": self.caution, "families": list(self.families), "source": self.source,
            "energy": asdict(self.power) if self.power else None,
        }  # fmt: skip


def read(path: Path, *, thorough: bool = True) -> Calibration:
    """Read one of edgekit's own files, which are named by what is in them.

    :param thorough: as for :func:`parse`.
    :raises UsageError: naming the file and the key that is wrong.
    """
    found = parse(path, thorough=thorough)
    if (found.target, f"{found.runtime}-{found.dtype}") != (path.parent.name, path.stem):
        raise UsageError(
            f"{path}: not a calibration: target, runtime and dtype are not those of the file's name", BROKEN
        )
    return found


def parse(path: Path, *, thorough: bool = True) -> Calibration:
    """Read a calibration's file, whatever its name.

    :param thorough: check the covariance, too, which only estimates need.
    :raises UsageError: naming the file and the key that is wrong.
    """
    try:
        data = documents.read_toml(path)
        if data.get("schema") != 1:
            raise ValueError("schema must be 1")
        found = tables.build(Calibration, data)
        missing = [name for name in NAMES if name not in found.costs]
        if missing:
            raise ValueError(f"costs.{missing[0]} is missing")
        if not all(found.costs[name] > 0 for name in NAMES):
            raise ValueError("a cost is not positive")
        if thorough:
            _check(found.lower)
        return found
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: not a calibration: {error}", BROKEN) from error


def text(one: Calibration, header: str = "") -> str:
    """The content of a calibration's file."""
    own = ("costs", "power")
    keys = [key.name for key in fields(one) if key.name not in own]
    lines = [*([header] if header else []), "schema = 1"]
    lines += [f"{key} = {json.dumps(getattr(one, key))}" for key in keys if key != "covariance"]
    lines.append(f"covariance = '{one.covariance}'")
    lines += ["", "[costs]", *(f"{key} = {json.dumps(value)}" for key, value in one.costs.items())]
    if one.power is not None:
        values = ((key.name, getattr(one.power, key.name)) for key in fields(one.power))
        lines += ["", "[power]", *(f"{key} = {json.dumps(value)}" for key, value in values if value is not None)]
    return "\n".join(lines) + "\n"


def _check(lower: Sequence[float]) -> None:
    size = len(NAMES) * (len(NAMES) + 1) // 2
    if len(lower) != size or not all(abs(value) < 1e6 for value in lower):
        raise ValueError(f"covariance must have {size} numbers")
    if not _is_covariance(lower, ROUNDING):
        raise ValueError("covariance is not one: it has negative variances")


def _is_covariance(lower: Sequence[float], slack: float) -> bool:
    """True if no variance is below ``-slack``: if Cholesky's decomposition exists with it added to the diagonal."""
    rows: list[list[float]] = []
    for i in range(len(NAMES)):
        given, row = lower[i * (i + 1) // 2 :], list[float]()
        for j in range(i):
            row.append((given[j] - sum(map(mul, row, rows[j]))) / rows[j][j])
        left = given[i] + slack - sum(map(mul, row, row))
        if left <= 0:
            return False
        rows.append([*row, left**0.5])
    return True


@cache
def load(target: str, runtime: str, dtype: Dtype) -> Calibration:
    """Read one calibration of a target.

    :raises UsageError: if its file is damaged.
    """
    return read(location(target, runtime, dtype))


def of(target: str) -> tuple[Calibration, ...]:
    """All calibrations of a target, in the order of their names.

    :raises UsageError: if a file is damaged.
    """
    return tuple(_told(target, runtime, dtype) for runtime, dtype in listed(target))


@cache
def _told(target: str, runtime: str, dtype: Dtype) -> Calibration:
    """A calibration for what is told of it."""
    return read(location(target, runtime, dtype), thorough=False)


PREFERRED = ("tflite-2.18-xnnpack", "tflite-xnnpack", "tflite-2.11-ruy", "tflite-2.7-ruy", "tflite-2.5-ruy", "tflite")
"""Whose figures stand for LiteRT, the newest first."""
INFERRED: dict[str, str] = {
    "tvm": "networks compiled with TVM are as fast as LiteRT's on the host, to about 30 %, on one thread",
}
"""edgekit's own runtimes that nobody measured, and why LiteRT's figures stand for them."""
ALIKE: dict[Dtype, tuple[Dtype, ...]] = {
    Dtype.FLOAT32: (Dtype.FLOAT32, Dtype.FLOAT16), Dtype.FLOAT16: (Dtype.FLOAT16, Dtype.FLOAT32),
    Dtype.INT8: (Dtype.INT8,), Dtype.UINT8: (Dtype.INT8,), Dtype.HYBRID: (), Dtype.INT16: (),
}  # fmt: skip
"""Dtypes whose figures stand for a dtype's, the best first: float16 weights are computed in float32 on these cores."""


@dataclass(frozen=True)
class Choice:
    """A calibration, and in words why it stands for what was asked; empty where it is just that."""

    calibration: Calibration
    inferred: str = ""


def choose(target: str, runtime: str, dtype: Dtype, power_mode: str = "") -> Choice | None:
    """Return the calibration for a runtime as users or bundles name it (``litert 2.3.0``), None if there is none."""
    plain = _plain(runtime)
    for kind in ALIKE[dtype]:
        own = [name for name, of_dtype in listed(target) if of_dtype is kind]
        for name in _names(plain, own):
            found = load(target, name, kind)
            if power_mode and found.power_mode != power_mode:
                continue
            why = INFERRED.get(plain, "")
            if kind is not dtype:
                why = "; ".join(filter(None, (why, f"{kind} stands for {dtype}")))
            return Choice(found, why)
    return None


def _plain(runtime: str) -> str:
    """``LiteRT 2.3.0`` is ``litert``, ``tflite-v2.4.1-ruy`` is ``tflite-2.4-ruy``."""
    name = runtime.lower().split(" ")[0]
    return re.sub(r"-v?(\d+)\.(\d+)(?:\.\d+)*", r"-\1.\2", name)


def _names(asked: str, known: list[str]) -> list[str]:
    """The known runtimes that a name may mean, the best first."""
    if asked in known:
        return [asked]
    if asked in ("litert", "any", *INFERRED):
        return [name for name in PREFERRED if name in known]
    version = re.search(r"\d+\.\d+", asked)
    family = re.sub(r"-\d+\.\d+", "", asked)
    alike = [name for name in known if re.sub(r"-\d+\.\d+", "", name) == family]
    wanted = _version(version[0]) if version else (99, 0)
    return sorted(alike, key=lambda name: (_distance(name, wanted), name))


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _distance(name: str, wanted: tuple[int, int]) -> float:
    """How far a runtime's version is from the wanted one."""
    own = re.search(r"\d+\.\d+", name)
    major, minor = _version(own[0]) if own else (0, 0)
    return abs((major - wanted[0]) * 100 + minor - wanted[1])


def runtimes(target: str) -> list[str]:
    """Names of the runtimes that a target has calibrations for."""
    return sorted({runtime for runtime, _ in listed(target)})


def knows(target: str, runtime: str) -> bool:
    """True if a target has a calibration that a name may mean."""
    return bool(_names(_plain(runtime), runtimes(target)))


def unknown_runtime(target: str, runtime: str) -> UsageError:
    """The error for a runtime that nothing is known of."""
    known = runtimes(target)
    listed = (
        f"known for {target}: {', '.join(known)}" if known else f"no runtime was measured on {target}: omit --runtime"
    )
    return UsageError(f"nothing is known of the runtime {runtime!r} on {target}", listed)
