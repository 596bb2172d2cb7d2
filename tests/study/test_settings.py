"""What a study comes to: its runs, their names, and what is refused."""

import pytest
import yaml

from alphaloom.errors import SettingError, UsageError
from alphaloom.study.settings import StudySettings, baseline_of, points_of, read_study, shipped_studies

RECIPE = {
    "name": "x",
    "features": ["alpha158"],
    "label": "forward_return",
    "models": ["ridge", {"name": "gru", "hidden": 8}],
}


def points(**settings):
    """Return the runs of a study of the recipe."""
    return points_of(StudySettings.parse({"recipe": "x", **settings}), RECIPE)


def test_every_combination_is_a_run():
    """Values of one setting, and names of changes that go together; the first axis is slowest."""
    found = points(
        axes={
            "windows.mode": ["rolling", "expanding"],
            "size": {"small": {}, "large": {"models.1.hidden": 64, "models.1.optimisation.lr": 0.01}},
        },
        set={"repeats": 2},
    )
    assert [point.name for point in found] == [
        "mode rolling, size small",
        "mode rolling, size large",
        "mode expanding, size small",
        "mode expanding, size large",
    ]
    assert [point.recipe.windows.mode for point in found] == ["rolling"] * 2 + ["expanding"] * 2
    assert [point.recipe.models[1].hidden for point in found] == [8, 64, 8, 64]
    assert found[1].recipe.models[1].optimisation.lr == 0.01
    assert {point.recipe.repeats for point in found} == {2}
    assert found[1].folder == "mode_rolling,_size_large"


def test_some_are_left_out_and_others_stand_beside():
    """By what they have in common, and by name."""
    found = points(
        axes={"seed": [1, 2], "windows.mode": ["rolling", "expanding"]},
        without=[{"seed": "2", "mode": "expanding"}],
        beside={"other": {"windows.train_months": 12}},
    )
    assert [point.name for point in found] == [
        "seed 1, mode rolling",
        "seed 1, mode expanding",
        "seed 2, mode rolling",
        "other",
    ]
    assert found[-1].labels is None
    assert found[-1].recipe.windows.train_months == 12


def test_the_baseline_is_named_or_described():
    """By its values, by its name, or it is the first run."""
    given = {"axes": {"seed": [1, 2]}, "beside": {"other": {"repeats": 3}}}
    for baseline, name in (({"seed": "2"}, "seed 2"), ("other", "other"), (None, "seed 1")):
        settings = StudySettings.parse({"recipe": "x", **given, "baseline": baseline})
        assert baseline_of(settings, points_of(settings, RECIPE)).name == name
    settings = StudySettings.parse({"recipe": "x", **given, "baseline": "nobody"})
    with pytest.raises(SettingError, match="nobody"):
        baseline_of(settings, points_of(settings, RECIPE))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({}, "nothing varies"),
        ({"axes": {"seed": []}}, "no value"),
        ({"axes": {"seed": [1, 2]}, "replicate": "sed"}, "replicate"),
        ({"axes": {"seed": [1, 2]}, "without": [{"seeed": "1"}]}, "no axis 'seeed'"),
        ({"axes": {"seed": [1, 2]}, "baseline": {"seed": "3"}}, "no value '3'"),
        ({"axes": {"seed": [1, 1]}}, "two runs named"),
        ({"axes": {"a": {"one": {}, "two": {"seed": 777}}}}, "same recipe"),
        ({"axes": {"models.1.hiden": [1, 2]}}, "hiden"),
        ({"axes": {"models.7.hidden": [1, 2]}}, "entries 0 to 1"),
        ({"axes": {"seed": [1]}, "without": [{"seed": "1"}]}, "leaves no run"),
        ({"axes": {"seed": [1, 2]}, "executor": {"name": "locale"}}, "Did you mean 'local'"),
    ],
)
def test_wrong_studies_are_refused(settings, match):
    """Before any work, with what is allowed."""
    with pytest.raises(SettingError, match=match):
        points(**settings)


@pytest.mark.parametrize("scale", ["full", "small"])
@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_shipped_studies_are_recipes(name, scale):
    """Every run of every shipped study, at both scales."""
    settings, recipe = read_study(name, [f"scale={scale}"])
    found = points_of(settings, recipe)
    assert len(found) >= 4
    assert baseline_of(settings, found) in found
    assert settings.description


def test_a_study_beside_its_recipe(tmp_path):
    """The recipe is found from the study's folder; overrides reach executor and common settings."""
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(RECIPE | {"scales": {"tiny": {"repeats": 5}}}))
    study = {"recipe": "r.yaml", "scale": "tiny", "axes": {"seed": [1, 2]}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
    settings, recipe = read_study(tmp_path / "s.yaml", ["executor.workers=3", "set.windows.train_months=7"])
    assert settings.executor.workers == 3
    assert {p.recipe.windows.train_months for p in points_of(settings, recipe)} == {7}
    assert recipe["repeats"] == 5
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study | {"scale": "huge"}))
    with pytest.raises(SettingError, match="no scale 'huge'"):
        read_study(tmp_path / "s.yaml")
    with pytest.raises(UsageError, match="boosting-tuning"):
        read_study("boosting-tunning")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SettingError, match="not valid YAML"):
        read_study(tmp_path / "bad.yaml")
