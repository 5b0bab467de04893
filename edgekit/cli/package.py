"""The command ``edgekit package``."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.common import Output, output_options
from edgekit.cli.streams import say

FORMATS = ("cmake", "wheel", "deb")


@click.command(epilog="Example: edgekit package build/model.int8.rpi4 --format deb")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, help="Folder to write to."
)  # fmt: skip
@output_options
def command(bundle: Path, form: str, out: Path, output: Output) -> None:
    """Package BUNDLE with the runtime library, for programs in C, C++ and Python (docs/runtime.md)."""
    from edgekit.api.package import package

    with output.progress() as progress:
        made = package(bundle, format=form, out=out, progress=progress)
    if output.json:
        output.emit(made.json())
        return
    for path in made.paths:
        say(str(path))
