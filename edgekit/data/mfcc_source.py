"""Writes the constants of an MFCC front end as C, for ``firmware_stubs/audio/ek_mfcc.c``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgekit.data.mfcc import BAND, OFFSET, Mfcc, Quantization, tables

_PER_LINE = 16


@dataclass(frozen=True)
class Source:
    """The two files."""

    code: str
    header: str


def source(spec: Mfcc, quantization: Quantization, name: str = "mfcc") -> Source:
    """Write a front end as ``const struct ek_mfcc NAME``.

    :param quantization: of the network's input. :param name: a C identifier, and the header's name.
    """
    constants, (multiplier, shift) = tables(spec), quantization.multiplier
    turn = np.stack([constants.cosine, constants.sine], axis=1)
    arrays = {
        "hann": ("uint16_t", constants.window),
        "turn": ("int32_t", turn),
        "band": ("uint8_t", constants.band),
        "rise": ("uint16_t", constants.rise),
        "dct": ("int16_t", constants.dct),
        "log": ("uint16_t", np.append(constants.log, 0)),
    }
    fields = {
        "window": spec.window, "stride": spec.stride, "fft": spec.fft, "first": constants.first,
        "bins": len(constants.band), "bands": spec.bands, "coefficients": spec.coefficients,
        **{key: key for key in arrays}, "offset": round(OFFSET * 2**BAND), "multiplier": multiplier, "shift": shift,
        "zero_point": quantization.zero_point,
    }  # fmt: skip
    code = [
        f'/* Written by edgekit. */\n#include "{name}.h"\n',
        *(f"static const {kind} {key}[{max(1, values.size)}] = {{\n{_lines(values.reshape(-1).tolist() or [0])}\n}};\n"
          for key, (kind, values) in arrays.items()),
        f"const struct ek_mfcc {name} = {{", *(f"    .{key} = {value}," for key, value in fields.items()), "};\n",
    ]  # fmt: skip
    macros = {
        "RATE": spec.rate, "WINDOW": spec.window, "STRIDE": spec.stride, "COEFFICIENTS": spec.coefficients,
        "SCRATCH": f"EK_MFCC_SCRATCH({spec.fft}, {spec.bands})",
    }  # fmt: skip
    upper = name.upper()
    header = [
        f'/* Written by edgekit. */\n#ifndef {upper}_H\n#define {upper}_H\n\n#include "ek_mfcc.h"\n',
        *(f"#define {upper}_{key} {value}" for key, value in macros.items()),
        f"\nextern const struct ek_mfcc {name};\n\n#endif\n",
    ]
    return Source("\n".join(code), "\n".join(header))


def _lines(values: list[int]) -> str:
    return "\n".join(_line(values[start : start + _PER_LINE]) for start in range(0, len(values), _PER_LINE))


def _line(values: Iterable[int]) -> str:
    return f"    {', '.join(map(str, values))},"
