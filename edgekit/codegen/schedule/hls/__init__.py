"""The schedule of networks for high-level synthesis: layers that pass whole numbers on in streams.

Sums of products are hls4ml's own layers; each requantization is one multiplication, addition and shift that give what
the reference gives for every sum that can occur (:mod:`edgekit.codegen.schedule.unrolled.rounding`).
"""

from edgekit.codegen.schedule.hls.layers import Layer, Program, Value
from edgekit.codegen.schedule.hls.scheduler import missing, schedule

__all__ = ["Layer", "Program", "Value", "missing", "schedule"]
