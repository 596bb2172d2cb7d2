"""Results to report files: the three pages that exist."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from alphaloom.backtest.result import BacktestResult
from alphaloom.evaluation.signal import SignalReport, plain
from alphaloom.report import (
    sections_closer,
    sections_interpretation,
    sections_layers,
    sections_orders,
    sections_portfolio,
    sections_sample,
    sections_signal,
    sections_study,
    sections_tuning,
)
from alphaloom.report.content import Figure, Page, Section, Text, count, number, percent
from alphaloom.report.intervals import portfolio_intervals
from alphaloom.report.page import write_page
from alphaloom.report.study import StudyReport
from alphaloom.report.tuning import search_numbers
from alphaloom.report.verdict import RULES, Verdict, excess_test, portfolio_sentence, signal_verdict
from alphaloom.typing import PathLike


def write_report(study: StudyReport, path: PathLike) -> None:
    """Write the page of a study to `path` and `study_metrics` to `metrics.json` beside it."""
    write_page(study_page(study), study_metrics(study), path)


def write_signal_report(
    signal: SignalReport, path: PathLike, *, title: str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write the page of one set of scores to `path` and its numbers to `metrics.json` beside it."""
    provenance = provenance or {}
    verdict = signal_verdict(signal)
    numbers = {"title": title, "verdict": vars(verdict), "signal": signal.metrics(), "provenance": provenance}
    write_page(signal_page(signal, title=title, provenance=provenance), plain(numbers), path)


def signal_page(signal: SignalReport, *, title: str, provenance: Mapping[str, Any]) -> Page:
    """Return the page of one set of scores."""
    verdict = signal_verdict(signal)
    return Page(
        title=title,
        subtitle=_span(signal),
        grade=verdict.grade,
        verdict=verdict.words,
        findings=verdict.findings,
        figures=signal_figures(signal),
        sections=[
            sections_sample.sample_section(signal, pl.DataFrame(), {}),
            *_signal_sections({title: signal}, title),
            _conventions(signal),
            *provenance_sections(provenance),
        ],
    )


def write_backtest_report(
    result: BacktestResult,
    path: PathLike,
    *,
    title: str,
    annual_days: float,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write the page of one backtest to `path` and its numbers to `metrics.json` beside it.

    `annual_days` annualises the excess return's interval; give the number the result was computed with.
    """
    provenance = provenance or {}
    numbers = {"title": title, **_portfolio_metrics(result, annual_days), "provenance": provenance}
    write_page(backtest_page(result, title=title, annual_days=annual_days, provenance=provenance), plain(numbers), path)


def backtest_page(result: BacktestResult, *, title: str, annual_days: float, provenance: Mapping[str, Any]) -> Page:
    """Return the page of one backtest."""
    portfolios = {"portfolio": result}
    return Page(
        title=title,
        subtitle=f"{result.nav['date'][0]} to {result.nav['date'][-1]}, {count(result.nav.height)} trading days",
        grade="plain",
        verdict=f"{percent(1)(result.metrics.get('annual_return'))} a year after costs",
        findings=[portfolio_sentence("", result.nav, annual_days).replace("Portfolio :", "Portfolio:")],
        figures=portfolio_figures(result, annual_days),
        sections=[
            sections_portfolio.portfolio_section(portfolios, annual_days, data_notes=provenance.get("data_notes", ())),
            sections_orders.orders_section(portfolios),
            *provenance_sections(provenance),
        ],
    )


def study_page(study: StudyReport) -> Page:
    """Return the page of a study: verdict, sample, signals, windows, tuning, training, portfolio, audit, provenance."""
    verdict = _verdict(study)
    shown, days = study.shown_portfolios, study.portfolio_days
    portfolios = [portfolio_sentence(name, item.nav, days) for name, item in shown.items()]
    figures = signal_figures(study.signal)
    if shown:
        figures += portfolio_figures(next(iter(shown.values())), days)
    data = study.provenance.get("data")
    sections = [
        sections_sample.sample_section(study.signal, study.universe, data if isinstance(data, Mapping) else {}),
        *_signal_sections(study.signals, study.headline, windows=_windows(study)),
    ]
    if study.tuned:
        sections.append(sections_tuning.tuning_section(study.tuned, study.windows))
    if study.curves.height:
        sections.append(sections_study.training_section(study.curves))
    if study.importance.height:
        sections.append(sections_study.importance_section(study.importance))
    if study.interpretations or study.not_interpreted:
        sections.append(sections_interpretation.interpretation_section(study.interpretations, study.not_interpreted))
    if shown:
        notes = study.provenance.get("data_notes", ())
        sections.append(sections_portfolio.portfolio_section(shown, days, data_notes=notes))
    if study.layers:
        sections.append(sections_layers.layers_section(study.portfolios, study.layers, days))
    if shown:
        sections.append(sections_orders.orders_section(shown, study.decisions))
    sections.append(sections_study.audit_section(study.audit, study.placebos))
    if study.trains_on_future:
        portfolios = [f"Leaked: {sentence}" for sentence in portfolios]
        figures = [replace(figure, label=f"{figure.label} (leaked)") for figure in figures]
        sections = [replace(section, title=f"{section.title} (leaked)") for section in sections]
    sections += [_conventions(study.signal), *provenance_sections(study.provenance)]
    subtitle = ". ".join(part.rstrip(".") for part in (study.description, study.market, _span(study.signal)) if part)
    findings = [*verdict.findings[:2], *portfolios, *verdict.findings[2:]]
    return Page(study.title, subtitle, verdict.grade, verdict.words, findings, figures, sections)


def study_metrics(study: StudyReport) -> dict[str, Any]:
    """Return every number of a study as plain data for JSON; NaN becomes None."""
    verdict = _verdict(study)
    numbers: dict[str, Any] = plain(
        {
            "title": study.title,
            "market": study.market,
            "headline": study.headline,
            "trains_on_future": study.trains_on_future,
            "verdict": vars(verdict),
            "signals": {name: signal.metrics() for name, signal in study.signals.items()},
            "windows": study.windows.to_dicts(),
            "paths": study.paths.to_dicts(),
            "tuning": [search_numbers(record) for record in study.tuned],
            "portfolios": {
                name: _portfolio_metrics(result, study.portfolio_days, study.decisions.get(name))
                for name, result in study.portfolios.items()
            },
            "layers": [sections_layers.layer_metrics(study.portfolios, names) for names in study.layers],
            "importance": study.importance.to_dicts(),
            "interpretation": {item.method.name: item.summary().to_dicts() for item in study.interpretations},
            "audit": study.audit,
            "placebos": study.placebos,
            "provenance": dict(study.provenance),
        }
    )
    return numbers


def _verdict(study: StudyReport) -> Verdict:
    return signal_verdict(study.signal, trials=len(study.signals), trains_on_future=study.trains_on_future)


def signal_figures(signal: SignalReport) -> list[Figure]:
    """Return the headline numbers of a signal."""
    item = signal.headline
    test, net, year = item.rank_ic, item.spread_net, item.periods_per_year
    p1 = percent(1)
    return [
        Figure("RankIC", number(4)(test.mean), f"{number(4)(test.low)} to {number(4)(test.high)}"),
        Figure("ICIR", number(2)(test.ir), f"{number(2)(test.ir_low)} to {number(2)(test.ir_high)}"),
        Figure("t, Newey-West", number(1)(test.t_newey_west), f"non-overlapping {number(1)(test.t_non_overlapping)}"),
        Figure("Dates with RankIC > 0", percent(0)(test.positive), f"of {count(test.n)}"),
        Figure("Spread a year, net", p1(net.mean * year), f"{p1(net.low * year)} to {p1(net.high * year)}"),
    ]


def portfolio_figures(result: BacktestResult, annual_days: float) -> list[Figure]:
    """Return the headline numbers of a portfolio."""
    test = excess_test(result.nav)
    p1, n2 = percent(1), number(2)
    metrics = result.metrics
    spans = {name: (item.low, item.high) for name, item in portfolio_intervals(result.nav, annual_days).items()}

    def span(name: str, form: Callable[[float], str], otherwise: str) -> str:
        return " to ".join(map(form, spans[name])) if name in spans else otherwise

    return [
        Figure(
            "Portfolio a year", p1(metrics.get("annual_return")), span("annual_return", p1, "geometric, after costs")
        ),
        Figure("Sharpe", n2(metrics.get("sharpe")), span("sharpe", n2, "a year")),
        Figure(
            "Excess a year",
            p1(test.mean * annual_days),
            f"{p1(test.low * annual_days)} to {p1(test.high * annual_days)}",
        ),
        Figure("Deepest drawdown", p1(metrics.get("max_drawdown")), span("max_drawdown", p1, "of the peak")),
        Figure("Turnover a year", percent(0)(metrics.get("turnover_annual")), "one-way"),
        Figure("Cost a year", percent(2)(metrics.get("cost_annual")), "of net asset value"),
    ]


def _signal_sections(
    signals: Mapping[str, SignalReport], headline: str, windows: list[Section] | None = None
) -> list[Section]:
    signal = signals[headline]
    return [
        sections_signal.comparison_section(signals, headline),
        sections_signal.factor_section(signals, headline),
        *(windows or []),
        sections_signal.quantile_section(signal),
        *([sections_closer.closer_section(signal)] if signal.has_closer_looks else []),
        sections_signal.decay_section(signal),
        sections_signal.months_section(signal),
    ]


def _windows(study: StudyReport) -> list[Section]:
    found = [sections_study.windows_section(study.windows, study.headline)] if study.windows.height else []
    return [*found, sections_study.paths_section(study.paths)] if study.paths.height else found


def _conventions(signal: SignalReport) -> Section:
    blocks = [Text(RULES), Text(f"Evaluation settings: {sections_signal.settings_text(signal)}.")]
    return Section("conventions", "Conventions", "How the verdict is reached and what was set.", blocks)


def provenance_sections(provenance: Mapping[str, Any]) -> list[Section]:
    """Return the section on where the numbers come from; none when nothing is said of it."""
    return [sections_study.provenance_section(provenance)] if provenance else []


def _portfolio_metrics(
    result: BacktestResult, annual_days: float, decisions: pl.DataFrame | None = None
) -> dict[str, Any]:
    return {
        "metrics": result.metrics,
        "excess_test": vars(excess_test(result.nav)),
        "intervals": {name: vars(item) for name, item in portfolio_intervals(result.nav, annual_days).items()},
        "annual_days": annual_days,
        "yearly": result.yearly.to_dicts(),
        "unfilled": sections_orders.unfilled_frame(result).to_dicts(),
        "relaxations": sections_orders.relaxations(decisions).to_dicts(),
        "conventions": result.conventions,
    }


def _span(signal: SignalReport) -> str:
    return f"{signal.dates[0]} to {signal.dates[-1]}, {count(signal.dates.size)} dates"
