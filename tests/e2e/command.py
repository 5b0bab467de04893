"""Call the command line as a user does."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import warm

EDGEKIT = Path(sys.executable).with_name("edgekit")


@dataclass(frozen=True)
class Result:
    """What a call printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out, parse_constant=_refused)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259)")


def edgekit(*args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Result:
    """Run ``edgekit ARGS`` in a process of its own, which begins where its imports are done: see ``tests/warm.py``."""
    command = [str(EDGEKIT), *map(str, args)]
    return Result(*warm.run(command, cwd, {**os.environ, **(env or {})}, seconds=600))


def refused(result: Result, code: int, *words: str) -> None:
    """Check that a call was refused kindly: the right exit code, one line on what and one on the cure, no traceback."""
    assert result.code == code, (result.code, result.err)
    assert "Traceback" not in result.err
    lines = [line for line in result.err.splitlines() if not line.startswith(("warning:", "note:"))]
    assert lines[0].startswith("error: "), result.err
    assert len(lines) <= 2, result.err
    for word in words:
        assert word in result.err, result.err
