"""The blocks that the CUDA host program chooses: they cover the work, and CUDA starts them."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import ENVIRONMENT, HERE, SANITIZE, STUBS, compiled

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
Size = tuple[int, int, int]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [HERE / "block_shapes.c", STUBS / "gpu" / "plan.c", STUBS / "gpu" / "network.c"]
    return compiled(tmp_path_factory.mktemp("shapes") / "shapes", sources, *SANITIZE)


def shapes(program: Path, sizes: list[Size]) -> list[tuple[Size, Size] | None]:
    """Grid and block of each; None where it is refused."""
    arguments = [str(number) for size in sizes for number in size]
    done = subprocess.run([program, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    numbers = [None if line == "refused" else [int(text) for text in line.split()] for line in done.stdout.splitlines()]
    return [None if n is None else ((n[0], n[1], n[2]), (n[3], n[4], n[5])) for n in numbers]


def test_blocks_cover_the_work_within_cudas_limits(program: Path) -> None:
    draw = random.Random(0)
    sizes = [(1, 1, 1), (1, 1, 5000), (1, 128, 128), (3, 5, 7), (100_000, 1, 1), (1, 4_000_000, 1), (33, 2, 1)]
    sizes += [(draw.randint(1, 300), draw.randint(1, 300), draw.randint(1, 300)) for _ in range(300)]
    for size, made in zip(sizes, shapes(program, sizes), strict=True):
        assert made is not None, size
        _, block = made
        assert math.prod(block) <= 128 and block[2] <= 64, (size, made)
        assert all((count - 1) * threads < n <= count * threads for n, count, threads in zip(size, *made, strict=True))
        if math.prod(size) >= 1024:
            assert math.prod(block) >= 64, (size, made)


@pytest.mark.parametrize(
    ("size", "block"),
    [
        ((512, 8, 8), (32, 4, 1)),  # a warp along the first dimension, then along the others
        ((4, 512, 8), (4, 32, 1)),
        ((4, 2, 512), (4, 2, 16)),
        ((4096, 1, 1), (128, 1, 1)),  # no other has work
        ((1, 1, 4096), (1, 1, 64)),  # the third dimension's limit
        ((3, 1, 1), (4, 1, 1)),
    ],
)
def test_blocks(program: Path, size: Size, block: Size) -> None:
    ((_, made),) = [found for found in shapes(program, [size]) if found]
    assert made == block


def test_what_cuda_cannot_start_is_refused(program: Path) -> None:
    sizes = [(1, 65_535 * 128, 1), (1, 65_535 * 128 + 1, 1), (1, 1, 65_535 * 64), (1, 1, 65_535 * 64 + 1)]
    assert [made is not None for made in shapes(program, sizes)] == [True, False, True, False]
