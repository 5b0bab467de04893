"""The command ``edgekit compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.common import Listing, Output, figure, output_options, runner_names, size, table, threads_option


@click.command(epilog="Example: edgekit compare build/*.rpi4 build/*.rpi5 --on emulator")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--on",
    default="estimate",
    show_default=True,
    metavar="WHERE",
    cls=Listing,
    names=runner_names,
    help="Where the figures come from: estimate, {names}.",
)
@threads_option
@output_options
def command(bundles: tuple[Path, ...], on: str, threads: int, output: Output) -> None:
    """Compare BUNDLES; mark the fastest, the smallest and the most frugal."""
    from edgekit.api.compare import compare

    with output.progress() as progress:
        found = compare(bundles, on=on, threads=threads, progress=progress)
    if output.json:
        output.emit(found.json())
        return
    rows = []
    for number, row in enumerate(found.rows):
        latency, energy = row.profile.latency_ms, row.profile.energy_mj
        marks = [
            word
            for word, winner in (
                ("fastest", found.fastest),
                ("smallest", found.smallest),
                ("most frugal", found.most_frugal),
            )
            if winner == number
        ]
        rows.append(
            [
                row.manifest["model"]["name"], row.manifest["target"], row.manifest["recipe"]["name"],
                _accuracy(row.manifest), size(row.model_bytes),
                figure(latency.value, latency.low, latency.high, "ms"),
                figure(energy.value, energy.low, energy.high, "mJ"), ", ".join(marks),
            ]
        )  # fmt: skip
    table(
        f"Comparison (--on {on})",
        ["model", "target", "recipe", "accuracy", "network", "latency", "energy", ""],
        rows,
        right=(3, 4),
    )


def _accuracy(manifest: dict[str, Any]) -> str:
    """The share of right labels, or what the first metric says of other networks."""
    accuracy, metrics = manifest.get("accuracy"), manifest.get("metrics")
    if accuracy:
        return f"{accuracy['compiled']:.2%}"
    return f"{metrics[0]['name']} {metrics[0]['after']['value']:.4g}" if metrics else ""
