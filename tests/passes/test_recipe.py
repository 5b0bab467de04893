from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import plugins
from edgekit.errors import UsageError
from edgekit.passes import recipe
from edgekit.passes.quantize import Settings

SHIPPED = ["as-is", "float16", "float32", "int8", "int8-dynamic", "int8-w-int16-a"]


def test_the_recipes_of_the_documentation_are_there():
    assert set(SHIPPED) <= set(recipe.names())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_name_passes_that_exist_with_parameters_they_take(name):
    found = recipe.load(name)
    assert found.name == name and found.description
    needs_data = False
    for step in found.steps:
        assert plugins.get("passes", step.name).name == step.name
        if step.name == "quantize":
            needs_data |= Settings(**step.params).static
    assert found.needs_data == needs_data


def test_a_slash_is_a_dash():
    assert recipe.load("int8-w/int16-a") == recipe.load("int8-w-int16-a")


def test_unknown_recipes_suggest_the_nearest():
    with pytest.raises(UsageError) as caught:
        recipe.load("int8-dynamc")
    assert "int8-dynamic" in caught.value.hint


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'schema = 1\ndescription = "x"\nneeds_data = true\n[[pass]]\nname = "quantize"\nweights = "int4"\n'
        '[[pass]]\nname = "float32"\n'
    )
    found = recipe.load(str(path))
    assert found.name == "mine" and found.needs_data
    assert [(s.name, s.params) for s in found.steps] == [("quantize", {"weights": "int4"}), ("float32", {})]


@pytest.mark.parametrize(
    "text",
    ["", "schema = 2\ndescription = 'x'", "schema = 1", "not toml", "schema = 1\ndescription='x'\n[[pass]]\nbits = 8",
     "schema = 1\ndescription = 'x'\npass = 3", "schema = 1\ndescription = 'x'\npass = 'abc'",
     "schema = 1\ndescription = 'x'\npass = [1]", "schema = 1\ndescription = 3",
     "schema = 1\ndescription = 'x'\nneeds_data = 'no'", "schema = 1\ndescription = 'x'\nextra = 1",
     "schema = 1\ndescription = 'x'\n[[pass]]\nname = 3",
     "schema = 1\ndescription = 'x'\n[[pass]]\nname='a'\nb=nan",
     "schema = 1\ndescription = 'x'\n[[pass]]\nname = 'a'\nb = 1979-05-27", "a = " + "[" * 5000,
     "a = " + "9" * 5000, "#" + "x" * 300_000],
)  # fmt: skip
def test_wrong_recipes_are_one_clear_line(text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        recipe.load(str(path))
    assert "mine.toml" in caught.value.message and "\n" not in caught.value.message


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(UsageError, match="not a recipe"):
        recipe.load(str(tmp_path / "none.toml"))
    (tmp_path / "b.toml").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="not a recipe"):
        recipe.load(str(tmp_path / "b.toml"))


def test_bounds_are_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\ndescription = "x"\n[bounds]\nclass_drop = 2.5\naccuracy_drop = 0\n')
    found = recipe.load(str(path)).bounds
    assert found == recipe.Bounds(accuracy_drop=0, class_drop=2.5) and found
    assert not recipe.load("int8").bounds


WRONG_BOUNDS = ["class_drop = -1", "class_drop = 101", "class_drop = true", "class_drop = '2'", "class_drop = nan",
                "class_drop = inf", "clas_drop = 1", "group_drop = [1]"]  # fmt: skip


@pytest.mark.parametrize("line", WRONG_BOUNDS)
def test_wrong_bounds_are_named(line, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'schema = 1\ndescription = "x"\n[bounds]\n{line}\n')
    with pytest.raises(UsageError) as caught:
        recipe.load(str(path))
    assert line.split()[0] in caught.value.message and "\n" not in caught.value.message
    path.write_text('schema = 1\ndescription = "x"\nbounds = 3\n')
    with pytest.raises(UsageError, match="bounds"):
        recipe.load(str(path))


def test_what_is_written_is_what_was_meant(tmp_path):
    steps = (
        recipe.Step("quantize", {"weights": 'a "b"\\', "samples": 3, "scale": True, "precision": {"3": "int16"}}),
        recipe.Step("prune", {"macs": 0.25, "layers": ["dense", "conv"], "none": {}}),
    )
    for bounds, needs in ((recipe.Bounds(), False), (recipe.Bounds(accuracy_drop=0.5), True)):
        plan = recipe.Recipe("own", "two lines", needs, steps, bounds)
        (tmp_path / "own.toml").write_text(recipe.dumps(plan, "first\n\nthird"))
        assert recipe.load(str(tmp_path / "own.toml")) == plan


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(TEXT, TEXT, st.dictionaries(TEXT.filter(lambda key: key != "name"), PLAIN, max_size=4), st.floats(0, 100))
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_what_is_read(comment, name, params, bound):
    plan = recipe.Recipe("mine", name, True, (recipe.Step(name, params),), recipe.Bounds(class_drop=bound))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(recipe.dumps(plan, comment).encode())
        assert recipe.load(str(path)) == plan
