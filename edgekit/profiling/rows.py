"""What cost models share: the rows of a profile, their shares and energies, the memory."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.graph.stats import Statistics
from edgekit.profiling import Figure, OperatorProfile
from edgekit.runners import OperatorTrace


def observed(op: OperatorTrace, stats: Statistics, latency_ms: float) -> OperatorProfile:
    """The row of an observed operator with those fused into it, or of work that belongs to none."""
    counted = [stats.operators[i] for i in (*([] if op.index is None else [op.index]), *op.fused)]
    return OperatorProfile(
        index=op.index,
        name=counted[0].name if counted else op.name,
        op=counted[0].op if counted else op.name,
        macs=sum(c.macs for c in counted),
        bytes=sum(c.bytes for c in counted),
        latency_ms=latency_ms,
        energy_mj=0.0,
        instructions=op.counts.get("instructions"),
    )


def fill(rows: Sequence[OperatorProfile], power_w: Figure) -> float:
    """Set each row's share of the latency and its energy; returns the rows' latency, ms."""
    total = sum(row.latency_ms for row in rows)
    for row in rows:
        row.share = row.latency_ms / total if total else 0.0
        row.energy_mj = row.latency_ms * power_w.value
    return total


def memory(stats: Statistics) -> dict[str, int | None]:
    """Memory as the Graph's plan needs it, bytes."""
    return {
        "peak_ram_bytes": stats.peak_activation_bytes + stats.weights_bytes,
        "weights_bytes": stats.weights_bytes,
        "flash_bytes": stats.weights_bytes,
    }
