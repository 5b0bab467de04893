"""The command ``edgekit doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgekit.cli.common import Listing, Output, installer_names, output_options, table
from edgekit.cli.streams import say
from edgekit.errors import ToolMissing

if TYPE_CHECKING:
    from edgekit.api.doctor import Check


@click.command(epilog="Example: edgekit doctor --install onnx")
@click.option(
    "--install", "names", metavar="NAME", multiple=True, cls=Listing, names=installer_names,
    help="Install one of these: {names}; repeatable. system stands for Debian packages, as root.",
)  # fmt: skip
@output_options
def command(names: tuple[str, ...], output: Output) -> None:
    """Show which tools are installed and what they are for, and how to get the missing ones.

    The exit code is 0 if everything essential is installed, otherwise 4.
    """
    from edgekit.api import doctor

    if names:
        _install(names, output)
        return
    results = doctor.checks()
    ok = doctor.healthy(results)
    if output.json:
        output.emit({"schema": 1, "ok": ok, "checks": [asdict(check) for check in results]})
    else:
        _print(results)
    if not ok:
        lacking = [check for check in results if check.essential and not check.ok]
        system = any("apt-get" in check.install for check in lacking)
        hint = "as root, run: edgekit doctor --install system" if system else _next(lacking[0])
        raise ToolMissing(f"essential tools are missing: {', '.join(check.name for check in lacking)}", hint)


def _next(check: Check) -> str:
    return f"run: {check.install}" if check.install else f"without {check.name}: {check.without}"


def _print(results: list[Check]) -> None:
    """Print a table for each group, followed by what is missing: the consequences, and how to install it."""
    from edgekit.api.doctor import GROUPS

    for group, title in GROUPS.items():
        rows = [check for check in results if check.group == group]
        if not rows:
            continue
        cells = [[c.name, _word(c.ok, c.essential), c.purpose, c.detail] for c in rows]
        table(title, ["tool", "state", "purpose", "detail"], cells)
        for check in rows:
            if not check.ok:
                say(f"without {check.name}: {check.without}")
            if check.install:
                say(f"to get {check.name}: {check.install}")
        say("")


def _word(ok: bool, essential: bool) -> str:
    return "ok" if ok else "MISSING" if essential else "missing"


def _install(names: tuple[str, ...], output: Output) -> None:
    from edgekit.api import installing

    with output.progress() as progress:
        done, failed = installing.install_all(list(names), progress)
    if output.json:
        errors = [{"message": error.message, "hint": error.hint} for error in failed]
        output.emit({"schema": 1, "ok": not failed, "installed": done, "failed": errors})
    else:
        for line in done:
            say(line)
    for error in failed[:-1]:
        say(f"error: {error.message}", err=True)
        say(f"       {error.hint}", err=True)
    if failed:
        raise failed[-1]
