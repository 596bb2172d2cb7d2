"""Results in a notebook: as the report shows them, tables and figures, in a frame of their own."""

import html
from pathlib import Path

from alphaloom.backtest.result import BacktestResult
from alphaloom.comparison.compare import Comparison
from alphaloom.comparison.page import comparison_page
from alphaloom.errors import UsageError
from alphaloom.evaluation.signal import SignalReport
from alphaloom.pipeline import Run
from alphaloom.report.page import render
from alphaloom.report.study import StudyReport
from alphaloom.report.write import backtest_page, signal_page, study_page


class Shown:
    """A page that a notebook displays; it is the whole page, so it stays readable in a saved notebook."""

    def __init__(self, page: str, height: int) -> None:
        self.page = page
        self.height = height

    def _repr_html_(self) -> str:
        frame = f'style="width:100%;height:{self.height}px;border:0" sandbox="allow-scripts"'
        return f'<iframe {frame} srcdoc="{html.escape(self.page)}"></iframe>'


def show(
    result: Run | StudyReport | SignalReport | BacktestResult | Comparison,
    *,
    title: str = "",
    height: int = 720,
    annual_days: float = 252.0,
) -> Shown:
    """Return a result as a notebook displays it.

    Args:
        result: a finished run, a study, the report of a signal, a backtest or a comparison.
        title: heading of a signal or a backtest.
        height: of the frame, in pixels.
        annual_days: trading days by which a backtest's excess return is annualised.

    Raises:
        UsageError: a run without its report.
    """
    if isinstance(result, Run):
        return Shown(_report(result.folder), height)
    if isinstance(result, StudyReport):
        page = study_page(result)
    elif isinstance(result, SignalReport):
        page = signal_page(result, title=title or "Scores", provenance={})
    elif isinstance(result, BacktestResult):
        page = backtest_page(result, title=title or "Backtest", annual_days=annual_days, provenance={})
    else:
        page = comparison_page(result)
    return Shown(render(page), height)


def _report(folder: Path) -> str:
    file = folder / "report.html"
    if not file.is_file():
        raise UsageError(f"{folder} has no report.html: finish the run first.")
    return file.read_text(encoding="utf-8")
