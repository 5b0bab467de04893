"""Quantization with a precision for each operator: given, or searched within a bound on the accuracy it may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from edgekit.errors import UsageError
from edgekit.graph.mixture import FLOAT
from edgekit.passes.quantize import Settings

MAX_DROP = 0.5
PRECISIONS = ("int4", "int8", "int16", FLOAT)
"""What an operator can compute in, from the least to the most precise. int4: weights of four bits, activations of
eight; int8: both of eight; int16: weights of eight bits, activations of sixteen."""
ALLOWED = ("int8", "int16", FLOAT)
_OWN = ("max_drop", "precision", "scale", "target", "allow")


@dataclass(frozen=True)
class Plan:
    """The pass's parameters, checked.

    :param settings: of the quantization, as in the pass ``quantize``; ``base`` is the precision they amount to.
    :param precision: other precisions by operator index; None: to be searched.
    :param scale: scale channels that are louder than others (where it helps, in a search).
    :param max_drop: points that a search may lose; ``target``: whose latency it keeps low (None: bytes);
        ``allow``: which precisions it may use.
    """

    settings: Settings
    base: str
    precision: dict[int, str] | None = None
    scale: bool = True
    max_drop: float = MAX_DROP
    target: str | None = None
    allow: tuple[str, ...] = ALLOWED


def plan_of(params: dict[str, Any]) -> Plan:
    """Check a recipe's parameters.

    :raises UsageError: naming the first that is wrong.
    """
    known = [field.name for field in fields(Settings)]
    unknown = set(params) - set(known) - set(_OWN)
    if unknown:
        raise UsageError(
            f"mixed_precision: there is no parameter {sorted(unknown)[0]!r}", "known: " + ", ".join([*_OWN, *known])
        )
    settings = Settings(**{name: value for name, value in params.items() if name in known})
    base = base_of(settings)
    drop, scale, target = params.get("max_drop", MAX_DROP), params.get("scale", True), params.get("target")
    if isinstance(drop, bool) or not isinstance(drop, int | float) or not 0 <= drop <= 100:
        raise UsageError(f"mixed_precision: max_drop is {drop!r}", "it must be in points, 0 to 100")
    if not isinstance(scale, bool):
        raise UsageError(f"mixed_precision: scale is {scale!r}", "it must be true or false")
    if target is not None and not isinstance(target, str):
        raise UsageError(f"mixed_precision: target is {target!r}", "it must be the name of a board")
    return Plan(settings, base, _table(params.get("precision")), scale, float(drop), target, _allowed(params, base))


def base_of(settings: Settings) -> str:
    """The precision that most operators have.

    :raises UsageError: if the activations stay in float.
    """
    if not settings.static:
        raise UsageError("precision by operator needs integer activations", 'set activations = "int8" or "int16"')
    if settings.weights == "int4" and settings.activations == "int16":
        raise UsageError("mixed_precision: int4 weights require int8 activations")
    return "int4" if settings.weights == "int4" else settings.activations


def _allowed(params: dict[str, Any], base: str) -> tuple[str, ...]:
    allow = params.get("allow", list(ALLOWED))
    if not isinstance(allow, list | tuple) or not allow or not set(allow) <= set(PRECISIONS):
        raise UsageError(f"mixed_precision: allow is {allow!r}", "a list of " + ", ".join(PRECISIONS))
    return tuple(p for p in PRECISIONS if p in {*allow, base})


def _table(value: Any) -> dict[int, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise UsageError("mixed_precision: precision is not a table", 'write precision = {"3" = "int16"}')
    for key, precision in value.items():
        if not str(key).isdigit() or precision not in PRECISIONS:
            raise UsageError(
                f"mixed_precision: precision of {key!r} is {precision!r}",
                "an operator's index, and " + ", ".join(PRECISIONS),
            )
    return {int(key): precision for key, precision in value.items()}
