"""What an inference costs on the board's Cortex-M4: cycles of the feature extraction and of the network.

    python examples/keyword_spotting/cycles.py BUNDLE build/keywords/firmware/emulator/keywords.elf my.wav

The emulator counts exactly what is executed; edgekit's cycle model of the core and of the board's flash and RAM makes
cycles of it, with bounds (docs/cycle-models.md).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import emulated

import edgekit
from edgekit.bundle import Bundle, load
from edgekit.files import elf
from edgekit.profiling import Figure
from edgekit.profiling.mcu import cost
from edgekit.profiling.mcu.cores import Bound, core
from edgekit.profiling.mcu.memory import Tensors, memories
from edgekit.runners import qemu_system
from edgekit.runners.qemu_system import report
from edgekit.target import Target

FLASH, RAM = (".vectors", ".text", ".rodata"), (".stack", ".data", ".bss")
TABLES = ("hann", "turn", "band", "rise", "dct", "log")
"""Of the feature extraction, in flash."""


def costs(bundle: Bundle, firmware: Path, wav: Path) -> dict[str, tuple[Figure, Figure]]:
    """Return the cycles of each part for one file: on the board, and with memories without wait states."""
    target, image = bundle.target, elf.read(firmware.read_bytes())
    places = [place(target, image, "flash", FLASH), place(target, image, "ram", RAM)]
    marks = [f"{name}={image.symbols[f'ek_observe_{name}'].address & ~1:x}" for name in ("begin", "step", "end")]
    spans = [f"memory={low:x}:{high:x}" for _, low, high in places]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "report"
        plugin = ",".join([str(qemu_system.plugin(target)), f"out={written}", *marks, *spans, "accesses=1"])
        emulated.answers(firmware, [wav.read_bytes()], ["-plugin", plugin])
        _, front, _, _ = report.read(written, places)
    models = tuple(core(target.microcontroller.arch, bound) for bound in Bound)
    decoded = cost.operations((block.code for block in front.blocks), models[Bound.VALUE].isa)
    tables = sum(image.symbols[name].size for name in TABLES)
    features = cost.Emulated(decoded, models, memories(target)).step(front.blocks, Tensors(constants=tables))

    profile = edgekit.profile(bundle.path, on="emulator")
    assert profile.zero_wait_cycles is not None
    return {
        "feature extraction": (figure(features.cycles), figure(features.zero_wait)),
        "network": (profile.latency_ms.scaled(target.processor.hertz / 1e3), profile.zero_wait_cycles),
    }


def figure(cycles: tuple[float, float, float]) -> Figure:
    """Return a number with its bounds."""
    low, value, high = cycles
    return Figure(value, low, high)


def place(target: Target, image: elf.Elf, kind: str, sections: tuple[str, ...]) -> tuple[str, int, int]:
    """Return a memory of the board by its name, and where the emulated firmware has what lies there."""
    name = next(name for name, region in target.microcontroller.regions.items() if region.kind == kind)
    found = [image.sections[one] for one in sections if one in image.sections]
    return name, min(one.address for one in found), max(one.address + one.size for one in found)


def main() -> None:
    """Print the cycles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("firmware", type=Path)
    parser.add_argument("wav", type=Path)
    args = parser.parse_args()
    bundle = load(args.bundle)
    megahertz = bundle.target.processor.clock_mhz
    for name, (cycles, zero_wait) in costs(bundle, args.firmware, args.wav).items():
        ms = cycles.scaled(1 / (megahertz * 1e3))
        print(
            f"{name:18} {cycles.value:12,.0f} cycles, {ms.value:.1f} ms at {megahertz:g} MHz ({ms.low:.1f} to "
            f"{ms.high:.1f}); {zero_wait.value:,.0f} cycles without wait states"
        )


if __name__ == "__main__":
    main()
