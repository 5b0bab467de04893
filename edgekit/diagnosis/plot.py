"""Plot of sensitivity: the effect of each operator, quantized alone, on the network's outputs."""

from __future__ import annotations

from pathlib import Path

from edgekit.data import picture
from edgekit.diagnosis.diagnose import Diagnosis, Row
from edgekit.diagnosis.measure import metric

MOST_BARS = 60
"""A longer network shows its most sensitive operators only."""
EXACT_DB = 80.0
"""Where there is no noise at all the bar ends here."""
LABELS = {"accuracy": "points of accuracy lost", "agreement": "% of labels that change", "noise": "% noise"}


def draw(found: Diagnosis, path: Path) -> None:
    """Draw two panels, operators from top to bottom: SQNR of the network's outputs in dB, and what is lost."""
    rows = [row for row in found.operators if row.effect is not None]
    if len(rows) > MOST_BARS:
        worst = sorted(rows, key=lambda r: -(r.effect.noise if r.effect else 0))[:MOST_BARS]
        rows = [row for row in rows if row in worst]
    guilty = {f.operator for f in found.findings}
    figure, (left, right) = picture.panels(2, 10, 1.6 + 0.24 * max(len(rows), 1))
    places = range(len(rows))
    colours = ["C3" if row.index in guilty else "C0" for row in rows]
    left.barh(places, [_db(row) for row in rows], color=colours)
    left.set_yticks(places, [f"{row.index} {row.op}" for row in rows], fontsize=8)
    left.set_xlabel("dB SQNR of the network's outputs: shorter is worse")
    right.barh(places, [row.lost(found.effect_real) or 0 for row in rows], color=colours)
    right.set_yticks(places, [""] * len(rows))
    by = metric(found.effect_real)
    right.set_xlabel(LABELS.get(by, f"{by} lost"))
    for axes in (left, right):
        axes.invert_yaxis()
    state = "healthy" if found.healthy else f"loses {found.lost:.3g}"
    figure.suptitle(f"{found.precision}, one operator at a time ({state}; red: named as the cause)", fontsize=11)
    picture.save(figure, path)


def _db(row: Row) -> float:
    """The bar's length: 0 where the network does not run or drowns in noise."""
    assert row.effect is not None
    if row.effect.failure:
        return 0.0
    db = row.effect.sqnr_db
    return EXACT_DB if db is None and row.effect.noise == 0 else max(0.0, min(EXACT_DB, db or 0.0))
