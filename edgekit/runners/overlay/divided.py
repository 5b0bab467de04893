"""Networks of which a part is left to the host: the parts that a bundle names, and the host's as C on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import Request
from edgekit.backends.c99 import C99
from edgekit.backends.divided import host, parts
from edgekit.backends.divided.document import AGAIN
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError
from edgekit.graph import tflite
from edgekit.runners import OpenOptions, RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.target import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.divided.parts import Part, Parts


def parts_of(
    bundle: Bundle, before: Sequence[int], inner: Sequence[int], after: Sequence[int], document: str
) -> Parts:  # fmt: skip
    """The parts of a bundle's network; the host's C must be what its operators are compiled to.

    :param document: name of the file in ``artifact/`` that lists their operators.
    :raises DeviceError: if that is not so.
    """
    graph = bundle.graph
    groups = [list(group) for group in (before, inner, after)]
    if sorted(i for group in groups for i in group) != list(range(len(graph.operators))) or not inner:
        raise DeviceError(f"artifact/{document} has not the network's operators", AGAIN)
    found = parts.of_groups(graph, *groups)
    for code in host.codes(graph, found):
        file = bundle.artifact / host.FOLDER / f"{code.name}.c"
        if not file.is_file() or file.read_text() != code.code:
            raise DeviceError(f"artifact/{host.FOLDER}/{code.name}.c is not the C of its operators", AGAIN)
    return found


def on_host(bundle: Bundle, part: Part, fed: Sequence[NDArray[Any]], options: OpenOptions) -> list[NDArray[Any]]:
    """The results of a part's C on this machine."""
    graph = parts.extracted(bundle.graph, part)
    board = load(host.BOARD)
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        (folder / "artifact").mkdir()
        request = Request(folder / "model.tflite", folder / "artifact")
        artifact = C99().build(host.planned(bundle.graph, part), request)
        manifest = {
            **bundle.manifest, "target": board.name, "backend": "c99", "runtime": artifact.runtime,
            "execution": artifact.execution.json(), "inputs": [t.json() for t in graph.inputs],
            "outputs": [t.json() for t in graph.outputs],
        }  # fmt: skip
        return once(get_runner("host"), Bundle(folder, manifest), fed, RunOptions(), options).outputs
