"""The space is data: each row must be something its pass takes, and recipes must survive being written down."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgekit import plugins
from edgekit.compression import space
from edgekit.compression.candidates import Candidate
from edgekit.compression.finalists import recipe_text
from edgekit.data import dataset
from edgekit.metrics.bounds import Bounds
from edgekit.passes import PassContext, recipe
from edgekit.passes.precisions import plan_of
from edgekit.passes.qat import Settings as Qat
from edgekit.passes.quantize import Settings as Quantize
from edgekit.passes.recipe import Step
from edgekit.training.settings import Training, parse
from tests.networks.small import convolutional

WHOLE = space.space(plugins.names("passes"), "rpi4", train=True, packed=True)


def combinations(choices: space.Space):
    """Recipes with each share at both ends and off, and every option."""
    shares = [[(s.name, v) for v in (s.low, s.high, s.off, 0.5)] for s in choices.shares]
    stages = [[(stage, option.label) for option in options] for stage, options in choices.stages.items()]
    return [dict(row) for row in itertools.product(*shares, *stages)]


def test_names_tell_recipes_apart():
    recipes = {space.key(steps): space.name(steps) for steps in map(WHOLE.steps, combinations(WHOLE))}
    assert len(set(recipes.values())) == len(recipes) > 100
    assert recipes["[]"] == "as-is"
    assert all(name.replace("-", "").isalnum() for name in recipes.values())


def test_recipes_survive_being_written_down(tmp_path):
    for params in combinations(WHOLE):
        steps = WHOLE.steps(params)
        path = tmp_path / "r.toml"
        path.write_text(recipe_text(Candidate(steps, {}), 'again: edgekit "x"\n', Bounds(class_drop=2.5), True))
        found = recipe.load(str(path))
        assert found.steps == steps and found.needs_data and found.bounds == recipe.Bounds(class_drop=2.5)
        read = Candidate.read(Candidate(steps, {"size": 1.0}).json())
        assert read.steps == steps


def test_every_option_is_what_its_pass_takes():
    steps = {space.key((step,)): step for options in space.STAGES.values() for o in options for step in o.steps}
    for step in steps.values():
        if step.name == "quantize":
            Quantize(**step.params)
        elif step.name == "qat":
            parse(Qat, step.params, "qat")
        elif step.name == "mixed_precision":
            plan_of(step.params)
        elif step.name in plugins.names("passes"):
            assert step.params.keys() <= set(Training.__dataclass_fields__)
            parse(Training, step.params, step.name)


@pytest.mark.parametrize("share", space.SHARES, ids=lambda s: s.name)
def test_shares_are_what_their_pass_takes(share):
    graph = convolutional(np.random.default_rng(0).normal(size=(10, 577)).astype(np.float32))
    data = dataset.random(graph, seed=1, samples=20)
    for value in (share.low or share.step, share.high if share.high != share.off else share.high - share.step):
        (step,) = share.steps(value)
        plugins.get("passes", step.name).apply(graph, PassContext(data=data, params=step.params))
    assert share.steps(share.off) == ()


def test_a_step_for_a_board_names_it():
    (step,) = WHOLE.steps(WHOLE.starts()[0] | {"arithmetic": "mixed"})
    assert step.params["target"] == "rpi4" and space.name((step,)) == "mixed"


def test_the_grid_is_round():
    share = space.SHARES[0]
    (step,) = share.steps(0.1 + 0.05 * 3)
    assert step.params == {"macs": 0.25} and share.steps(0.1 + 0.05 * 18) == ()


def test_passes_that_are_not_there_are_left_out():
    plain = space.space(["quantize", "prune"], "rpi4", train=False, packed=False)
    assert [share.name for share in plain.shares] == ["prune"]
    assert {o.label for o in plain.stages["training"]} == {"untrained"}
    assert "qat8" not in {o.label for o in plain.stages["arithmetic"]}
    bare = space.space([], "rpi4", train=True, packed=True)
    assert [bare.steps(start) for start in bare.starts()] == [()]
    trained = space.space(plugins.names("passes"), "rpi4", train=True, packed=False)
    assert {"tune2", "qat8"} <= {o.label for options in trained.stages.values() for o in options}


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=2)))
def test_starts_lie_in_the_space(flags):
    choices = space.space(plugins.names("passes"), "rpi4", train=flags[0], packed=flags[1])
    recipes = [choices.steps(start) for start in choices.starts()]
    assert recipes[0] == () and (Step("quantize", {"weights": "int8", "activations": "int8"}),) in recipes
    assert len({space.key(steps) for steps in recipes}) == len(recipes)
