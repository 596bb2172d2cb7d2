"""The audit of a finished run: inputs of fits, scores and weights computed again, and tampering that it must see."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from alphaloom.audit import run as audit_module
from alphaloom.audit.report import AuditReport
from alphaloom.audit.run import audit_recipe
from alphaloom.data.store import Store
from alphaloom.data.universe.listed import Listed
from alphaloom.errors import RunError
from alphaloom.portfolio.topk import TopK

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]


@pytest.fixture
def copied(finished_run, tmp_path):
    """Return a copy of the run that may be spoilt, without what another test's audit may have left in it."""
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "audit.json").unlink(missing_ok=True)
    return tmp_path / "run"


def test_an_honest_run_passes_and_its_report_says_so(copied, market):
    """Features, labels, transforms' states, scores and weights; the result lies in the run and in its page."""
    audit = audit_recipe(copied, Store(market), cuts=2)
    assert audit.passed, audit.verdict()
    table = audit.table()
    assert {"feature", "store field", "windows", "training", "scores", "weights", "planted leak"} <= set(table["kind"])
    assert set(table.filter(pl.col("kind") == "weights")["name"]) == {"linear_programme", "topk"}
    assert set(table.filter(pl.col("kind") == "planted leak")["result"]) == {"caught"}
    assert table.filter(pl.col("kind") == "planted leak").height == 9
    assert json.loads((copied / "audit.json").read_text())["passed"] is True
    page = (copied / "report.html").read_text()
    assert "Nothing at date t changed when later data were cut off or replaced." in page
    assert "Not audited yet" not in page


def test_scores_of_another_kind_are_seen(copied, market):
    """Scores that are not what the stored models give: here, the very label that they should predict."""
    file = copied / "scores.parquet"
    scores = pl.read_parquet(file)
    scores.with_columns(pl.coalesce("label", "score").cast(pl.Float32).alias("score")).write_parquet(file)
    audit = audit_recipe(copied, Store(market), cuts=2)
    leaks = [finding for finding in audit.report.findings if finding.kind == "scores"]
    assert leaks
    assert {(finding.column, finding.change) for finding in leaks} == {("score", "stored with the run")}


def test_transforms_fitted_on_other_dates_are_seen(copied, market):
    """States that are not those of the training dates alone."""
    home = sorted((copied / "models").iterdir())[0]
    with np.load(home / "transforms.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    key = next(name for name, value in arrays.items() if value.dtype == np.float32)
    np.savez(home / "transforms.npz", **arrays | {key: arrays[key] * 1.1})
    audit = audit_recipe(copied, Store(market), cuts=2)
    assert any(
        finding.kind == "training" and finding.change == "stored with the run" for finding in audit.report.findings
    )


def test_a_universe_and_a_portfolio_that_know_tomorrow_are_seen(copied, market, monkeypatch):
    """A rule that keeps what survives changes inputs and scores; a portfolio that reads past its row, its weights."""
    honest = Listed.keep

    def survivors(self, panel):
        return honest(self, panel) & np.isfinite(panel["listed_days"][-1])

    monkeypatch.setattr(Listed, "keep", survivors)
    audit = audit_recipe(copied, Store(market), cuts=2)
    assert {"universe rule", "training", "scores"} <= {finding.kind for finding in audit.report.findings}
    monkeypatch.undo()
    seen = []

    def later(self, decision):
        seen.append(len(seen))
        target = weigh(self, decision)
        return type(target)(np.roll(target.weights, len(seen)), target.notes)

    weigh = TopK.weigh
    monkeypatch.setattr(TopK, "weigh", later)
    audit = audit_recipe(copied, Store(market), cuts=2)
    assert {(finding.kind, finding.name) for finding in audit.report.findings} == {("weights", "topk")}


def test_an_audit_that_misses_a_planted_leak_proves_nothing(copied, market, monkeypatch):
    """It ends with an error instead of a clean bill; nothing is left in the run."""
    monkeypatch.setattr(audit_module, "planted_scores", lambda _: {"a blind spot": AuditReport((), ())})
    with pytest.raises(RunError, match="did not see a blind spot"):
        audit_recipe(copied, Store(market), cuts=2)
    assert not (copied / "audit.json").exists()
