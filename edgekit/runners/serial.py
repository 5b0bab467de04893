"""The runner ``serial``: a bundle's firmware on a board, or the accelerator in a board's FPGA, over a serial port.

The board is flashed by its maker's tool (docs/microcontrollers.md). That it runs the bundle's own network is checked by
the network's digest. ``--on serial:/dev/ttyACM0`` or ``serial:/dev/ttyACM0,115200``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.bundle.execution import Kind
from edgekit.errors import UsageError
from edgekit.progress import Progress
from edgekit.runners import (
    Defaults,
    Device,
    Observes,
    OpenOptions,
    OperatorTrace,
    Refusal,
    Run,
    RunOptions,
    Session,
    Source,
    Trace,
)
from edgekit.runners.firmware import Firmware, about
from edgekit.transport.frames import Client
from edgekit.transport.serial import BAUD, Address, SerialLine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

_RUN_SECONDS = 20.0
"""That an accelerator's run may take."""
_WITHOUT_ADDRESS = "write --on serial:/dev/ttyACM0"


@dataclass(frozen=True)
class SerialRunner(Defaults):
    """Runs firmware, or the accelerator of an FPGA, on a board. Registered as ``serial``.

    :param patience: seconds that an answer may take. :param attempts: how often a command is sent.
    """

    address: Address | None = None
    patience: float = 2.0
    attempts: int = 3
    name = "serial"
    source, observes, proves = Source.DEVICE, Observes.TIMES, False

    def at(self, address: str) -> SerialRunner:
        """See :class:`edgekit.runners.Runner`."""
        return SerialRunner(Address.parse(address))

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        if execution.kind is Kind.OVERLAY:
            there = target.fpga is not None and target.fpga.baud
            return None if there else Refusal(f"{target.name} is no board with a serial line", "")
        if execution.kind is not Kind.FIRMWARE:
            return Refusal("the bundle is not a microcontroller's firmware", "")
        return None

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`.

        :raises UsageError: if no port was given.
        """
        if self.address is None:
            raise UsageError("--on serial needs a serial port", _WITHOUT_ADDRESS)
        if bundle.execution.kind is Kind.OVERLAY:
            from edgekit.runners.overlay import board

            with board.opened(bundle, self.address, max(self.patience, _RUN_SECONDS), options) as session:
                yield session
            return
        uart = bundle.target.microcontroller.uart
        baud = self.address.baud or (uart.baud if uart else BAUD)
        options.progress.step(f"connect to {self.address.path}")
        with SerialLine(self.address.path, baud) as line:
            firmware = Firmware(Client(line, patience=self.patience, attempts=self.attempts), bundle, about(bundle))
            yield SerialSession(firmware, options.progress)


@dataclass(frozen=True)
class SerialSession:
    """A board that answers. Times are its own cycle counter's."""

    firmware: Firmware
    progress: Progress

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(self.firmware.client.line.shown, self.firmware.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`; with ``profile``, the steps of the first inference are observed."""
        firmware = self.firmware
        outputs, cycles = firmware.run(inputs, observe=options.profile)
        trace = Trace(Source.DEVICE, str(firmware.bundle.manifest["runtime"]))
        per_ms = firmware.hello.clock / 1e3
        if options.profile:
            for step, taken in zip(firmware.expected.steps, firmware.step_cycles(), strict=True):
                row = OperatorTrace(step.index, step.name, taken / per_ms, {"cycles": taken}, step.fused)
                trace.operators.append(row)
        for _ in range(options.repeat - 1):
            cycles += firmware.run([array[:1] for array in inputs], observe=False)[1]
        if any(cycles):
            trace.latency_ms = [taken / per_ms for taken in cycles]
        conditions = {
            "threads": 1, "machine": firmware.bundle.target.processor.core, "clock_mhz": firmware.hello.clock / 1e6,
            "stack_used_bytes": firmware.stack_used(),
        }  # fmt: skip
        return Run(outputs, trace, conditions)
