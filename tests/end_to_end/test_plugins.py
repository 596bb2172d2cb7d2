"""A model, a feature family, a loss, a label and a source are one new file each, in a package nobody edits."""

import json
import textwrap

import numpy as np
import polars as pl
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]

FILES = {
    "median_model.py": '''
        """A model that scores by one feature."""
        from pathlib import Path
        from typing import Self

        import numpy as np

        from alphaloom.models.base import Estimator, FitContext, FittedEstimator, Rows, models


        class FittedFirst(FittedEstimator):
            """The sign of the first feature's relation with the label."""

            def __init__(self, sign: float) -> None:
                self.sign = sign

            def predict(self, x):
                return np.nan_to_num(self.sign * x[:, 0].astype(np.float64))

            def save(self, folder: Path) -> None:
                (folder / "sign.txt").write_text(str(self.sign))

            @classmethod
            def load(cls, folder: Path) -> Self:
                return cls(float((folder / "sign.txt").read_text()))


        @models.register("first_feature")
        class FirstFeature(Estimator):
            """Scores by the first feature alone."""

            flip: bool = False
            """Turn the sign."""

            def fit(self, train: Rows, valid: Rows, context: FitContext) -> FittedEstimator:
                sign = np.sign(np.nansum(train.x[:, 0] * train.y)) or 1.0
                return FittedFirst(float(-sign if self.flip else sign))

            def fitted_class(self):
                return FittedFirst
    ''',
    "range_feature.py": '''
        """A feature family of one column."""
        from typing import ClassVar

        from alphaloom.features.base import FeatureFamily, features


        @features.register("day_range")
        class DayRange(FeatureFamily):
            """The day's range over its close."""

            inputs: ClassVar[tuple[str, ...]] = ("adj_high", "adj_low", "adj_close")

            @property
            def lookback(self) -> int:
                return 0

            def columns(self) -> list[str]:
                return ["RANGE"]

            def compute(self, panel):
                return ((panel["adj_high"] - panel["adj_low"]) / panel["adj_close"])[:, :, None].copy()
    ''',
    "absolute_loss.py": '''
        """A loss."""
        from alphaloom.losses.base import Loss, losses


        @losses.register("absolute")
        class Absolute(Loss):
            """Mean absolute error."""

            def per_day(self, score, label, mask, extras):
                return ((score - label).abs() * mask).sum(1) / mask.sum(1).clamp_min(1)
    ''',
    "overnight_label.py": '''
        """A label."""
        from typing import ClassVar

        import numpy as np

        from alphaloom.labels.base import Label, labels


        @labels.register("next_open")
        class NextOpen(Label):
            """From the next day's open to the open of the day after."""

            inputs: ClassVar[tuple[str, ...]] = ("adj_open",)

            def entries(self, dates):
                rows = np.arange(dates.size) + 1
                return np.where(rows < dates.size, rows, -1)

            def ends(self, dates):
                return np.minimum(np.arange(dates.size) + 2, dates.size)

            def compute(self, panel):
                price = panel["adj_open"]
                out = np.full(panel.shape, np.nan, dtype=np.float32)
                out[:-2] = price[2:] / price[1:-1] - 1
                return out
    ''',
    "text_source.py": '''
        """A source."""
        from pathlib import Path

        import polars as pl

        from alphaloom.data.sources.base import Source, sources


        @sources.register("semicolon")
        class Semicolon(Source):
            """Bars in one text file with semicolons."""

            @classmethod
            def recognises(cls, path: Path) -> bool:
                return path.suffix == ".semi"

            def read(self, path: Path):
                yield "bars", pl.read_csv(path, separator=";", try_parse_dates=True)
    ''',
}


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a plug-in package: five files and the metadata that announce it."""
    package = tmp_path / "site" / "my_alphas"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Own components."""\n')
    for name, text in FILES.items():
        (package / name).write_text(textwrap.dedent(text))
    info = tmp_path / "site" / "my_alphas-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-alphas\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[alphaloom.plugins]\nmine = my_alphas\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return package


def test_five_new_files_run_through_a_recipe(plugin, market, alphaloom_process, tmp_path):
    """Dropped into a package, they are listed, imported with, checked and run, with no other edit."""
    days = [f"2020-01-{day:02d}" for day in range(1, 29)]
    rows = [f"{day};S{n};10;11;9;10;{1000 + n}" for day in days for n in range(3)]
    (tmp_path / "bars.semi").write_text("date;symbol;open;high;low;close;volume\n" + "\n".join(rows))
    done = alphaloom_process("data", "import", tmp_path / "bars.semi", tmp_path / "store", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["bars"] == len(rows)

    listed = alphaloom_process("models", "--json")
    names = {(row["kind"], row["name"]) for row in json.loads(listed.stdout)["components"]}
    expected = {
        ("model", "first_feature"),
        ("feature", "day_range"),
        ("loss", "absolute"),
        ("label", "next_open"),
        ("source", "semicolon"),
    }
    assert expected <= names

    recipe = {
        "name": "own",
        "features": ["day_range"],
        "transforms": ["zscore"],
        "label": "next_open",
        "label_transforms": ["zscore"],
        "universe": ["not_suspended"],
        "windows": {"train_months": 12, "test_months": 6},
        "models": [
            {"name": "first_feature", "flip": False},
            {"name": "gru", "steps": 2, "hidden": 4, "loss": "absolute", "optimisation": {"epochs": 1}},
        ],
        "evaluation": {"resamples": 100, "min_names": 10},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    done = alphaloom_process("run", tmp_path / "own.yaml", market, "--out", tmp_path / "run", "--threads", 1)
    assert done.returncode == 0, done.stderr
    scores = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    assert {"score_first_feature", "score_gru"} <= set(scores.columns)
    assert np.isfinite(scores["score"].to_numpy()).all()
    assert "absolute" in (tmp_path / "run" / "recipe.yaml").read_text()

    done = alphaloom_process("audit", tmp_path / "run", market, "--cuts", 2)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_setting_of_a_plugin_is_named(plugin, market, alphaloom_process, tmp_path):
    """Settings of own components are checked like all others."""
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "own",
                "features": ["day_range"],
                "label": "next_open",
                "models": [{"name": "first_feature", "filp": True}],
            }
        )
    )
    done = alphaloom_process("run", tmp_path / "r.yaml", market, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "unknown setting 'filp'. Did you mean 'flip'?" in done.stderr
    assert not (tmp_path / "run").exists()
