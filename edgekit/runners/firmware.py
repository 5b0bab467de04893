"""Sessions with a firmware, over a serial line: what the emulator of microcontrollers and the runner ``serial`` share.

The bundle says what must answer: which network (by its digest), how large its inputs and outputs are. A board that says
otherwise runs another bundle.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.backends.c99.firmware import ABOUT
from edgekit.bundle.execution import FirmwareStep
from edgekit.bundle.samples import samples_in
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.transport.frames import MOST, PROTOCOL, Client, Command

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

_WORDS = struct.Struct("<13I")
_DIGEST = 32
_ABOUT_BYTES = 4 << 20
_ANOTHER = "flash the bundle's artifact/firmware.elf (docs/microcontrollers.md)"


@dataclass(frozen=True)
class About:
    """What ``artifact/firmware.json`` says.

    :param memories: name, first address, address after the last.
    :param marks: addresses by ``begin``, ``step``, ``end``. :param uncounted: code of the observation itself.
    """

    digest: str
    steps: Sequence[FirmwareStep]
    memories: Sequence[tuple[str, int, int]]
    marks: Mapping[str, int]
    uncounted: Sequence[tuple[int, int]]
    sizes: Mapping[str, int]


def about(bundle: Bundle) -> About:
    """Read a bundle's ``artifact/firmware.json``.

    :raises DeviceError: if it is missing or damaged.
    """
    value = left_behind.document(bundle.artifact, ABOUT, _ABOUT_BYTES)
    try:
        return About(
            str(value["digest"]),
            [_step(step, len(bundle.graph.operators)) for step in value["steps"]],
            [(str(one["name"]), int(one["low"]), int(one["high"])) for one in value["memories"]],
            {name: int(value["marks"][name]) for name in ("begin", "step", "end")},
            [(int(low), int(high)) for low, high in value["uncounted"]],
            {str(name): int(size) for name, size in value["sizes"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceError(f"artifact/{ABOUT} is damaged: {error!r}", "compile the bundle again") from error


def _step(value: Mapping[str, Any], operators: int) -> FirmwareStep:
    """Return a step of ``steps``; its operators are the network's.

    :raises ValueError: if they are not.
    """
    node, fused = int(value["node"]), tuple(int(one) for one in value["fused"])
    if not all(-1 <= one < operators for one in (node, *fused)):
        raise ValueError(f"it names operator {max((node, *fused))} of {operators}")
    return FirmwareStep(str(value["name"]), node, fused)


@dataclass(frozen=True)
class Hello:
    """What a firmware says of itself. Clock in Hz."""

    name: str
    digest: str
    clock: int
    arena: int
    steps: int
    stack: int


@dataclass
class Firmware:
    """A firmware that answers, and runs the bundle's network.

    :param seconds: how long one inference may take. :param starting: it is just being started.
    :param placed: the samples lie in its machine's memory, as :func:`edgekit.bundle.samples.pack` arranges them.
    """

    client: Client
    bundle: Bundle
    expected: About
    seconds: float = 60.0
    starting: bool = False
    placed: bool = False
    hello: Hello = field(init=False)

    def __post_init__(self) -> None:
        shown, graph = self.client.line.shown, self.bundle.graph
        said = self.client.hello(starting=self.starting)
        if len(said) < _WORDS.size + _DIGEST:
            raise DeviceError(f"the firmware on {shown} says too little of itself", _ANOTHER)
        protocol, _, most, clock, arena, inputs, outputs, steps, stack, *_ = _WORDS.unpack_from(said)
        digest = said[_WORDS.size : _WORDS.size + _DIGEST].hex()
        name = said[_WORDS.size + _DIGEST :].decode(errors="replace")
        if protocol != PROTOCOL or most != MOST:
            raise DeviceError(f"the firmware on {shown} speaks protocol {protocol}, not {PROTOCOL}", _ANOTHER)
        if digest != self.expected.digest:
            raise DeviceError(f"{shown} runs another network than the bundle's: {_plain(name)!r}", _ANOTHER)
        if (inputs, outputs, steps) != (len(graph.inputs), len(graph.outputs), len(self.expected.steps)):
            raise DeviceError(f"the firmware on {shown} does not have the network's inputs and outputs", _ANOTHER)
        if clock == 0:
            raise DeviceError(
                f"{shown} does not run at its target's clock: its clock did not start",
                "reset the board; if that does not help, compare firmware_stubs/*/board_*.c with its reference manual",
            )
        for side, tensors in enumerate((graph.inputs, graph.outputs)):
            for index, tensor in enumerate(tensors):
                size = self._words(self.client.ask(Command.SIZE, side, index), 1)[0]
                if size != tensor.nbytes:
                    raise DeviceError(
                        f"{tensor.name!r} has {size} bytes on {shown}, {tensor.nbytes} in the bundle", _ANOTHER
                    )
        self.hello = Hello(name, digest, clock, arena, steps, stack)

    def run(self, inputs: Sequence[NDArray[Any]], *, observe: bool) -> tuple[list[NDArray[Any]], list[int]]:
        """Run every sample, each from the initial state; return the outputs, and the cycles of each inference.

        :param observe: observe the steps of the first sample's inference.
        :raises ValueError: if inputs do not have the network's shapes or types.
        """
        for tensor, array in zip(self.bundle.graph.inputs, inputs, strict=True):
            if array.shape[1:] != tuple(tensor.shape) or array.dtype != tensor.dtype:
                raise ValueError(f"an input is {array.dtype} {array.shape[1:]}, not {tensor.dtype} {tensor.shape}")
        results: list[list[bytes]] = []
        cycles = []
        each = sum(array[0].nbytes for array in inputs)
        for number in range(samples_in(inputs)):
            sample = [np.ascontiguousarray(array[number]) for array in inputs]
            place = number * each if self.placed else None
            outputs, taken = self.infer(sample, observe=observe and number == 0, place=place)
            results.append(outputs)
            cycles.append(taken)
        arrays = []
        for index, tensor in enumerate(self.bundle.graph.outputs):
            joined = b"".join(outputs[index] for outputs in results)
            dtype = np.dtype(tensor.dtype).newbyteorder("<")
            arrays.append(np.frombuffer(joined, dtype).reshape(len(results), *tensor.shape).astype(tensor.dtype))
        return arrays, cycles

    def infer(
        self, sample: Sequence[NDArray[Any]], *, observe: bool, place: int | None = None
    ) -> tuple[list[bytes], int]:
        """Run one sample from the initial state; return each output's bytes, and the cycles.

        :param place: where the sample lies in the machine's memory, None if it is to be sent.
        """
        self.client.ask(Command.RESET)
        for index, array in enumerate(sample):
            if place is not None:
                self.client.ask(Command.PLACE, index, place)
                place += array.nbytes
                continue
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            for offset in range(0, len(data), MOST - 8):
                self.client.ask(Command.WRITE, index, offset, data=data[offset : offset + MOST - 8])
        low, high = self._words(self.client.ask(Command.RUN, int(observe), seconds=self.seconds), 2)
        outputs = []
        for index, tensor in enumerate(self.bundle.graph.outputs):
            parts = []
            for offset in range(0, tensor.nbytes, MOST):
                count = min(MOST, tensor.nbytes - offset)
                part = self.client.ask(Command.READ, index, offset, count)
                if len(part) != count:
                    raise self._wrong(f"{len(part)} bytes of an output instead of {count}")
                parts.append(part)
            outputs.append(b"".join(parts))
        return outputs, low | high << 32

    def step_cycles(self) -> list[int]:
        """Cycles of each step in the last observed inference."""
        found: list[int] = []
        while len(found) < self.hello.steps:
            count = min(MOST // 4, self.hello.steps - len(found))
            found += self._words(self.client.ask(Command.STEPS, len(found), count), count)
        return found

    def stack_used(self) -> int:
        """The most bytes of stack that were in use since the firmware started.

        :raises DeviceError: if it was all of it: what lies below may have been overwritten.
        """
        used = self._words(self.client.ask(Command.STACK), 1)[0]
        if used >= self.hello.stack:
            raise DeviceError(
                f"the network needs more than the stack of {self.hello.stack} bytes on {self.client.line.shown}",
                "raise mcu.stack_bytes in the target's file, and compile the bundle again",
            )
        return used

    def _words(self, payload: bytes, count: int) -> list[int]:
        if len(payload) != 4 * count:
            raise self._wrong(f"{len(payload)} bytes instead of {4 * count}")
        return list(struct.unpack(f"<{count}I", payload))

    def _wrong(self, what: str) -> DeviceError:
        return DeviceError(f"the firmware on {self.client.line.shown} answers with {what}", _ANOTHER)


def _plain(text: str) -> str:
    """What a device says, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
