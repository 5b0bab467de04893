"""The command ``edgekit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.common import Output, count, output_options, shape_option, size, table, trust_option
from edgekit.cli.streams import say
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.delegates import Advice

MOST_REFUSALS = 5


@click.command(epilog="Example: edgekit inspect model.tflite")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-t", "--target", "targets", multiple=True, metavar="T",
    help="A board or phone to report on, with what its accelerators support; repeatable; default: all, in brief.",
)  # fmt: skip
@shape_option
@trust_option
@output_options
def command(model: Path, targets: tuple[str, ...], shapes: tuple[str, ...], trust: bool, output: Output) -> None:
    """Show the operators of MODEL (a model file or a bundle), its cost, and where it can run."""
    from edgekit.api.inspect import inspect

    with output.progress() as progress:
        found = inspect(model, targets=targets, shapes=shapes, trust=trust, progress=progress)
    if output.json:
        output.emit(found.json())
        return
    stats = found.statistics
    for kind, tensors in (("input", found.graph.inputs), ("output", found.graph.outputs)):
        for tensor in tensors:
            say(f"{kind:<7}{name(tensor.name)}: {tensor.dtype} {list(tensor.shape)}")
    say(
        f"{count(stats.macs)} MACs, {count(stats.parameters)} parameters, {size(stats.weights_bytes)} of constants, "
        f"{size(stats.peak_activation_bytes)} of activations at the peak"
    )
    for note in found.graph.notes:
        say(f"note: {note}")
    rows = [
        [
            str(r.index),
            r.op,
            r.name,
            r.weights_dtype,
            r.dtype,
            count(r.macs),
            size(r.weights_bytes),
            size(r.activation_bytes),
        ]
        for r in stats.operators
    ]
    table(
        "Operators",
        ["#", "operator", "name", "weight dtype", "result dtype", "MACs", "weights", "activations"],
        rows,
        right=(0, 5, 6, 7),
    )
    for board, missing in found.unsupported.items():
        say(f"{board}: " + ("every operator is supported" if not missing else f"{len(missing)} not supported"))
        for item in missing[:MOST_REFUSALS]:
            say(f"  {item.words()}. {item.remedy}")
        _print_rest(len(missing))
        for advice in found.delegates.get(board, []):
            _print_advice(board, advice)


def _print_advice(target: str, advice: Advice) -> None:
    say(f"{target}, {advice.delegate.name} ({advice.delegate.version}): {advice.words()}")
    for verdict in advice.left[:MOST_REFUSALS]:
        say(f"  operator {verdict.index} {verdict.operator} stays on the CPU: {verdict.reason}")
    _print_rest(len(advice.left))
    for remark in advice.delegate.remarks:
        say(f"  note: {remark}")


def _print_rest(total: int) -> None:
    if total > MOST_REFUSALS:
        say(f"  and {total - MOST_REFUSALS} more; --json lists them all")
