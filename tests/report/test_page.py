"""The HTML page: self-contained, complete, in order, and safe."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from studies import make_portfolio, make_signals, make_study

from alphaloom.errors import UnknownNameError, UsageError
from alphaloom.evaluation.forward import Forward
from alphaloom.evaluation.signal import evaluate_signal
from alphaloom.report import page as page_module
from alphaloom.report.page import figure_data, pack, put_audit, render
from alphaloom.report.sections_study import audit_section
from alphaloom.report.study import StudyReport
from alphaloom.report.write import study_metrics, study_page, write_backtest_report, write_report, write_signal_report


class Reader(HTMLParser):
    """Collects ids, addresses, table cells and the text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.packed: dict[str, str] = {}
        self.plots: list[str] = []
        self._inside = ""
        self._script = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note ids, addresses and charts."""
        found = dict(attrs)
        self._inside = tag
        self._script = found.get("id", "") if tag == "script" else ""
        if "id" in found:
            self.ids.append(found["id"])
        self.addresses += [found[key] for key in ("src", "href") if key in found]
        if "data-figure" in found:
            self.plots.append(found["data-figure"])

    def handle_data(self, data):
        """Note cells and packed data."""
        if self._inside in {"td", "th"}:
            self.cells.append(data.strip())
        if self._script:
            self.packed[self._script] = self.packed.get(self._script, "") + data

    def handle_endtag(self, tag):
        """Leave the element."""
        self._inside = self._script = ""


def unpack(text: str) -> bytes:
    """Return what the page's script unpacks."""
    return gzip.decompress(base64.b64decode(text))


@pytest.fixture(scope="module")
def html(study):
    """The page of the shared study."""
    return render(study_page(study))


def test_the_page_needs_no_other_file(html):
    """No address leads out of the file: only anchors and the empty icon."""
    reader = Reader(html)
    assert reader.addresses
    assert all(address.startswith(("#", "data:")) for address in reader.addresses)
    assert "@import" not in html
    assert not re.search(r"url\(", html)


def test_the_page_is_small(html):
    """A full study fits in one megabyte, Plotly included."""
    assert len(html.encode()) < 1_000_000


def test_charts_and_plotly_are_packed_inside(html):
    """Every chart's figure is in the packed data, and the packed library is Plotly's."""
    reader = Reader(html)
    figures = json.loads(unpack(reader.packed["packed-figures"]))
    assert sorted(figures) == sorted(reader.plots)
    assert len(figures) >= 15
    for figure in figures.values():
        assert figure["data"]
        assert "template" not in figure["layout"]
    assert b"plotly.js (cartesian - minified) v4.1.1" in unpack(reader.packed["packed-plotly"])[:200]


def test_only_kinds_of_trace_that_the_bundle_draws(html):
    """The cartesian bundle draws these; any other kind would be an empty box."""
    figures = json.loads(unpack(Reader(html).packed["packed-figures"]))
    assert {trace["type"] for figure in figures.values() for trace in figure["data"]} <= {"scatter", "bar", "heatmap"}


def test_order_of_the_sections(html):
    """Verdict first, provenance last, sample before signals before portfolio."""
    own = {"theme", "language", "problem"}
    ids = [name for name in Reader(html).ids if name not in own and not name.startswith("packed")]
    assert ids == [
        "verdict",
        "sample",
        "signals",
        "factor",
        "windows",
        "quantiles",
        "decay",
        "months",
        "tuning",
        "training",
        "features",
        "portfolio",
        "orders",
        "audit",
        "conventions",
        "provenance",
    ]


def test_numbers_stand_in_real_tables(html, study):
    """Tables are HTML: the twelve rows, windows, years and the ledger can be read without JavaScript."""
    cells = Reader(html).cells
    test = study.signal.headline.rank_ic
    assert f"{test.mean:.4f}" in cells
    assert "t, Newey-West" in cells
    assert "sig positive" in cells
    assert f"{study.signal.headline.ledger['used']:,}" in cells
    assert "FEATURE0" not in cells
    assert "<noscript>" in html


def test_provenance_is_on_the_page(html):
    """Hashes, seed, versions and the recipe can be read on the page."""
    for part in ("fedcba9876543210", "0123456789abcdef", "hidden: 64", "polars", "Version" + "s"):
        assert part in html


def test_text_is_escaped():
    """A title or a name with markup is shown, not run."""
    study = make_study(title="<script>alert(1)</script>", provenance={"note": "a<b>&c"})
    html = render(study_page(study))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "a&lt;b&gt;&amp;c" in html


def test_same_study_same_bytes(study, html):
    """The page has no time stamp or random id: the same results give the same file."""
    assert render(study_page(study)) == html


def test_report_and_numbers_are_written_together(study, tmp_path):
    """The page and metrics.json appear in the folder, which is made; nothing else is left."""
    path = tmp_path / "run" / "report.html"
    write_report(study, path)
    assert sorted(item.name for item in path.parent.iterdir()) == ["metrics.json", "report.html"]
    numbers = json.loads((path.parent / "metrics.json").read_text())
    assert numbers == json.loads(json.dumps(study_metrics(study)))
    assert numbers["signals"]["ensemble"]["horizons"]["1"]["rank_ic"]["mean"] == study.signal.headline.rank_ic.mean
    assert numbers["verdict"]["grade"] == "strong"
    assert set(numbers["portfolios"]) == set(study.portfolios)


def test_a_failed_page_leaves_the_old_one(study, tmp_path, monkeypatch):
    """When drawing fails, the file of before is untouched and no half file remains."""
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(page_module, "pack", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(study, path)
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_page_of_one_signal(tmp_path):
    """`evaluate` writes verdict, sample, table, quantiles, decay, months and provenance of one set of scores."""
    signal = make_signals(weeks=60, names=40)["gru"]
    write_signal_report(signal, tmp_path / "report.html", title="gru.parquet", provenance={"store": "demo"})
    ids = Reader((tmp_path / "report.html").read_text()).ids
    assert {"verdict", "sample", "factor", "quantiles", "decay", "months", "provenance"} <= set(ids)
    assert json.loads((tmp_path / "metrics.json").read_text())["signal"]["primary"] == "1"


def test_page_of_one_backtest(tmp_path):
    """`backtest` writes the portfolio section, its conventions and its numbers."""
    result = make_portfolio(5, days=300)
    write_backtest_report(result, tmp_path / "report.html", title="weights", annual_days=243)
    html = (tmp_path / "report.html").read_text()
    assert {"verdict", "portfolio"} <= set(Reader(html).ids)
    assert "geometric: (1 + total return)" in html
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["metrics"]["max_drawdown"] == result.metrics["max_drawdown"]
    assert numbers["excess_test"]["n"] == 299


def test_page_without_benchmark_or_trades(tmp_path):
    """A backtest without benchmark and without a fill still has its page."""
    result = make_portfolio(5, days=60)
    nav = result.nav.with_columns(pl.lit(None, dtype=pl.Float64).alias(key) for key in ("benchmark_ret", "excess_ret"))
    bare = type(result)(nav, result.yearly, result.metrics, result.orders.head(0), result.conventions)
    write_backtest_report(bare, tmp_path / "report.html", title="weights", annual_days=243)
    assert "no benchmark to compare with" in (tmp_path / "report.html").read_text()


def test_page_of_a_signal_that_cannot_be_judged(tmp_path):
    """Scores without a single usable date give a page that says so, with dashes for numbers."""
    D, N = 12, 30
    dates = np.datetime64("2024-01-05") + 7 * np.arange(D)
    forward = {"4": Forward(np.full((D, N), np.nan), dates + 28, 4, 20.0)}
    signal = evaluate_signal(np.full((D, N), np.nan), forward, dates)
    write_signal_report(signal, tmp_path / "report.html", title="empty")
    html = (tmp_path / "report.html").read_text()
    assert "No evidence of skill" in html
    assert "nan" not in " ".join(Reader(html).cells).lower().split()


def test_a_lean_study_leaves_sections_out(study):
    """Without windows, curves, importance, universe and portfolios their sections are absent; the audit says how to."""
    lean = StudyReport("t", "", "", {"gru": study.signals["gru"]}, "gru")
    keys = [section.key for section in study_page(lean).sections]
    assert keys == ["sample", "signals", "factor", "quantiles", "decay", "months", "audit", "conventions"]
    assert "Not audited yet" in render(study_page(lean))


def test_an_audit_made_later_takes_its_place_in_the_page(study, tmp_path):
    """The section's blocks are replaced, all else stays; text is escaped."""
    path = tmp_path / "report.html"
    write_report(replace(study, audit=None), path)
    before = path.read_text()
    put_audit(path, audit_section(study.audit | {"verdict": "Something <b>knows</b>"}))
    after = path.read_text()
    assert "Not audited yet" not in after
    assert "Something &lt;b&gt;knows&lt;/b&gt;" in after
    start, end, words = (before.index(mark) for mark in ("<!--audit-->", "<!--/audit-->", 'id="packed-words"'))
    assert after.startswith(before[:start])
    assert before[end:words] in after
    assert after.endswith(before[before.index("<", words) :])


def test_portfolios_are_annualised_by_their_own_days(study):
    """A replay's days a year, not the signal's, annualise its excess return on the page and in the metrics."""
    own = replace(study, backtest_days=200.0)
    assert {item["annual_days"] for item in study_metrics(own)["portfolios"].values()} == {200.0}
    assert any("x 200" in finding for finding in study_page(own).findings)


def test_what_a_study_refuses(study):
    """No signal, or a headline that is none of them, is named."""
    with pytest.raises(UsageError, match="at least one signal"):
        StudyReport("t", "", "", {}, "gru")
    with pytest.raises(UnknownNameError, match="Did you mean 'ensemble'"):
        StudyReport("t", "", "", study.signals, "ensembel")


def test_figures_are_plain_data(study):
    """Numbers of a figure are JSON without NaN; arrays become lists."""
    figure = study_page(study).sections[1].blocks[1].figure
    json.dumps(figure_data(figure), allow_nan=False)
    assert unpack(pack(b"abc")) == b"abc"


def test_plotly_comes_with_its_licence():
    """The vendored bundle is MIT and its licence text ships beside it."""
    text = page_module.asset("plotly-LICENSE.txt").decode()
    assert "MIT License" in text
    assert "Plotly Technologies" in text
