"""``[sound]`` of ``task.toml``, and what the manifest keeps of it: each key with its type, bounds and default."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from edgekit.tasks import fields
from edgekit.tasks.features import MOST_BANDS, MOST_FFT, Bands, Log, Mel

_ALL = {"rate", "features", "length", "step", "mean", "std", "range"}
_BANDS = {
    "like", "window", "hop", "fft", "bands", "low", "high", "mel", "power", "log", "floor", "add", "center",
}  # fmt: skip
_MOST_HOP = 1 << 20


class _Like(StrEnum):
    """Whose conventions are the defaults."""

    LIBROSA = "librosa"
    TENSORFLOW = "tensorflow"


def keys(bands: bool, coefficients: bool) -> set[str]:
    """The keys of ``[sound]`` that mean something."""
    return _ALL | (_BANDS if bands else set()) | ({"coefficients"} if coefficients else set())


def bands(table: Mapping[str, Any], rate: int, coefficients: bool) -> Bands:
    """Read how features are computed.

    :raises ValueError: with one line on what is wrong.
    """
    like = fields.choice(_Like, table.get("like", "librosa"), "sound.like")
    tensorflow = like is _Like.TENSORFLOW
    window = fields.whole(table.get("window", 0), MOST_FFT, "sound.window", 2)
    fft = fields.whole(table.get("fft", max(8, 1 << (window - 1).bit_length())), MOST_FFT, "sound.fft", 8)
    if fft & (fft - 1) or fft < window:
        raise ValueError(f"sound.fft = {fft} is not a power of two from {max(8, window)} to {MOST_FFT}")
    count = fields.whole(table.get("bands", 0), MOST_BANDS, "sound.bands", 1)
    center = fields.flag(table.get("center", not tensorflow), "sound.center")
    if center and tensorflow:
        raise ValueError('sound.center is for like = "librosa"')
    low, high = (
        fields.number(table.get("low", 0), "sound.low"),
        fields.number(table.get("high", rate / 2), "sound.high"),
    )
    if not 0 <= low <= high - 1 or high > rate / 2:
        raise ValueError(f"sound.low = {low:g} and high = {high:g} are not between 0 and half the rate, {rate / 2:g}")
    floor = fields.number(table.get("floor", 1e-10), "sound.floor")
    add = fields.number(table.get("add", 1e-6 if tensorflow else 0), "sound.add")
    if floor < 1e-30 or add < 0:
        raise ValueError("sound.floor is above 0, and sound.add at least 0")
    return Bands(
        window, fields.whole(table.get("hop", 0), _MOST_HOP, "sound.hop", 1), fft,
        0 if tensorflow else (fft - window) // 2 - (fft // 2 if center else 0), count, low, high,
        fields.choice(Mel, table.get("mel", "tensorflow" if tensorflow else "slaney"), "sound.mel"),
        fields.whole(table.get("power", 1 if tensorflow else 2), 2, "sound.power", 1),
        fields.choice(Log, table.get("log", "ln" if tensorflow else "db"), "sound.log"), floor, add,
        fields.whole(table.get("coefficients", 0), count, "sound.coefficients", 1) if coefficients else 0,
        not tensorflow, tensorflow,
    )  # fmt: skip


def frames(spec: Bands, length: int) -> int:
    """Frames in a clip, as the library counts them whose conventions ``spec`` follows."""
    return max(0, (length - heard(spec, 1)) // spec.hop + 1)


def heard(spec: Bands, frames: int) -> int:
    """The samples that so many frames take, at least; what centered frames have beyond a clip is silence."""
    center = spec.begin < (spec.fft - spec.window) // 2
    one = spec.window if spec.even else 0 if center else spec.fft
    return (frames - 1) * spec.hop + one


def of_manifest(given: Mapping[str, Any], coefficients: bool) -> Bands:
    """Read what the manifest keeps; ValueError, KeyError or TypeError if it is damaged."""
    fft, window = fields.whole(given["fft"], MOST_FFT, "fft", 8), fields.whole(given["window"], MOST_FFT, "window", 2)
    begin, count = given["begin"], fields.whole(given["bands"], MOST_BANDS, "bands", 1)
    low, high = fields.number(given["low"], "low"), fields.number(given["high"], "high")
    floor, add = fields.number(given["floor"], "floor"), fields.number(given["add"], "add")
    if fft & (fft - 1) or fft < window or not 0 <= low <= high - 1 or floor < 1e-30 or add < 0:
        raise ValueError("its bands are out of range")
    if not isinstance(begin, int) or abs(begin) > MOST_FFT:
        raise ValueError(f"begin = {begin!r}")
    return Bands(
        window, fields.whole(given["hop"], _MOST_HOP, "hop", 1), fft, begin, count, low, high, Mel(given["mel"]),
        fields.whole(given["power"], 2, "power", 1), Log(given["log"]), floor, add,
        fields.whole(given["coefficients"], count, "coefficients", int(coefficients)),
        fields.flag(given["ortho"], "ortho"), fields.flag(given["even"], "even"),
    )  # fmt: skip


def scaling(table: Mapping[str, Any], count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and offset of all features, or of each, rounded to float32."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    if "range" in table:
        if "mean" in table or "std" in table:
            raise ValueError("sound.range excludes mean and std")
        ends = fields.numbers(table["range"])
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError("sound.range is two numbers: the values that become 0 and 1")
        mean, std = ends[:1], (ends[1] - ends[0],)
    else:
        mean, std = each(table.get("mean", 0), count, "mean"), each(table.get("std", 1), count, "std")
    if min(std) <= 0:
        raise ValueError("sound.std is above 0")
    most = max(len(mean), len(std))
    pairs = [(mean[i % len(mean)], std[i % len(std)]) for i in range(most)]
    return tuple(float(np.float32(1 / s)) for _, s in pairs), tuple(float(np.float32(-m / s)) for m, s in pairs)


def each(value: Any, count: int, key: str) -> tuple[float, ...]:
    """One number, or one for each feature."""
    found = fields.numbers(value if isinstance(value, list | tuple) else [value])
    if len(found) not in (1, count):
        raise ValueError(f"{key} has {len(found)} numbers: one, or one for each of the {count} features")
    return found
