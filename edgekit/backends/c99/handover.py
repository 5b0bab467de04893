"""Hands a network in C over to a build system: CMake, Arduino, Zephyr, PlatformIO, the Pico SDK.

``artifact/FORMAT/NAME`` is a library as that build system expects it, with an example that reads an input and prints a
label. The texts are in ``firmware_stubs/handover``. Layouts, as documented (read in 2026):

* CMake: cmake-packages(7), "Creating Packages"
* Arduino: "Arduino library specification", 1.5 format, rev. 2.2
* Zephyr: "Modules (External projects)", "Module yaml file description"
* PlatformIO: "Creating Library", "library.json"
* Pico SDK: "Raspberry Pi Pico-series C/C++ SDK", "Building with CMake"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import resources
from edgekit.backends.c99.emit import Source
from edgekit.bundle.handover import Format
from edgekit.files.documents import write_text
from edgekit.graph import Tensor
from edgekit.text.templates import filled

MOST_LABELS = 4096
"""Names of classes in the example."""
_NAME_MOST = 40
_HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
    stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar unistd wchar wctype"""
_TARGETS = """all clean depend edit_cache help install package preinstall rebuild_cache test
    app arduino classify main pico_stdlib zephyr"""
_TAKEN = frozenset((*_HEADERS.split(), *_TARGETS.split()))
"""Names that a header, a target or the example has already."""
_PUBLIC = "ek_model.h"


_EXAMPLES = {
    Format.CMAKE: "examples/classify", Format.ARDUINO: "examples/classify", Format.ZEPHYR: "samples/classify/src",
    Format.PLATFORMIO: "examples/classify/src", Format.PICO_SDK: "examples/classify",
}  # fmt: skip
"""Where the example's own header goes."""


@dataclass(frozen=True)
class Cross:
    """A cross compiler.

    :param flags: of the core. :param processor: ``arm`` or ``riscv32``. :param board: as the Pico SDK calls it.
    """

    compiler: str
    flags: Sequence[str]
    processor: str
    board: str = ""


@dataclass(frozen=True)
class Network:
    """A network to hand over.

    :param source: whose name is the library's. :param what: a few words, without a full stop.
    """

    source: Source
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    what: str
    target: str
    cross: Cross | None = None


def identifier(name: str) -> str:
    """Return a name for a library, and a prefix in C, from any text."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())[:_NAME_MOST].strip("_")
    if plain in _TAKEN or plain.startswith("ek_"):
        return f"{plain}_network"
    return plain if plain[:1].isalpha() else f"network_{plain}".rstrip("_")


def parsed(text: str) -> tuple[Format, ...]:
    """Return the formats that a comma-separated list names.

    :raises ValueError: if one does not exist.
    """
    return tuple(dict.fromkeys(Format(name.strip()) for name in text.split(",")))


def write(network: Network, form: Format, folder: Path) -> Path:
    """Write a library into a folder of its own in ``folder``; return that."""
    name = network.source.name
    root = folder / form / name
    values = _values(network, form)
    stubs = resources.folder("firmware_stubs")
    templates = stubs / "handover"
    for template in sorted((templates / form).rglob("*.in")):
        place = str(template.relative_to(templates / form)).removesuffix(".in")
        if place != "use.md" and (network.cross is not None or "toolchain" not in place):
            _put(root / filled(place, values), filled(template.read_text(), values))
    common = templates / "common"
    _put(root / _EXAMPLES[form] / "classify.h", filled((common / "classify.h.in").read_text(), values))
    _put(root / "README.md", filled((common / "README.md.in").read_text(), values))
    sources = root / "src"
    headers = sources if form is Format.ARDUINO else root / "include"
    _put(sources / f"{name}.c", network.source.code)
    _put(headers / f"{name}.h", network.source.header)
    for header in sorted((stubs / "kernels").glob("*.h")):
        _put((headers if header.name == _PUBLIC else sources) / header.name, header.read_text())
    return root


def _values(network: Network, form: Format) -> dict[str, str]:
    name, cross = network.source.name, network.cross
    classes = min(MOST_LABELS, _elements(network.outputs[0]) if network.outputs else 1)
    values = {
        "name": name, "NAME": name.upper(), "slug": name.replace("_", "-"), "what": network.what,
        "arena": str(network.source.memory.arena), "target": network.target, "classes": str(classes),
        "labels": "\n".join(f'    "class {number}",' for number in range(classes)),
        "min_ram": str(-(-network.source.memory.arena // 1024) + 8), "tensors": _tensors(network),
        "pico": cross.board if cross and cross.board else "pico", "cross": "",
    }  # fmt: skip
    if cross is not None:
        specs = "--specs=nosys.specs" if cross.processor == "arm" else "-nostartfiles"
        values |= {
            "compiler": cross.compiler, "flags": " ".join(cross.flags), "processor": cross.processor, "specs": specs,
            "cross": f"""
For {network.target}:
```sh
cmake -B cross -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain.cmake -D{name.upper()}_EXAMPLES=OFF
cmake --build cross && cmake --install cross --prefix PREFIX
```""",
        }  # fmt: skip
    use = resources.folder("firmware_stubs") / "handover" / form / "use.md.in"
    return values | {"use": filled(use.read_text(), values).rstrip()}


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _elements(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= abs(size)
    return count


def _tensors(network: Network) -> str:
    rows = [*_rows("input", network.inputs), *_rows("output", network.outputs)]
    return "\n".join(["| Tensor | Type | Shape | Real value |", "|---|---|---|---|", *rows])


def _rows(kind: str, tensors: Iterable[Tensor]) -> Iterable[str]:
    for number, tensor in enumerate(tensors):
        real = ""
        if tensor.quantization is not None and tensor.has_scale:
            scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])
            real = f"{scale:.9g} * (q - {zero})"
        yield f"| {kind} {number} | {tensor.dtype} | {list(tensor.shape)} | {real} |"
