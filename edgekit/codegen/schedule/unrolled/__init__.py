"""The schedule of networks as logic: every multiplication is a circuit of its own, nothing is placed in time.

A network becomes steps over vectors of int8, in integers only. Each requantization is one multiplication, addition and
shift that give what the reference gives for every sum that can occur (:mod:`.rounding`).
"""

from edgekit.codegen.schedule.unrolled.scheduler import missing, schedule
from edgekit.codegen.schedule.unrolled.steps import Largest, Linear, Pair, Pick, Program, Step, Table

__all__ = ["Largest", "Linear", "Pair", "Pick", "Program", "Step", "Table", "missing", "schedule"]
