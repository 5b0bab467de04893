"""Objects of C files, kept for all tests of all workers: most differ in one file, or in none.

An object is found by the compiler, its options, and the content of the file and of all headers beside it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.mutants import cached_gcc

folder: Path | None = None
"""Where they are kept, once there is a folder for that."""


def instead(command: Sequence[str], here: Path) -> list[str]:
    """The command of a compiler that runs in ``here``, with objects instead of C files; itself if one is refused."""
    compiler, *arguments = command
    sources = [argument for argument in arguments if argument.endswith(".c")]
    if folder is None or len(sources) < 2:
        return list(command)
    options = [argument for argument in arguments if argument not in sources and not argument.startswith("-l")]
    if "-o" in options:
        place = options.index("-o")
        del options[place : place + 2]
    try:
        made = {one: str(cached_gcc.kept(compiler, folder, options, Path(one), here)) for one in sources}
    except subprocess.CalledProcessError:
        return list(command)
    return [compiler, *(made.get(argument, argument) for argument in arguments)]
