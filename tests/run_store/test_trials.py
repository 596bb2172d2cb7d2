"""Trials on the same data are counted, each once."""

from alphaloom.run_store.index import RunStore
from alphaloom.run_store.trials import trials_of


def test_trials_are_the_distinct_finished_runs_on_the_same_data(make_run, tmp_path):
    """Other data, unfinished runs and repetitions do not count; another universe only when asked for."""
    first = make_run("a", rank_ic=0.01)
    (first.path / "ic.parquet").touch()
    (first.path / "nav-topk.parquet").touch()
    make_run("a-again", rank_ic=0.01, recipe_hash="r-a")
    make_run("b", rank_ic=0.02)
    make_run("c", rank_ic=0.02, universe=["listed", "not_st"])
    make_run("other", rank_ic=0.02, data_hash="d2")
    make_run("unfinished", done=False)
    found = trials_of(tmp_path, "d1")
    assert [trial.row.name for trial in found] == ["a", "b", "c"]
    assert found[0].ic == tmp_path / "a" / "ic.parquet"
    assert found[0].navs == (tmp_path / "a" / "nav-topk.parquet",)
    assert found[1].ic is None
    universe = RunStore(tmp_path).row("b").universe_hash
    assert [trial.row.name for trial in trials_of(tmp_path, "d1", universe)] == ["a", "b"]
