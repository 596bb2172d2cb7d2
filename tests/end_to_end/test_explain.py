"""What a run's models learned, by the command line."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from alphaloom.cli import call

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]
EVERYTHING = "{name: permutation, days: null, stocks: null, correlated: 0.9}"


@pytest.fixture(scope="module")
def run(finished_run, tmp_path_factory):
    """Return a copy of the small run, to which results are added."""
    return shutil.copytree(finished_run, tmp_path_factory.mktemp("explained") / "run")


def test_results_are_kept_and_reused(run, market, alphaloom, tmp_path):
    """Permutation importance of one window is computed once; RankIC is the run's own; the page holds the figures."""
    window = sorted(path.name for path in (run / "models").iterdir())[0]
    words = ["explain", run, market, "--window", window, "--method", EVERYTHING, "--threads", 1, "--json"]
    done = alphaloom(*words, "--out", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    assert (first["computed"], first["reused"]) == (2, 0)
    assert {row["model"] for row in first["methods"]["permutation"]} == {"ridge", "gru"}
    daily = pl.read_parquet(run / "interpretation" / "permutation.parquet")
    for row in json.loads((run / "metrics.json").read_text())["windows"]:
        if row["window"] == window:
            own = daily.filter(model=row["model"], feature="KMID")["rank_ic"].mean()
            assert own == pytest.approx(row["out_of_sample_rank_ic"], abs=1e-6)
    page = (tmp_path / "page.html").read_text()
    assert "Permutation: gru" in page
    assert "Permutation of groups: ridge" in page
    again = json.loads(alphaloom(*words).stdout)
    assert (again["computed"], again["reused"]) == (0, 2)
    assert again["methods"] == first["methods"]
    done = alphaloom("explain", run, market, "--model", "ridge", "--method", EVERYTHING, "--threads", 1)
    assert done.returncode == 0, done.stderr
    windows = len(list((run / "models").iterdir()))
    assert f"1 of {windows} results lay in the run's folder and were reused" in done.stdout


def test_results_of_other_settings_are_discarded_aloud(run, market, alphaloom, tmp_path):
    """One window with other settings: what lay there is named as gone, and what is left as a part of the windows."""
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("interpretation"))
    first, *_, last = windows = sorted(path.name for path in (copy / "models").iterdir())
    words = ["explain", copy, market, "--model", "ridge", "--threads", 1, "--json"]
    kept = json.loads(alphaloom(*words, "--window", first, "--method", "{name: permutation, days: 3}").stdout)
    assert kept["discarded"] == []
    assert kept["notes"] == [f"permutation of ridge: 1 of {len(windows)} windows ({first})."]
    done = alphaloom(*words, "--window", last, "--method", "{name: permutation, days: 4}")
    assert f"Results of permutation for ridge/{first} were discarded" in done.stderr
    assert json.loads(done.stdout)["notes"] == [f"permutation of ridge: 1 of {len(windows)} windows ({last})."]
    keys = copy / "interpretation" / "keys.json"
    keys.write_text(keys.read_text().replace('"repeats"', '"no_longer"'))
    done = alphaloom("report", copy, market)
    assert done.returncode == 0, done.stderr
    assert "Permutation: ridge" not in (copy / "report.html").read_text()


def test_the_report_shows_what_was_computed(run, market, alphaloom):
    """`alphaloom report` puts into the run's page what `explain` left in its folder, without fitting anything."""
    done = alphaloom("explain", run, market, "--model", "ridge", "--method", EVERYTHING, "--threads", 1)
    assert done.returncode == 0, done.stderr
    done = alphaloom("report", run, market)
    assert done.returncode == 0, done.stderr
    assert "Permutation: ridge" in (run / "report.html").read_text()
    assert json.loads((run / "metrics.json").read_text())["interpretation"]["permutation"]


def test_a_recipe_asks_for_methods(market, recipe_file, alphaloom, tmp_path):
    """A run ends with the methods of its recipe; one that suits none of its models is told, not passed over."""
    words = ["run", recipe_file, market, "--out", tmp_path / "run", "--threads", 1, "--json"]
    settings = ["models=[ridge]", "interpretation=[{name: permutation, days: 3}, shap]", "portfolios=[]", "risk={}"]
    done = alphaloom(*words, *[word for item in settings for word in ("--set", item)])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["interpretation"]
    assert list(found) == ["permutation"]
    assert np.isfinite([row["drop"] for row in found["permutation"]]).all()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "shap was left out. ridge: it is no tree model" in page


def test_bad_input_is_refused(run, market, capsys, tmp_path):
    """Unknown models, windows and methods, methods without a model, and pages that are no HTML: one clear error."""
    for words, message in (
        (["--model", "gruu"], "Did you mean 'gru'?"),
        (["--window", "1999-01"], "There is no window named '1999-01'"),
        (["--method", "permutations"], "Did you mean 'permutation'?"),
        (["--method", "{name: permutation, repeats: 0}"], "repeats"),
        (["--method", "shap"], "suits no model asked for. ridge: it is no tree model"),
        (["--method", "integrated_gradients", "--model", "ridge"], "ridge: it is no network"),
        (["--out", tmp_path / "x.pdf"], "ends in .html"),
    ):
        assert call(["explain", str(run), str(market), *map(str, words)]) == 2
        assert message in capsys.readouterr().err
    assert call(["explain", str(tmp_path), str(market)]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_other_data_are_refused(run, market, alphaloom, tmp_path):
    """Scores that the store's data do not give again stop the work before anything is told of them."""
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("interpretation"))
    file = next(copy.glob("models/*/ridge-s0/scores.parquet"))
    pl.read_parquet(file).with_columns(-pl.col("score")).write_parquet(file)
    window = file.parents[1].name
    done = alphaloom("explain", copy, market, "--model", "ridge", "--window", window, "--method", "permutation")
    assert done.returncode == 2
    assert "does not hold the data of the run" in done.stderr
    assert not (copy / "interpretation").exists()
