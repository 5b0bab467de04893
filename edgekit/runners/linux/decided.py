"""What ``edgekit-run --task`` is given and leaves: ``firmware_stubs/linux/decide.h`` describes the files."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.execution import PROGRAM
from edgekit.bundle.material import Failed, Made
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.files.documents import dumps
from edgekit.runners.linux import process
from edgekit.tasks.gallery import FILE as GALLERY
from edgekit.tasks.parts import Line
from edgekit.tasks.text import FILE as TOKENS
from edgekit.text.logs import lines

if TYPE_CHECKING:
    from edgekit.bundle import Bundle
    from edgekit.bundle.material import Material
    from edgekit.graph import Graph

MANIFEST, FED, DECISIONS = "task.json", "fed.bin", "decisions.txt"
MOST_TEXT = 16 << 20
_MOST_VALUES, _MOST_REASON = 16, 300
_SAYS = f"{PROGRAM}: "


def manifest(bundle: Bundle) -> bytes:
    """What the C runner reads of the manifest: the task, and the tensors that it is for."""
    return dumps({name: bundle.manifest.get(name) for name in ("schema", "inputs", "outputs", "task")}).encode()


def beside(bundle: Bundle) -> dict[str, bytes]:
    """The files that it reads beside the material, by their names: what it needs of the manifest, and of the task."""
    files = {} if bundle.task is None else bundle.task.files()
    return {MANIFEST: manifest(bundle), **{name: files.get(name, b"") for name in (TOKENS, GALLERY)}}


def arguments(material: Material, *, trace: bool = True) -> list[str]:
    """The C runner's, after ``--library`` and ``--model``; files lie in the working folder."""
    found = [
        "--task",
        MANIFEST,
        "--tokens",
        TOKENS,
        "--gallery",
        GALLERY,
        "--fed",
        FED,
        "--outputs",
        process.OUTPUTS,
        "--decisions",
        DECISIONS,
    ]
    found += ["--samples", str(len(material.rows))]
    return [*found, "--inputs", process.INPUTS, "--trace", process.TRACE] if trace else found


def sizes(graph: Graph, samples: int) -> dict[str, int]:
    """The files that it leaves, and the bytes that each may have."""
    fed = samples * sum(tensor.nbytes for tensor in graph.inputs)
    return {FED: fed, process.OUTPUTS: samples * sum(tensor.nbytes for tensor in graph.outputs), DECISIONS: MOST_TEXT}


def left(folder: Path, graph: Graph, samples: int) -> Made:
    """Read what a run left in a folder.

    :raises DeviceError: if a file is missing, too large or damaged.
    """
    limits = sizes(graph, samples)
    return parsed({name: left_behind.read(folder, name, most) for name, most in limits.items()}, graph, samples)


def settled(status: int, output: str, read: Callable[[], Made]) -> Made | Failed:
    """What a run that ended by itself made of the material.

    The same program has just run the network: what fails here is the C library's code around it, on this material.

    :param status: its exit status, or the signal that ended it, below 0 or above 128. :param read: reads what it left;
        a DeviceError is of that.
    """
    if status:
        return Failed(_reason(status, output))
    try:
        return read()
    except DeviceError as error:
        return Failed(error.message)


def _reason(status: int, output: str) -> str:
    said = [line.removeprefix(_SAYS) for line in lines(output) if line.startswith(_SAYS)]
    if not 0 < status <= process.SIGNALS:
        number = -status if status < 0 else status - process.SIGNALS
        names = {each.value: each.name for each in signal.Signals}
        return f"it crashed ({names.get(number, f'signal {number}')})"
    return (said[-1] if said else f"it ended with status {status}")[:_MOST_REASON]


def parsed(files: dict[str, bytes], graph: Graph, samples: int) -> Made:
    """Read the files' contents; raises as :func:`left`."""
    inputs = process.split(files[FED], graph.inputs, samples)
    outputs = process.split(files[process.OUTPUTS], graph.outputs, samples)
    lines: list[list[Line]] = [[] for _ in range(samples)]
    try:
        for text in files[DECISIONS].decode().splitlines():
            row, line = _line(text)
            lines[row].append(line)
    except (ValueError, OverflowError, IndexError) as error:
        raise DeviceError(f"the run left damaged decisions: {error}", "compile the bundle again") from error
    return Made(inputs, outputs, lines)


def _line(text: str) -> tuple[int, Line]:
    row, number, count, rest = text.split(" ", 3)
    if not 0 <= int(count) <= _MOST_VALUES or int(row) < 0:
        raise ValueError(f"{text[:60]!r}")
    *values, label = rest.split(" ", int(count))
    if len(values) != int(count):
        raise ValueError(f"{text[:60]!r}")
    return int(row), Line(int(number), label, tuple(float.fromhex(value) for value in values))
