"""``overlay.json``: what a bundle's program for the overlay is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgekit.backends.divided.document import listed, numbers, reading, whole
from edgekit.codegen.schedule.overlay import Machine, Port
from edgekit.files import documents

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.codegen.schedule.overlay import OverlayProgram

PROGRAM, STREAM = "overlay.json", "stream.bin"
MOST_BYTES, MOST_VALUES = 64 << 20, 2_000_000


@dataclass(frozen=True)
class Command:
    """A command: the operator that it computes, and its products.

    :param node: index in the bundle's network. :param cycles: that the cost model expects.
    """

    node: int
    name: str
    macs: int
    cycles: int


@dataclass(frozen=True)
class Document:
    """The program beside its stream.

    :param before: , ``overlay``, ``after``: operators of the parts. :param inputs: and ``outputs``: of the overlay's.
    """

    machine: Machine
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    commands: tuple[Command, ...]
    before: tuple[int, ...]
    overlay: tuple[int, ...]
    after: tuple[int, ...]

    def text(self) -> str:
        """As JSON."""
        return documents.dumps({"schema": 1, **asdict(self)}, indent=None) + "\n"


def document(
    program: OverlayProgram, before: tuple[int, ...], overlay: tuple[int, ...], after: tuple[int, ...]
) -> Document:
    """The document of a program whose operators are those of the part ``overlay``."""
    commands = tuple(Command(overlay[s.node], s.name, s.macs, s.cycles) for s in program.steps)
    return Document(program.machine, program.inputs, program.outputs, commands, before, overlay, after)


def read(folder: Path) -> Document:
    """Read the document of a bundle's artifact.

    :raises DeviceError: if it is missing or damaged.
    """
    with reading(folder, PROGRAM, MOST_BYTES, MOST_VALUES) as data:
        inputs, outputs = (tuple(_port(one) for one in listed(data[group])) for group in ("inputs", "outputs"))
        before, overlay, after = (numbers(data[name]) for name in ("before", "overlay", "after"))
        commands = tuple(_command(one) for one in listed(data["commands"]))
        return Document(_machine(data["machine"]), inputs, outputs, commands, before, overlay, after)


def _machine(value: Mapping[str, Any]) -> Machine:
    lanes = {name: whole(value[name], 4, 16) for name in ("ic", "oc")}
    names = ("act_kib", "stream_kib", "acc_depth", "mem_bits", "lanes")
    sizes = {name: whole(value[name], 1, 1 << 16) for name in names}
    if any(number & (number - 1) for number in (*lanes.values(), *sizes.values())):
        raise ValueError("a size is not a power of two")
    if sizes["act_kib"] > 512 or sizes["mem_bits"] not in (16, 32, 64) or lanes["oc"] > lanes["ic"]:
        raise ValueError("a size is out of range")
    if sizes["lanes"] not in (4, 8) or sizes["lanes"] > lanes["oc"]:
        raise ValueError("a size is out of range")
    beat = value["beat_cycles"]
    if isinstance(beat, bool) or not isinstance(beat, (int, float)) or not 1 <= beat <= 1 << 16:
        raise ValueError("beat_cycles is no number of cycles")
    return Machine(**lanes, **sizes, packed=value["packed"] is True, beat_cycles=float(beat))


def _port(value: Mapping[str, Any]) -> Port:
    shape = tuple(whole(n, 1) for n in listed(value["shape"]))
    rows, columns, channels = (whole(n, 1, 1 << 24) for n in listed(value["size"]))
    fields = {name: whole(value[name]) for name in ("base", "row", "pitch", "words", "block", "top", "left")}
    port = Port(shape, (rows, columns, channels), **fields, zero=whole(value["zero"], -128, 127))
    elements = 1
    for extent in shape:
        elements *= extent
    most = 1 << 17  # words of the largest activation memory
    if elements != rows * columns * channels or elements > 4 * most or port.words > most or port.block < 1:
        raise ValueError("an input or output does not fit its shape")
    if port.base + port.words > most or int(port.places().max(initial=0)) >= 4 * port.words:
        raise ValueError("an input or output lies outside of the memory")
    return port


def _command(value: Mapping[str, Any]) -> Command:
    name = value["name"]
    if not isinstance(name, str) or len(name) > 40:
        raise ValueError("a command has no name")
    return Command(whole(value["node"]), name, whole(value["macs"], 0, 1 << 50), whole(value["cycles"], 0, 1 << 50))
