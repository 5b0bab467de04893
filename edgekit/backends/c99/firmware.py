"""Builds a firmware of a network in C: for the board, and for the machine that emulates it.

Both are linked from the same objects of the network; start-up, server and protocol are ``firmware_stubs/mcu`` and those
of the core's family. The board's memories decide whether the network fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import resources, sandbox
from edgekit.backends import runner_build
from edgekit.backends.c99.library import STANDARD
from edgekit.bundle.execution import FirmwareStep
from edgekit.errors import ModelError
from edgekit.files import elf
from edgekit.files.documents import write_text
from edgekit.target import Target, machines
from edgekit.target.schema import Fpu, Mcu, RegionKind

if TYPE_CHECKING:
    from edgekit.graph import Graph

NO_BOARD = "none"
"""The board of an emulated machine: nothing to set up, and no cycles to count."""
BOARD, EMULATED, ABOUT = "firmware.elf", "emulator.elf", "firmware.json"
"""Files in ``artifact/``."""
LIMITS = sandbox.Limits(seconds=120, memory_mb=2048, file_mb=64)
_FLAGS = ("-ffunction-sections", "-fdata-sections", "-fno-ident", "-fno-common", "-I.")
_LINK = ("-nostdlib", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments", "-static")
_FAMILIES = {"cortex-m": "cortex_m", "riscv32": "riscv"}
"""Folders in ``firmware_stubs``, by a target's ``arch``."""
_DRIVERS = {"lpuart": "stm32"}
"""UARTs that share another one's driver."""
_LIBRARIES = {"cortex-m": ("-lm", "-lc_nano", "-lgcc"), "riscv32": ("-lgcc",)}
"""What a firmware is linked with: mathematical functions for networks in floating point, which only Cortex-M run."""
_UNCOUNTED = ("ek_observe_begin", "ek_observe_step", "ek_observe_end", "ek_cycles")
_CORES = {"cortex-m85": "cortex-m55"}
"""Cores that Debian 12's GCC does not know, and others with the same instructions (but for pointer authentication)."""
_FPUS = {
    ("cortex-m4", Fpu.SINGLE): "fpv4-sp-d16", ("cortex-m7", Fpu.SINGLE): "fpv5-sp-d16",
    ("cortex-m7", Fpu.DOUBLE): "fpv5-d16", ("cortex-m33", Fpu.SINGLE): "fpv5-sp-d16",
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Bytes of a firmware. ``stack``: reserved."""

    text: int
    constants: int
    data: int
    bss: int
    arena: int
    stack: int

    @property
    def flash(self) -> int:
        """What lies in flash."""
        return self.text + self.constants + self.data

    @property
    def ram(self) -> int:
        """What lies in RAM."""
        return self.data + self.bss + self.arena + self.stack


@dataclass(frozen=True)
class Built:
    """A firmware. ``files``: names in ``artifact/``. ``compiler``: its name and version."""

    files: tuple[str, ...]
    sizes: Sizes
    compiler: str


@dataclass(frozen=True)
class Network:
    """A network in C, as the backend writes it.

    :param files: contents by name; ``NAME.c`` and ``NAME.h`` among them. :param arena: bytes.
    :param largest: the largest tensors, for messages.
    :param digest: SHA-256 of the network, which the firmware tells.
    """

    name: str
    files: Mapping[str, str]
    arena: int
    steps: Sequence[FirmwareStep]
    digest: bytes
    largest: Sequence[str] = ()


def build(network: Network, target: Target, folder: Path, flags: Sequence[str] = ("-O2",)) -> Built:
    """Write the firmware's files into ``folder``.

    :raises ModelError: if it does not fit into the board's memories. :raises ToolMissing: if there is no compiler.
    """
    mcu, hertz = target.microcontroller, int(target.processor.clock_mhz * 1e6)
    assert target.emulator is not None, target.name
    machine = machines.MACHINES[target.emulator.machine]
    with sandbox.scratch() as work:
        maker = _Maker(network, target, mcu, work, [*flags, *machine_flags(mcu)])
        emulated = maker.compiled("emulator", _Config(NO_BOARD, *machine.uart, BAUD, hertz, False, machine.samples))
        maker.linked("sizes.elf", emulated, _WIDE)
        sizes = _sizes(maker.elf("sizes.elf"), mcu)
        layout = _fitting(sizes, network, target)
        spans = {"flash": machine.flash, "ram": machine.ram, "vectors": machine.vectors}
        memories = {name: (span.address, span.size) for name, span in spans.items() if span is not None}
        vectors = "vectors" if machine.vectors else ""
        maker.linked(EMULATED, emulated, _Layout(memories, "flash", "ram", "ram", vectors))
        files = [EMULATED, ABOUT]
        if mcu.board and mcu.uart:
            uart = mcu.uart
            config = _Config(mcu.board, uart.driver, uart.base, uart.clock_hz, uart.baud, hertz, mcu.caches)
            maker.linked(BOARD, maker.compiled("board", config), layout)
            files.insert(0, BOARD)
        about = _about(maker.elf(EMULATED), network, layout, sizes)
        write_text(folder / ABOUT, json.dumps(about, indent=1, sort_keys=True) + "\n")
        for name in files[:-1]:
            runner_build.put(work / name, folder, name)
        return Built(tuple(files), sizes, maker.compiler)


def largest(graph: Graph) -> list[str]:
    """The largest tensors of a network that are computed, in words."""
    computed = {index for operator in graph.operators for index in operator.outputs if index >= 0}
    tensors = sorted((graph.tensors[index] for index in computed), key=lambda tensor: -tensor.nbytes)
    return [f"{tensor.name} {'x'.join(map(str, tensor.shape))} ({tensor.nbytes} bytes)" for tensor in tensors[:3]]


def machine_flags(mcu: Mcu) -> list[str]:
    """What tells the compiler of the core."""
    if mcu.arch.startswith("rv"):
        return [f"-march={mcu.arch}_zicsr", "-mabi=ilp32", "-mcmodel=medany", "-msmall-data-limit=0"]
    modifiers = "" if mcu.mve or mcu.arch not in ("cortex-m55", "cortex-m85") else "+nomve"
    flags = [f"-mcpu={_CORES.get(mcu.arch, mcu.arch)}{modifiers}", "-mthumb"]
    if mcu.fpu is Fpu.NONE:
        return [*flags, "-mfloat-abi=soft"]
    unit = _FPUS.get((mcu.arch, mcu.fpu))
    return [*flags, "-mfloat-abi=hard", *([f"-mfpu={unit}"] if unit else [])]


@dataclass(frozen=True)
class _Layout:
    """Memories by name: address and bytes; those of the code, of data and stack, and of the arena."""

    memories: Mapping[str, tuple[int, int]]
    code: str
    data: str
    arena: str
    vectors: str = ""
    """That of the vectors, where it is not the code's."""


_WIDE = _Layout({"flash": (0, 1 << 28), "ram": (0x2000_0000, 1 << 28)}, "flash", "ram", "ram")
"""Memories that every network fits into."""
BAUD = 115200
_VECTORS = 1024
"""Bytes for the vectors, where they have a place of their own."""


@dataclass(frozen=True)
class _Config:
    """What ``ek_config.h`` says beside the network."""

    board: str
    driver: str
    uart: int
    uart_hertz: int
    baud: int
    hertz: int
    caches: bool
    samples: machines.Span | None = None
    """Memory of an emulated machine that inputs are loaded into."""


@dataclass
class _Maker:
    """Compiles and links in a scratch folder."""

    network: Network
    target: Target
    mcu: Mcu
    work: Path
    flags: Sequence[str]

    def __post_init__(self) -> None:
        self._tool = runner_build.compiler(self.target.arch)
        self._stubs = resources.folder("firmware_stubs")
        self._family = _FAMILIES[self.target.arch]
        self.compiler = runner_build.describe(self._tool)
        for name, text in self.network.files.items():
            write_text(self.work / name, text)

    def compiled(self, folder: str, config: _Config) -> list[str]:
        """Compile for a board or a machine; return the objects."""
        place = self.work / folder
        place.mkdir()
        write_text(place / "ek_config.h", self._config(config))
        common, family = self._stubs / "mcu", self._stubs / self._family
        driver = _DRIVERS.get(config.driver, config.driver)
        sources = [common / f"{name}.c" for name in ("main", "ek_server", "ek_frame", f"uart_{driver}")]
        sources += [common / f"board_{config.board}.c", family / "startup.c"]
        if config.board != NO_BOARD:
            sources.append(family / "cycles.c")
        self._compile(folder, sources)
        self._compile(folder, [common / "memory.c"], "-fno-builtin", "-fno-tree-loop-distribute-patterns")
        return [f"{folder}/{source.stem}.o" for source in sources] + [f"{folder}/memory.o", self._network()]

    def linked(self, name: str, objects: Sequence[str], layout: _Layout) -> None:
        """Link a firmware."""
        write_text(self.work / "link.ld", self._script(layout))
        self._run([*self.flags, *_LINK, "-T", "link.ld", *objects, *_LIBRARIES[self.target.arch], "-o", name], name)

    def _network(self) -> str:
        """The network's own object."""
        name = f"{self.network.name}.o"
        if not (self.work / name).is_file():
            self._compile("", [self.work / f"{self.network.name}.c"])
        return name

    def _compile(self, folder: str, sources: Sequence[Path], *flags: str) -> None:
        folders = [f"-I{self._stubs / place}" for place in ("kernels", "mcu", "mcu/freestanding")]
        arguments = [*STANDARD, *self.flags, *_FLAGS, f"-I{self.work}", *folders, *flags, "-c", *map(str, sources)]
        self._run(arguments, sources[0].name, folder)

    def elf(self, name: str) -> elf.Elf:
        """What was linked, or compiled."""
        return elf.read((self.work / name).read_bytes())

    def _config(self, config: _Config) -> str:
        name, digest = self.network.name, ", ".join(map(str, self.network.digest))
        values = {
            "MODEL": f"{name}_model", "ARENA_BYTES": f"{name.upper()}_ARENA_BYTES", "STEPS": f"{name.upper()}_STEPS",
            "CLOCK_HZ": f"{config.hertz}u", "UART_BASE": f"{config.uart:#x}u", "UART_CLOCK_HZ": f"{config.uart_hertz}u",
            "UART_BAUD": f"{config.baud}u", "DIGEST": f"{{{digest}}}", **({"CACHES": "1"} if config.caches else {}),
            **({"UART_LOW_POWER": "1"} if config.driver == "lpuart" else {}),
            **({"SAMPLES": f"{config.samples.address:#x}u", "SAMPLES_BYTES": f"{config.samples.size}u"}
               if config.samples else {}),
        }  # fmt: skip
        lines = "\n".join(f"#define EK_CONFIG_{key} {value}" for key, value in values.items())
        return f'#include "{name}.h"\n{lines}\n'

    def _script(self, layout: _Layout) -> str:
        memory = "\n".join(
            f"    {name} (rwx) : ORIGIN = {address:#x}, LENGTH = {size:#x}"
            for name, (address, size) in layout.memories.items()
        )
        values = {
            "memory": memory, "code": layout.code, "data": layout.data, "arena": layout.arena,
            "vectors": layout.vectors or layout.code,
            "stack": str(self.mcu.stack_bytes),
        }  # fmt: skip
        text = (self._stubs / self._family / "link.ld.in").read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    def _run(self, arguments: Sequence[str], what: str, folder: str = "") -> None:
        runner_build.run_compiler(
            [*self._tool.argv, *arguments], self.work / folder, f"{what} does not compile for {self.target.name}",
            scratch=self.work, limits=LIMITS, hint="please report this, with your compiler's version",
        )  # fmt: skip


def _sizes(image: elf.Elf, mcu: Mcu) -> Sizes:
    names = (".vectors", ".text", ".rodata", ".data", ".bss", ".arena")
    vectors, text, *rest = (image.sections[name].size if name in image.sections else 0 for name in names)
    constants, data, bss, arena = rest
    return Sizes(vectors + text, constants, data, bss, arena, mcu.stack_bytes)


def _fitting(sizes: Sizes, network: Network, target: Target) -> _Layout:
    """Where things go on the board.

    :raises ModelError: if the flash or a RAM is too small.
    """
    mcu = target.microcontroller
    (code, flash), *_ = mcu.of_kind(RegionKind.FLASH)
    rams = mcu.of_kind(RegionKind.RAM)
    largest = f"; the largest tensors: {', '.join(network.largest[:3])}" if network.largest else ""
    if (over := sizes.flash - (flash.kib << 10)) > 0:
        raise ModelError(
            f"{target.name} has {flash.kib} KiB of flash, and the firmware is {over} bytes too large for it{largest}",
            "compile for a board with more flash, or with --recipe int8-small",
        )
    taken = sizes.data + sizes.bss + sizes.stack + 64
    room = {name: (region.kib << 10) - (taken if name == rams[0][0] else 0) for name, region in rams}
    arena = next((name for name, bytes_ in room.items() if sizes.arena <= bytes_), None)
    if arena is None or room[rams[0][0]] < 0:
        most = max(rams, key=lambda entry: room[entry[0]])
        raise ModelError(
            f"{target.name} has {most[1].kib} KiB of RAM in one piece, and the arena of {sizes.arena} bytes is "
            f"{sizes.arena - room[most[0]]} bytes too large for it{largest}",
            "compile for a board with more RAM, or make the network's input smaller",
        )
    memories = {name: (region.address, region.kib << 10) for name, region in ((code, flash), *rams)}
    if mcu.vectors is not None:
        memories["vectors"] = (mcu.vectors, _VECTORS)
    return _Layout(memories, code, rams[0][0], arena, "" if mcu.vectors is None else "vectors")


def _about(image: elf.Elf, network: Network, layout: _Layout, sizes: Sizes) -> dict[str, object]:
    """What a runner needs to know of ``emulator.elf``."""
    symbols = {name: image.symbols[name] for name in _UNCOUNTED}  # of Thumb functions, with the lowest bit set
    spans = {name: (span.address & ~1, (span.address & ~1) + span.size) for name, span in symbols.items()}
    section = image.sections
    data_end = max(section[name].address + section[name].size for name in (".stack", ".data", ".bss"))
    code_end = max(section[name].address + section[name].size for name in (".text", ".rodata"))
    arena = section[".arena"]
    memories = [
        {"name": layout.code, "low": section[".text"].address, "high": code_end},
        {"name": layout.data, "low": section[".stack"].address, "high": data_end},
        {"name": layout.arena, "low": arena.address, "high": arena.address + arena.size},
    ]
    return {
        "schema": 1, "name": network.name, "digest": network.digest.hex(), "sizes": asdict(sizes),
        "steps": [asdict(step) for step in network.steps], "memories": memories,
        "marks": {name.removeprefix("ek_observe_"): spans[name][0] for name in _UNCOUNTED[:3]},
        "uncounted": [list(span) for span in spans.values()],
    }  # fmt: skip
