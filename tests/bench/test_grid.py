"""The cells of a table: which networks, which axes, and what is refused before anything is measured."""

import pytest

from alphaloom.bench.grid import Grid, base_model, cells
from alphaloom.errors import SettingError, UsageError
from alphaloom.recipe import Recipe

RECIPE = Recipe.parse(
    {
        "name": "tiny",
        "features": ["alpha158"],
        "label": "forward_return",
        "models": ["ridge", {"name": "gru", "hidden": 8}, {"name": "transformer", "size": "medium", "steps": 9}],
    }
)


def test_defaults_are_those_of_seed_000():
    """Three sizes, 5 and 21 steps, four batch sizes, float32 and bfloat16, pooled IC, and no whole days."""
    every = cells(base_model(None, None), Grid())
    assert len(every) == 3 * 2 * 4 * 2
    assert [cell.precision for cell in every[:4]] == ["float32", "bfloat16"] * 2
    model = every[-1].model
    assert (model.size, model.steps, model.optimisation.rows_per_step) == ("large", 21, 4096)
    assert model.loss.describe() == {"name": "ic", "pooled": True}
    assert (model.optimisation.epochs, model.optimisation.precision) == (1, "bfloat16")
    assert every[0].words == "transformer small, 5 steps, 512 rows, float32"


def test_other_networks_have_one_size():
    """A network without sizes has one row a batch size, with its own settings by `--set`."""
    grid = Grid(steps=(3,), rows=(64, 128, 64), precisions=("float32",))
    every = cells(base_model("gru", None, ["hidden=16", "optimisation.lr=0.01"]), grid)
    assert [(cell.size, cell.rows) for cell in every] == [(None, 64), (None, 128)]
    assert every[0].model.hidden == 16
    assert every[0].model.optimisation.lr == 0.01
    assert every[0].words == "gru 3 steps, 64 rows, float32"


@pytest.mark.parametrize(
    ("name", "expected"), [(None, "gru"), ("models.2", "transformer"), ("gru", "gru"), ("alstm", "alstm")]
)
def test_models_of_a_recipe(name, expected):
    """The first network, a place, a name of the recipe's, or another network."""
    base = base_model(name, RECIPE)
    assert base["name"] == expected
    if expected == "gru":
        assert base["hidden"] == 8


def test_axes_are_laid_over_the_recipes_model():
    """Steps and size of the recipe's own network give way to those of the table."""
    grid = Grid(sizes=("small",), steps=(2,), rows=(32,), precisions=("float32",))
    base = base_model("models.2", RECIPE, ["loss={name: mse}"])
    (cell,) = cells(base, grid)
    assert (cell.model.size, cell.model.steps, cell.model.loss.name) == ("small", 2, "mse")


@pytest.mark.parametrize(
    ("name", "overrides", "grid", "message"),
    [
        ("transfomer", [], {}, "Did you mean 'transformer'"),
        ("lightgbm", [], {}, "is no network"),
        ("master", [], {}, "scores the stocks of a day together"),
        ("models.0", [], {}, "name the recipe with --recipe"),
        ("gru", [], {"sizes": ("small",)}, "gru has no setting `size`"),
        (None, [], {"sizes": ("huge",)}, "no size named 'huge'"),
        (None, [], {"precisions": ("bfloat61",)}, "Did you mean 'bfloat16'"),
        (None, ["steps=4"], {}, "give its values with --steps"),
        (None, ["hiden=4"], {}, "unknown setting 'hiden'"),
        (None, ["hidden"], {}, "write it as"),
        ("gru", ["loss={name: ic}"], {}, "pooled: true"),
    ],
)
def test_mistakes_are_named(name, overrides, grid, message):
    """A wrong network, size, precision or setting is refused with what is allowed."""
    with pytest.raises(UsageError, match=message):
        cells(base_model(name, None, overrides), Grid(**grid))


def test_a_place_beyond_the_recipe():
    """`models.7` says how many there are; a recipe of trees has no network to take."""
    with pytest.raises(UsageError, match=r"models\.0 to models\.2"):
        base_model("models.7", RECIPE)
    with pytest.raises(UsageError, match="has no network"):
        base_model(None, Recipe.parse(RECIPE.dump() | {"models": ["ridge"]}))


def test_empty_axes_are_refused():
    """Every axis but the sizes needs a value."""
    with pytest.raises(SettingError, match="at least 1"):
        Grid.parse({"precisions": []})
