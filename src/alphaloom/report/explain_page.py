"""The page of `alphaloom explain`: what a run's models learned, on its own."""

from collections.abc import Sequence

from alphaloom.interpretation.base import Interpretation
from alphaloom.report.content import Page
from alphaloom.report.files import write_text
from alphaloom.report.page import render
from alphaloom.report.sections_interpretation import interpretation_section
from alphaloom.typing import PathLike


def write_explanation(found: Sequence[Interpretation], notes: Sequence[str], path: PathLike, *, title: str) -> None:
    """Write the page of some methods' findings to `path`."""
    models = list(dict.fromkeys(model for item in found for model in item.models()))
    windows = {window for item in found for window in item.main["window"]}
    which = f"{len(windows)} windows" if len(windows) > 1 else f"window {next(iter(windows), '')}"
    page = Page(
        title=title,
        subtitle=which,
        grade="plain",
        verdict=f"What {' and '.join(models)} learned",
        findings=[],
        figures=[],
        sections=[interpretation_section(found, notes)],
    )
    write_text(path, render(page))
