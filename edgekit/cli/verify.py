"""The command ``edgekit verify``."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.common import Output, on_option, output_options, table, threads_option
from edgekit.errors import CheckFailed

WORDS = {True: "ok", False: "FAILED"}
"""What is said of a check."""
PARTLY = {"parity": "not executed", "decision": "not executed"}
"""What is said of one that could be made only in part; of others: in part."""


@click.command(epilog="Example: edgekit verify build/model.as-is.rpi4 --on emulator")
@click.argument("bundle", type=click.Path(path_type=Path))
@on_option
@threads_option
@output_options
def command(bundle: Path, on: str | None, threads: int, output: Output) -> None:
    """Check that BUNDLE is intact, and that its artifact computes what the network computes."""
    from edgekit.api.verify import verify

    with output.progress() as progress:
        result = verify(bundle, on=on, threads=threads, progress=progress)
    if output.json:
        output.emit(result.json())
    else:
        rows = [
            [check.name, WORDS[check.ok] if check.ok is not None else PARTLY.get(check.name, "in part"), check.detail]
            for check in result.checks
        ]
        table(str(bundle), ["check", "result", "detail"], rows)
    if result.ok is False:
        failed = next(check for check in result.checks if check.ok is False)
        raise CheckFailed(f"{failed.name}: {failed.detail}")
