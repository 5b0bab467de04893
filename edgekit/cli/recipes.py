"""The command ``edgekit recipes``."""

from __future__ import annotations

import click

from edgekit.cli.common import Output, output_options, table
from edgekit.passes import recipe

TRAINING = ("finetune", "qat", "distil")
"""Passes that train, which needs TensorFlow; ``sparsify`` trains if it has ``epochs``."""


@click.command(epilog="Example: edgekit recipes --json")
@output_options
def command(output: Output) -> None:
    """List the recipes that come with edgekit, and what they need.

    A recipe is one TOML file in compile/recipes/, or your own; docs/recipes.md explains how to write one.
    """
    recipes = [recipe.load(name) for name in recipe.names()]
    if output.json:
        output.emit(
            {
                "schema": 1,
                "recipes": [
                    {
                        "name": r.name, "description": r.description, "needs_data": r.needs_data, "trains": trains(r),
                        "passes": [step.name for step in r.steps],
                    }
                    for r in recipes
                ],
            }
        )  # fmt: skip
        return
    rows = []
    for r in recipes:
        needs = [*(["--data"] if r.needs_data else []), *(["the extra train"] if trains(r) else [])]
        rows.append([r.name, r.description, ", ".join(needs) or "nothing"])
    table("Recipes", ["Name", "Description", "Needs"], rows)


def trains(plan: recipe.Recipe) -> bool:
    """True if a pass of the recipe trains the network."""
    return any(step.name in TRAINING or "epochs" in step.params for step in plan.steps)
