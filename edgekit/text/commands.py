"""Command lines for the user to continue with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def arguments(
    path: Path, data: str | None, test: str | None, shapes: Sequence[str] = (), seed: int = 0, trust: bool = False,
    task: Path | None = None,
) -> list[str]:  # fmt: skip
    """Return the words of a command line that name a model and its samples, for any command that reads both.

    They are not quoted yet: :func:`shlex.join` does that.
    """
    words = [str(path) if not str(path).startswith("-") else f"./{path}"]
    words += [*(["--data", data] if data else []), *(["--test", test] if test else [])]
    words += [word for shape in shapes for word in ("--shape", shape)]
    words += ["--task", str(task)] if task is not None else []
    return words + (["--seed", str(seed)] if seed else []) + (["--trust-model"] if trust else [])
