"""The accelerator in the device: synthesis by yosys, place and route by nextpnr, the bitstream by ecppack."""

from edgekit.backends.overlay.route.design import Design
from edgekit.backends.overlay.route.result import FOLDER, check, write
from edgekit.backends.overlay.route.steps import Routed, routed

__all__ = ["FOLDER", "Design", "Routed", "check", "routed", "write"]
