"""The command ``edgekit diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.common import (
    Listing,
    Output,
    judged_line,
    metric_names,
    output_options,
    seed_option,
    shape_option,
    size,
    table,
    task_option,
    trust_option,
)
from edgekit.cli.streams import say
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.api.diagnose import Diagnosed, Fixed
    from edgekit.diagnosis.diagnose import Diagnosis
    from edgekit.diagnosis.evidence import Finding

MOST_ALIKE = 3
"""Number of findings with the same cause that are printed in full; --json has all."""
PRECISIONS = ("int4", "int8", "int16", "float32")


@click.command(epilog="Example: edgekit diagnose model.tflite --data digits.npz --fix --target rpi4")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-d", "--data", required=True, metavar="FILE", help="Samples for calibration, as for compile.")
@click.option("--test", metavar="FILE", help="Samples to judge by, with labels if possible; default: --data.")
@click.option(
    "-r",
    "--recipe",
    default="int8",
    show_default=True,
    metavar="R",
    help="The quantization to diagnose: a recipe that ends with the pass quantize.",
)
@click.option(
    "--metric", metavar="M", cls=Listing, names=metric_names,
    help="Judge by a task's metric, not by accuracy: {names}, or your own: package.module:function; default: the "
    "task's own.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(0), metavar="LIMIT",
    help="The acceptable loss, in the metric's own unit; without one, points of accuracy or, without labels, % of "
    "samples whose label changes. Default: 0.5 points, or 0.5 % of what the float network reaches.",
)  # fmt: skip
@task_option
@click.option("--fix", is_flag=True, help="Search for the cheapest fix, verify it, and write a bundle.")
@click.option(
    "-t",
    "--target",
    metavar="T",
    help="With --fix: the board whose latency is kept low; default: this machine, minimizing bytes.",
)
@click.option(
    "--allow", "allow", multiple=True, type=click.Choice(PRECISIONS),
    help="With --fix: a precision that operators may have; repeatable; default: int8, int16 and float32.",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Plot every operator's effect: .svg, .png or .pdf."
)
@click.option(
    "-o", "--out", default="build", show_default=True, type=click.Path(path_type=Path), help="Folder for the bundle."
)
@seed_option
@shape_option
@trust_option
@output_options
def command(
    model: Path, plot: Path | None, allow: tuple[str, ...], trust: bool, output: Output, **options: Any
) -> None:
    """Explain why MODEL, a float network, loses accuracy when it is quantized, and what to do about it.

    Every operator is quantized alone, and the effect on the network's outputs is measured. The exit code is 5 if more
    than --max-drop is lost and nothing was fixed.
    """
    from edgekit.api.diagnose import diagnose

    if plot is not None:
        from edgekit.data.picture import check_plot

        check_plot(plot)
    if allow:
        options["allow"] = allow
    with output.progress() as progress:
        found = diagnose(model, trust=trust, progress=progress, **options)
    if plot is not None:
        from edgekit.diagnosis.plot import draw

        draw(found.diagnosis, plot)
    if output.json:
        output.emit(found.json())
    else:
        _print(found, output.verbose > 0)
        if plot is not None:
            say(f"plot: {plot}")
    found.check()


def _print(found: Diagnosed, verbose: bool) -> None:
    seen = found.diagnosis
    say(f"{found.model}, {found.recipe}: {_summary(found)}")
    _print_findings(seen)
    if not seen.healthy and not seen.findings:
        say("no operator stands out: the noise of all of them adds up; use 16 bits, or --fix")
    if seen.notes:
        say("")
    for note in seen.notes:
        say(f"note: {note}")
    if verbose or not seen.healthy:
        say("")
        _print_operators(seen)
    if found.fixed is not None:
        say("")
        _print_fix(found.fixed)


def _print_findings(seen: Diagnosis) -> None:
    """Print the findings; of many with the same cause only the first few in full."""
    alike = {cause: [f for f in seen.findings if f.cause == cause] for cause in {f.cause for f in seen.findings}}
    shown = [f for f in seen.findings if alike[f.cause].index(f) < MOST_ALIKE]
    for number, finding in enumerate(shown, 1):
        place = "input" if finding.operator < 0 else f"operator {finding.operator} {finding.op}"
        say("")
        say(f"{number}. {place} ({name(finding.name)}): {finding.words}")
        hurt = ", ".join(f"{i} {seen.operators[i].op}" for i in finding.hurts)
        alone = _alone(seen, finding)
        say(f"   hurts: {hurt} ({alone})")
        say(f"   to do: {finding.remedy}")
        rest = alike[finding.cause][MOST_ALIKE:]
        if rest and finding is alike[finding.cause][MOST_ALIKE - 1]:
            say("   the same: " + ", ".join(f"{f.operator} {f.op}" for f in rest))


def _alone(seen: Diagnosis, finding: Finding) -> str:
    if finding.sqnr_db is not None:
        return f"alone, it leaves {finding.sqnr_db:.1f} dB"
    effects = [effect for i in finding.hurts if (effect := seen.operators[i].effect) is not None]
    refused = any(effect.failure for effect in effects)
    return "alone, it does not run" if refused else "alone, the outputs are not finite"


def _summary(found: Diagnosed) -> str:
    seen = found.diagnosis
    before, after = seen.real.accuracy, seen.quantized.accuracy
    change = "" if before is None or after is None else f"{before:.2%} in float, {after:.2%} quantized; "
    if seen.judged is not None:
        by = seen.judged.found
        change = f"{seen.judged.metric} {by.before.value:.4g} in float, {by.after.value:.4g} quantized; "
    noise = "" if seen.quantized.sqnr_db is None else f", outputs at {seen.quantized.sqnr_db:.1f} dB"
    verdict = "healthy, nothing to do" if seen.healthy else "not healthy"
    return f"{change}{found.lost} ({seen.samples} samples{noise}): {verdict}"


def _print_operators(seen: Diagnosis) -> None:
    names = {f.operator: f.cause for f in seen.findings}
    digits = ".2f" if seen.effect_real.mark is None else ".2g"
    rows = []
    for row in seen.operators:
        entry = row.json(seen.effect_real)
        effect = "does not run" if not entry["runs"] else _db(entry["effect_db"], row.effect is not None)
        points = "" if entry["effect_points"] is None else f"{entry['effect_points']:{digits}}"
        rows.append(
            [str(row.index), row.op, row.name, effect, points, _db(entry["alone_db"]), _db(entry["network_db"]),
             names.get(row.index, "float" if row.reason else "")]
        )  # fmt: skip
    columns = ["#", "operator", "name", "effect dB", "lost", "alone dB", "in the network dB", ""]
    table(f"Operators, one at a time ({seen.effect_samples} samples)", columns, rows, right=(0, 3, 4, 5, 6))


def _db(value: float | None, measured: bool = True) -> str:
    return f"{value:.1f}" if value is not None else "-" if measured else ""


def _print_fix(fixed: Fixed) -> None:
    found = fixed.json()
    if fixed.recalibrated:
        say("fixed: ranges calibrated on the test samples, since --data is unlike them")
    if any(entry["name"] == "split_scales" and entry.get("split") for entry in fixed.bundle.passes):
        say("fixed: outputs that shared a scale keep scales of their own (split_scales)")
    if found["scaled_channels"]:
        say(f"fixed: {found['scaled_channels']} channels scaled, which changes nothing in float")
    for precision in PRECISIONS:
        named = [f"{entry['index']} {entry['op']}" for entry in found["precision"] if entry["precision"] == precision]
        if named:
            say(f"fixed: in {precision}: {', '.join(named)}")
    cost = found["cost"]
    kept = cost["unit"] == "bytes"
    after, before, whole = (size(int(cost[n])) if kept else f"{cost[n]:.3g} ms" for n in ("after", "before", "float"))
    what = "constants and activations" if kept else "estimated latency"
    say(f"cost: {after} ({before} without the fix, {whole} in float), {what}")
    accuracy = fixed.bundle.accuracy
    if accuracy:
        say(f"accuracy: {accuracy['float']:.2%} in float, {accuracy['compiled']:.2%} compiled")
    for judged in fixed.bundle.manifest.get("metrics", []):
        say(judged_line(judged))
    if not accuracy and not fixed.bundle.manifest.get("metrics"):
        say(f"lost: {found['lost']:.2f}")
    say(f"bundle: {fixed.bundle.path}")
    say(f"recipe: {fixed.recipe}")
    say(f"again:  {fixed.command}")
