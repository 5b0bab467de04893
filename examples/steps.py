"""What examples have in common: they show each command before it runs, and claims with their outcome at the end."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EDGEKIT = Path(sys.executable).with_name("edgekit")


@dataclass(frozen=True)
class Arguments:
    """What one may tell an example."""

    out: Path
    target: str


def arguments(description: str | None, out: Path, board: str) -> Arguments:
    """Read the command line; return the folder to write to and the board, by default these."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=out, help="folder to write to")
    parser.add_argument("--target", default=board, help="the board")
    args = parser.parse_args()
    return Arguments(args.out, args.target)


def title(words: str) -> None:
    """Print the heading of a step."""
    print(f"\n{words}\n", flush=True)


def train(script: Path, out: Path) -> None:
    """Run a training in a process of its own, and print the last line with its loss."""
    command = [sys.executable, os.path.relpath(script), str(out)]
    _show(["python", *command[1:]])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\nthe training failed")
    print("   " + [line for line in done.stdout.splitlines() if "loss" in line][-1].strip())


def edgekit(*args: str) -> None:
    """Run edgekit as a user would."""
    _show(["edgekit", *args])
    code = subprocess.run([EDGEKIT, *args], check=False).returncode
    if code:
        sys.exit(code)


def compiled(*args: str) -> dict[str, Any]:
    """Compile for one target; return the bundle's entry in the JSON."""
    _show(["edgekit", "compile", *args])
    done = subprocess.run([EDGEKIT, "compile", *args, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    made: dict[str, Any] = json.loads(done.stdout)["bundles"][0]
    return made


def metrics(made: dict[str, Any]) -> None:
    """Print what each metric of a compiled bundle was before, and is after, with its interval."""
    for row in made["metrics"]:
        after = row["after"]
        print(f"   {row['name']}: {row['before']['value']:.3f} before, {after['value']:.3f} after "
              f"({after['low']:.3f} to {after['high']:.3f})")  # fmt: skip


def result(claims: Sequence[tuple[bool, str]]) -> int:
    """Print whether each claim holds; return the exit code."""
    title("Result")
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    return 0 if all(ok for ok, _ in claims) else 5


def _show(argv: list[str]) -> None:
    """Print a command as one would type it."""
    print(f"$ {shlex.join(argv)}", flush=True)
