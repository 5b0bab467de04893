"""Fairness of compression: accuracy of each class and each group, before and after, and whether a difference is real.

Both networks see the same samples, so all that matters are two counts a part: samples ``lost`` (right before, wrong
after) and ``won`` (the reverse). Small parts swing by chance, so nothing is reported without its interval:

* accuracy: the 95 % score interval of a share (Wilson, JASA 1927);
* drop, in points: the 95 % interval of a difference of paired shares (Agresti & Min, Stat. Med. 2005: half a sample is
  added to each of the four cells, so that no drop in ten samples is not taken for certainty);
* ``notable``: the part lost more than it won beyond chance (sign test, McNemar's exact form), it lost more of its
  right answers than the other parts beyond chance (Fisher's exact test), and more points than the whole. Both tests at
  5 %, one-sided, divided by the number of parts looked at (Bonferroni), since the worst of ten is picked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import CheckFailed, UsageError
from edgekit.metrics.bounds import Bounds

Z = 1.959964
"""Quantile of the normal distribution for intervals of 95 %."""
LEVEL = 0.05


@dataclass(frozen=True)
class Part:
    """Samples of one class or group: how many there are, are right ``before`` and ``after``, were ``lost`` and ``won``.

    :param kind: ``class``, ``group`` or ``all``.
    """

    kind: str
    name: str
    samples: int
    before: int
    after: int
    lost: int
    won: int

    @property
    def drop(self) -> float:
        """Points of accuracy that went, 0..100; below 0 where it rose."""
        return 100 * (self.before - self.after) / self.samples

    def json(self) -> dict[str, Any]:
        """``float`` and ``compiled`` are 0..1 with ``low`` and ``high`` of the latter; ``drop`` is a figure, points."""
        low, high = wilson(self.after, self.samples)
        least, most = _drop_interval(self)
        return {
            "samples": self.samples,
            "float": self.before / self.samples,
            "compiled": self.after / self.samples,
            "low": low,
            "high": high,
            "lost": self.lost,
            "won": self.won,
            "drop": {"value": self.drop, "low": least, "high": most},
        }


def wilson(right: int, samples: int) -> tuple[float, float]:
    """The 95 % score interval (0..1) of a share ``right / samples``; ``samples`` is 1 or more."""
    share, extra = right / samples, Z * Z / samples
    middle = (share + extra / 2) / (1 + extra)
    half = Z * math.sqrt(share * (1 - share) / samples + extra / (4 * samples)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def report(
    labels: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    *,
    classes: int,
    groups: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Compare predictions before and after, part by part: what ``accuracy`` in ``compile --json`` holds.

    :param labels: the right classes, int64 ``[n]``, n at least 1; ``before`` and ``after``: the predicted ones.
    :param classes: of the network; those without a sample are listed under ``missing_classes``.
    :param groups: each sample's group, integers or strings ``[n]``.
    :returns: the whole's samples, accuracies and drop, ``classes``, ``groups`` (null without any), and ``worst``: of
        the notable parts, else of all, the one with the largest drop; null where none dropped.
    """
    kept, still = before == labels, after == labels
    whole = _part("all", "all", kept, still)
    by_class = [_part("class", str(c), kept[m], still[m]) for c in range(classes) if (m := labels == c).any()]
    by_group = [] if groups is None else [_part("group", str(g), kept[groups == g], still[groups == g])
                                          for g in np.unique(groups)]  # fmt: skip
    rows = {part: _row(part, whole, len(family)) for family in (by_class, by_group) for part in family}
    seen = {int(part.name) for part in by_class}
    return {
        **whole.json(),
        "classes": [rows[part] for part in by_class],
        "groups": None if groups is None else [rows[part] for part in by_group],
        "missing_classes": [c for c in range(classes) if c not in seen],
        "worst": _worst(rows),
    }


def check(bounds: Bounds, found: dict[str, Any]) -> None:
    """Hold the drops against a recipe's bounds.

    :param found: what :func:`report` returned.
    :raises UsageError: if a bound cannot be checked on these samples.
    :raises CheckFailed: naming the class or group, its drop and the bound.
    """
    if bounds.class_drop is not None and found["missing_classes"]:
        raise UsageError(
            f"class_drop cannot be checked: the data has no sample of {listed(found['missing_classes'])}",
            "pass --test data with samples of every class",
        )
    whole = [("accuracy_drop", {"kind": "all", "name": "all", **found})]
    families = [(key, row) for key, rows in (("class_drop", found["classes"]), ("group_drop", found["groups"] or []))
                for row in rows]  # fmt: skip
    broken = []
    for key, row in whole + families:
        bound, drop = getattr(bounds, key), row["drop"]
        if bound is not None and drop["value"] > bound + 1e-9:
            broken.append((drop["value"] - bound, key, bound, row))
    if not broken:
        return
    _, key, bound, row = max(broken, key=lambda entry: entry[0])
    drop = row["drop"]
    more = f"; {len(broken) - 1} more" if len(broken) > 1 else ""
    noise = drop["low"] <= bound
    raise CheckFailed(
        f"{_name(row)} loses {points(drop)} on {row['samples']} samples; {key} allows {bound:g}{more}",
        "no bundle was written; "
        + (
            "so few samples prove little: test on more of them"
            if noise
            else "compress less, or raise the bound in the recipe"
        ),
    )


def words(found: dict[str, Any]) -> str:
    """Summarize the worst part in one line; empty if nothing is notable."""
    worst = found["worst"]
    if not worst or not worst["notable"]:
        return ""
    row = next(r for r in [*found["classes"], *(found["groups"] or [])]
               if (r["kind"], r["name"]) == (worst["kind"], worst["name"]))  # fmt: skip
    return (
        f"worst: {_name(row)} loses {points(row['drop'])} on {row['samples']} samples "
        f"({row['float']:.2%} before, {row['compiled']:.2%} compiled); overall {found['drop']['value']:.3g}"
    )


def points(drop: dict[str, float]) -> str:
    """Format a drop: ``3.1 points (1.2 to 5)``."""
    return f"{drop['value']:.3g} points ({drop['low']:.3g} to {drop['high']:.3g})"


def listed(names: Sequence[int]) -> str:
    """Format classes: ``class 3``, ``classes 3, 5``; only the first five of many."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"class{'es' if len(names) > 1 else ''} " + ", ".join(map(str, names[:5])) + more


def _name(row: dict[str, Any]) -> str:
    return "the network" if row["kind"] == "all" else f"{row['kind']} {row['name']}"


def _part(kind: str, name: str, kept: NDArray[np.bool_], still: NDArray[np.bool_]) -> Part:
    lost, won = int((kept & ~still).sum()), int((still & ~kept).sum())
    return Part(kind, name, len(kept), int(kept.sum()), int(still.sum()), lost, won)


def _row(part: Part, whole: Part, family: int) -> dict[str, Any]:
    level = LEVEL / family
    notable = (
        part.drop > whole.drop
        and sign_test(part.lost, part.won) < level
        and _fisher(part.lost, part.before, whole.lost, whole.before) < level
    )
    return {"kind": part.kind, "name": part.name, **part.json(), "notable": notable}


def _worst(rows: dict[Part, dict[str, Any]]) -> dict[str, Any] | None:
    dropped = [row for part, row in rows.items() if part.drop > 0]
    if not dropped:
        return None
    worst = max(dropped, key=lambda row: (row["notable"], row["drop"]["value"]))
    return {name: worst[name] for name in ("kind", "name", "samples", "drop", "notable")}


def _drop_interval(part: Part) -> tuple[float, float]:
    """The 95 % interval of the drop in points (Agresti & Min 2005)."""
    lost, won, n = part.lost + 0.5, part.won + 0.5, part.samples + 2
    middle = (lost - won) / n
    half = Z * math.sqrt(lost + won - (lost - won) ** 2 / n) / n
    return 100 * max(-1.0, middle - half), 100 * min(1.0, middle + half)


def sign_test(lost: int, won: int) -> float:
    """P(at least ``lost`` of the ``lost + won`` changed samples are losses, were both as likely)."""
    n = lost + won
    return _total([_log_choose(n, k) - n * math.log(2) for k in range(lost, n + 1)])


def _fisher(lost: int, right: int, all_lost: int, all_right: int) -> float:
    """P(at least ``lost`` of a part's ``right`` answers are among the ``all_lost`` of ``all_right``), drawn blindly."""
    ways = _log_choose(all_right, all_lost)
    possible = range(max(lost, all_lost - (all_right - right)), min(right, all_lost) + 1)
    return _total([_log_choose(right, k) + _log_choose(all_right - right, all_lost - k) - ways for k in possible])


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _total(logarithms: list[float]) -> float:
    return min(1.0, math.fsum(map(math.exp, logarithms)))
