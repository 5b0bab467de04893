"""The schedule of the FPGA overlay: typed kernels -> commands and their data, activations placed on the chip."""

from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.program import OverlayProgram, Port, Step
from edgekit.codegen.schedule.overlay.scheduler import TooLarge, missing, schedule

__all__ = ["Machine", "OverlayProgram", "Port", "Step", "TooLarge", "missing", "schedule"]
