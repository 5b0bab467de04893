"""What a run from source to decision leaves is read as a stranger's: the program may come with the bundle."""

from __future__ import annotations

import pytest

from edgekit.errors import DeviceError
from edgekit.runners.linux import decided, process
from edgekit.tasks.parts import Line
from tests.tasks.task_networks import classifier


def read(text: str) -> list[Line]:
    graph = classifier()
    fed, outputs = (bytes(sum(tensor.nbytes for tensor in of)) for of in (graph.inputs, graph.outputs))
    files = {decided.FED: fed, process.OUTPUTS: outputs, decided.DECISIONS: text.encode()}
    return list(decided.parsed(files, graph, 1).lines[0])


def test_lines_are_read() -> None:
    assert read("0 3 1 0x1.8p-1 a dog\n0 4 0 \n") == [Line(3, "a dog", (0.75,)), Line(4, "", ())]


@pytest.mark.parametrize(
    "text",
    ["1 0 1 0x1p0 x", "-1 0 1 0x1p0 x", "0 0 17 0 x", "0 0 2 0x1p0 x", "0 0 1 one x", "0 0 1 0x1p99999 x", "0", "\n"],
)
def test_damaged_lines_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(DeviceError, match=r"^the run left damaged decisions: [^\n]+$"):
        read(text)
