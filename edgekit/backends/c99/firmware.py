"""Builds a firmware of a network in C: for the board, and for the machine that emulates it.

Both are linked from the same objects of the network; start-up, server and protocol are ``firmware_stubs/mcu`` and those
of the core's family. The board's memories decide whether the network fits.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from edgekit import resources, sandbox
from edgekit.backends import compilation, runner_build
from edgekit.backends.c99 import stack as stacks
from edgekit.backends.c99.image import boot_checksum, image, suffix
from edgekit.backends.c99.library import STANDARD
from edgekit.backends.c99.stack import Worst
from edgekit.bundle.execution import FirmwareStep
from edgekit.errors import EdgekitError, ModelError
from edgekit.files import elf
from edgekit.target import Target, machines
from edgekit.target.mcu import FlashImage, Fpu, Mcu, RegionKind
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor
    from edgekit.tools.toolchain import Tool

NO_BOARD = "none"
"""The board of an emulated machine: nothing to set up, and no cycles to count."""
BOARD, EMULATED, ABOUT = "firmware.elf", "emulator.elf", "firmware.json"
"""Files in ``artifact/``."""
LIMITS = sandbox.Limits(seconds=120, memory_mb=2048, file_mb=64)
_FLAGS = (
    "-ffunction-sections", "-fdata-sections", "-fno-ident", "-fno-common", "-I.", "-Ikernels", "-Imcu",
    "-Imcu/freestanding",
)  # fmt: skip
_LINK = ("-nostdlib", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments", "-static")
_FAMILIES = {"cortex-m": "cortex_m", "riscv32": "riscv"}
"""Folders in ``firmware_stubs``, by a target's ``arch``."""
_DRIVERS = {"lpuart": "stm32"}
"""UARTs that share another one's driver."""
_LIBM, _LIBC = "cortex-m-libm", ("-lm", "-lc_nano")
"""Toolchain and libraries of the mathematical functions that some networks in floating point call."""
_ZIG_LINK = ("-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-e,ek_reset")
"""zig brings its own linker, and its own library in place of GCC's."""
_NO_CALLS = ("-fno-builtin", "-fno-tree-loop-distribute-patterns")
"""For functions that would else become calls of themselves; zig knows the first only."""
_USAGE = ".su"
"""How the names of files end in which GCC says what functions need of the stack."""
_DISASSEMBLED = {False: ("-m", "armv7e-m"), True: ("-m", "armv8.1-m.main")}
_ARMV8 = ("cortex-m33", "cortex-m55", "cortex-m85")
_UNCOUNTED = ("ek_observe_begin", "ek_observe_step", "ek_observe_end", "ek_cycles")
_LINKED = frozenset(
    f"ek_{name}" for name in (
        "data_from", "data_begin", "data_end", "bss_begin", "bss_end", "arena_begin", "arena_end", "stack_low",
        "stack_top",
    )
)  # fmt: skip
"""Symbols of the linker scripts."""
_CSR = "_zicsr"
"""What adds the instructions for control and status registers to a RISC-V instruction set."""
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
    """A firmware. ``files``: names in ``artifact/``. ``compiler``: its name and version.

    :param stack: the most that it can need, of the board's firmware and the emulator's.
    """

    files: tuple[str, ...]
    sizes: Sizes
    stack: Worst
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
    mcu = target.microcontroller
    assert target.emulator is not None, target.name
    machine = machines.MACHINES[target.emulator.machine]
    tool = runner_build.compiler(target.arch)
    machine_options = zig_flags(mcu) if tool.module else machine_flags(mcu)
    maker = _Maker(network, target, mcu, [*flags, *machine_options], tool)
    emulated = maker.compiled(_Config(NO_BOARD, *machine.uart, BAUD, False, machine.samples))
    sizes = _sizes(elf.read(maker.linked(emulated.files, _WIDE)), mcu)
    layout = _fitting(sizes, network, target)
    spans = {"flash": machine.flash, "ram": machine.ram, "vectors": machine.vectors}
    memories = {name: (span.address, span.size) for name, span in spans.items() if span is not None}
    vectors = "vectors" if machine.vectors else ""
    files = {EMULATED: maker.linked(emulated.files, _Layout(memories, "flash", "ram", "ram", vectors))}
    stack = maker.worst_case(emulated, files[EMULATED])
    if mcu.board and mcu.uart:
        uart = mcu.uart
        config = _Config(mcu.board, uart.driver, uart.base, uart.clock_hz, uart.baud, mcu.caches)
        objects = maker.compiled(config)
        board = {BOARD: maker.linked(objects.files, replace(layout, boot=maker.boot_end(objects.files)))}
        stack = stack.larger(maker.worst_case(objects, board[BOARD]))
        if mcu.image is not FlashImage.ELF:
            board[f"{PurePath(BOARD).stem}.{suffix(mcu.image)}"] = image(elf.read(board[BOARD]).loaded, mcu.image)
        files = board | files
    _enough(stack, mcu, target)
    about = _about(elf.read(files[EMULATED]), network, layout, sizes) | {"stack": asdict(stack)}
    files[ABOUT] = (json.dumps(about, indent=1, sort_keys=True) + "\n").encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Built(tuple(files), sizes, stack, runner_build.describe(tool))


def computed(graph: Graph) -> list[Tensor]:
    """The tensors of a network that its operators compute."""
    return [graph.tensors[index] for index in {i for one in graph.operators for i in one.outputs if i >= 0}]


def machine_flags(mcu: Mcu) -> list[str]:
    """What tells the compiler of the core."""
    if mcu.arch.startswith("rv"):
        return [f"-march={mcu.arch}{_CSR}", "-mabi=ilp32", "-mcmodel=medany", "-msmall-data-limit=0"]
    modifiers = "" if mcu.mve or mcu.arch not in ("cortex-m55", "cortex-m85") else "+nomve"
    flags = [f"-mcpu={_CORES.get(mcu.arch, mcu.arch)}{modifiers}", "-mthumb"]
    if mcu.fpu is Fpu.NONE:
        return [*flags, "-mfloat-abi=soft"]
    unit = _FPUS.get((mcu.arch, mcu.fpu))
    return [*flags, "-mfloat-abi=hard", *([f"-mfpu={unit}"] if unit else [])]


def zig_flags(mcu: Mcu) -> list[str]:
    """What tells zig of a Cortex-M core: its names have underscores, and imply the FPU.

    They do not imply what Arm sells as an option: the DSP extension of Cortex-M33, and MVE.
    """
    abi = "eabi" if mcu.fpu is Fpu.NONE else "eabihf"
    more = "+dsp" if mcu.arch == "cortex-m33" else "+mve_fp" if mcu.mve else ""
    return ["-target", f"thumb-freestanding-{abi}", f"-mcpu={mcu.arch.replace('-', '_')}{more}", "-g0"]


@dataclass(frozen=True)
class _Layout:
    """Memories by name: address and bytes; those of the code, of data and stack, and of the arena."""

    memories: Mapping[str, tuple[int, int]]
    code: str
    data: str
    arena: str
    vectors: str = ""
    """That of the vectors, where it is not the code's."""
    constants: str = ""
    """That in which constants are read, where it is not the code's."""
    boot: str = ""
    """What ends the boot block."""


_WIDE = _Layout({"flash": (0, 1 << 28), "ram": (0x2000_0000, 1 << 28)}, "flash", "ram", "ram")
"""Memories that every network fits into."""
BAUD = 115200
_VECTORS = 1024
"""Bytes for the vectors, where they have a place of their own."""


@dataclass(frozen=True)
class _Config:
    """What ``ek_config.h`` says: a board, or a machine that stands in for it."""

    board: str
    driver: str
    uart: int
    uart_hertz: int
    baud: int
    caches: bool
    samples: machines.Span | None = None
    """Memory of an emulated machine that inputs are loaded into."""

    def text(self) -> str:
        """The header."""
        values = {
            "UART_BASE": f"{self.uart:#x}u", "UART_CLOCK_HZ": f"{self.uart_hertz}u", "UART_BAUD": f"{self.baud}u",
            **({"CACHES": "1"} if self.caches else {}),
            **({"UART_LOW_POWER": "1"} if self.driver == "lpuart" else {}),
            **({"SAMPLES": f"{self.samples.address:#x}u", "SAMPLES_BYTES": f"{self.samples.size}u"}
               if self.samples else {}),
        }  # fmt: skip
        return _defines(values)


@dataclass(frozen=True)
class _Objects:
    """What the compiler makes: objects by name, and what it says of the functions' stack."""

    files: Mapping[str, bytes]
    usage: Sequence[str]


@dataclass(frozen=True)
class _Maker:
    """Compiles and links a network for a target."""

    network: Network
    target: Target
    mcu: Mcu
    flags: Sequence[str]
    tool: Tool
    """The compiler: GCC, or zig, which is a Python module."""

    def compiled(self, config: _Config) -> _Objects:
        """Return the objects of a firmware for a board or a machine."""
        driver, family = _DRIVERS.get(config.driver, config.driver), _FAMILIES[self.target.arch]
        names = [f"mcu/{name}.c" for name in ("ek_server", "ek_frame", f"uart_{driver}")] + [f"{family}/startup.c"]
        board = f"mcu/board_{NO_BOARD}.c"
        if config.board != NO_BOARD:
            own = f"{family}/cycles_{config.board}.c"  # of a processor with another counter than its family
            there = (resources.folder("firmware_stubs") / own).is_file()
            names.append(own if there else f"{family}/cycles.c")
            board = f"{family}/board_{config.board}.c"
        header = {"ek_config.h": config.text().encode()}
        runtime = {**self._compiled(names, header), **self._compiled([board], header, "-Os")}  # a boot block is small
        # They would call themselves.
        memory = self._compiled(["mcu/memory.c"], {}, *(_NO_CALLS[:1] if self.tool.module else _NO_CALLS))
        made = {**runtime, **memory, **self._network()}
        usage = [content.decode(errors="replace") for name, content in made.items() if name.endswith(_USAGE)]
        return _Objects({name: content for name, content in made.items() if not name.endswith(_USAGE)}, usage)

    def worst_case(self, objects: _Objects, linked: bytes) -> Worst:
        """Return the most stack that a firmware can need."""
        if self.tool.module:
            return Worst(None, (), f"{self.tool.module} does not say what functions need")
        program = re.sub(r"gcc$", "objdump", self.tool.argv[0])
        if not shutil.which(program):
            return Worst(None, (), f"{program} is missing")
        command = [program, *(_DISASSEMBLED[self.mcu.arch in _ARMV8] if self.target.arch == "cortex-m" else ())]
        exception = (
            36 if self.mcu.fpu is Fpu.NONE and not self.mcu.mve else 108
        )  # with 4 of alignment; DDI 0403, B1.5.6
        model = f"{self.network.name}_model"
        return stacks.worst_case(stacks.Linked(linked, objects.files, objects.usage, model, exception), command)

    def boot_end(self, objects: Mapping[str, bytes]) -> str:
        """Return the linker script's end of a boot block with a checksum; empty for boards without."""
        size = self.mcu.boot_bytes
        if size is None:
            return ""
        for data in objects.values():
            sections = elf.read(data).sections
            if (span := sections.get(".boot")) is None or span.offset is None:
                continue
            if span.size > size - 4 or ".rel.boot" in sections:
                break
            checksum = boot_checksum(data[span.offset : span.offset + span.size], size)
            return f". += {size - 4 - span.size}; LONG({checksum:#x}) "
        raise EdgekitError(
            f"the boot block of {self.target.name} has no room, or is not code by itself",
            "please report this, with your compiler's version",
        )

    def _network(self) -> dict[str, bytes]:
        """The objects that differ from network to network."""
        name, upper = self.network.name, self.network.name.upper()
        values = {
            "MODEL": f"{name}_model", "ARENA_BYTES": f"{upper}_ARENA_BYTES", "STEPS": f"{upper}_STEPS",
            "CLOCK_HZ": f"{int(self.target.processor.clock_mhz * 1e6)}u",
            "DIGEST": f"{{{', '.join(map(str, self.network.digest))}}}",
        }  # fmt: skip
        files = {"ek_network.h": f'#include "{name}.h"\n{_defines(values)}', **self.network.files}
        return self._compiled(["mcu/main.c", f"{name}.c"], {file: text.encode() for file, text in files.items()})

    def _compiled(self, names: Sequence[str], also: Mapping[str, bytes], *flags: str) -> dict[str, bytes]:
        """Compile files of ``firmware_stubs`` and of ``also``; return the objects by name."""
        headers = compilation.sources("kernels", "mcu", "mcu/freestanding", _FAMILIES[self.target.arch])
        own = {name: (resources.folder("firmware_stubs") / name).read_bytes() for name in names if name not in also}
        arguments = [*STANDARD, *self.flags, *_FLAGS, *flags, *(() if self.tool.module else ("-fstack-usage",)), "-c"]
        kinds = (".o",) if self.tool.module else (".o", _USAGE)
        objects = [f"{PurePath(name).stem}{kind}" for name in names for kind in kinds]
        each = [[*arguments, name] for name in names] if self.tool.module else [[*arguments, *names]]  # zig writes one
        return self._run(each, {**headers, **own, **also}, objects)

    def linked(self, objects: Mapping[str, bytes], layout: _Layout) -> bytes:
        """Return a firmware, an ELF file."""
        flags = [flag.replace(_CSR, "") for flag in self.flags]  # or GCC finds its library for 64-bit processors only
        mathematics = not self.tool.module and _calls_mathematics(objects)
        link, libraries = (_ZIG_LINK, ()) if self.tool.module else (_LINK, ("-lgcc",))
        libraries = (*_LIBC, *libraries) if mathematics else libraries
        arguments = [*flags, *link, "-T", "link.ld", *objects, *libraries, "-o", "linked.elf"]
        inputs = {**objects, "link.ld": self._script(layout).encode()}
        try:
            return self._run([arguments], inputs, ["linked.elf"])["linked.elf"]
        except EdgekitError:
            if mathematics:
                toolchain.load(_LIBM).find()  # says how to get it, if that is why
            raise

    def _script(self, layout: _Layout) -> str:
        memory = "\n".join(
            f"    {name} (rwx) : ORIGIN = {address:#x}, LENGTH = {size:#x}"
            for name, (address, size) in layout.memories.items()
        )
        values = {
            "memory": memory, "code": layout.code, "data": layout.data, "arena": layout.arena,
            "vectors": layout.vectors or layout.code, "constants": layout.constants or layout.code, "boot": layout.boot,
            "stack": str(self.mcu.stack_bytes),
        }  # fmt: skip
        text = (resources.folder("firmware_stubs") / _FAMILIES[self.target.arch] / "link.ld.in").read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    def _run(
        self, commands: Sequence[Sequence[str]], inputs: Mapping[str, bytes], outputs: Sequence[str]
    ) -> dict[str, bytes]:
        failure = f"{self.network.name} does not compile for {self.target.name}"
        return compilation.compiled(
            self.tool, compilation.Compilation(commands, inputs, outputs, failure, LIMITS)
        )  # fmt: skip


def _calls_mathematics(objects: Mapping[str, bytes]) -> bool:
    """True if something is called that is neither in the objects nor the compiler's own, whose names begin with __."""
    read = [elf.read(data) for data in objects.values()]
    defined = {name for one in read for name in one.symbols if name not in one.undefined}
    missing = {name for one in read for name in one.undefined if not name.startswith("__")}
    return not missing <= defined | _LINKED


def _defines(values: Mapping[str, str]) -> str:
    return "".join(f"#define EK_CONFIG_{key} {value}\n" for key, value in values.items())


def _sizes(linked: elf.Elf, mcu: Mcu) -> Sizes:
    names = (".vectors", ".text", ".rodata", ".data", ".bss", ".arena")
    vectors, text, *rest = (linked.sections[name].size if name in linked.sections else 0 for name in names)
    constants, data, bss, arena = rest
    return Sizes(vectors + text + (mcu.boot_bytes or 0), constants, data, bss, arena, mcu.stack_bytes)


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
    if mcu.constants is not None:
        memories["constants"] = (mcu.constants, flash.kib << 10)
    vectors, constants = ("" if name not in memories else name for name in ("vectors", "constants"))
    return _Layout(memories, code, rams[0][0], arena, vectors, constants)


def _enough(stack: Worst, mcu: Mcu, target: Target) -> None:
    """Refuse a firmware that may need more than the stack that is reserved.

    :raises ModelError: if it may.
    """
    if stack.bytes is not None and stack.bytes > mcu.stack_bytes:
        raise ModelError(
            f"the firmware may need {stack.bytes} bytes of stack on {target.name}, which reserves {mcu.stack_bytes}; "
            f"the way there: {' > '.join(stack.chain)}",
            "raise mcu.stack_bytes in the target's file",
        )


def _about(linked: elf.Elf, network: Network, layout: _Layout, sizes: Sizes) -> dict[str, object]:
    """What a runner needs to know of ``emulator.elf``."""
    symbols = {name: linked.symbols[name] for name in _UNCOUNTED}  # of Thumb functions, with the lowest bit set
    spans = {name: (span.address & ~1, (span.address & ~1) + span.size) for name, span in symbols.items()}
    section = linked.sections
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
