"""A page to one self-contained HTML file: no other file and no network is needed to read it."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphaloom.report.content import Chart, Page, Section
from alphaloom.report.files import write_text
from alphaloom.report.translation import catalogue, texts_of
from alphaloom.typing import PathLike

if TYPE_CHECKING:
    import jinja2

PLOTLY = "plotly-cartesian.min.js.gz"


def render(page: Page) -> str:
    """Return the HTML text of a page: tables as HTML; Plotly and the figures packed into it and drawn on scroll."""
    from alphaloom import __version__

    values = {
        **template_values(page),
        "version": __version__,
        "css": asset("style.css").decode(),
        "js": asset("page.js").decode(),
        "packed_plotly": base64.b64encode(asset(PLOTLY)).decode(),
    }
    template = _templates().get_template("page.html.j2")
    figures = [figure_data(block.figure) for s in page.sections for block in s.blocks if isinstance(block, Chart)]
    shown = texts_of(template.render(**values, packed_words=""), figures)
    words = json.dumps(catalogue("zh").of(shown), ensure_ascii=False, separators=(",", ":"))
    return template.render(**values, packed_words=pack(words.encode()))


def template_values(page: Page) -> dict[str, Any]:
    """Return `page` with a key for each chart, and `packed_figures`, as `section.html.j2` takes them."""
    figures: dict[str, Any] = {}
    sections = []
    for section in page.sections:
        blocks = []
        for block in section.blocks:
            key = ""
            if isinstance(block, Chart):
                key = f"f{len(figures)}"
                figures[key] = figure_data(block.figure)
            blocks.append((type(block).__name__, block, key))
        sections.append({"key": section.key, "title": section.title, "lead": section.lead, "blocks": blocks})
    packed = pack(json.dumps(figures, separators=(",", ":"), allow_nan=False).encode())
    return {"page": {**vars(page), "sections": sections}, "packed_figures": packed}


AUDIT = re.compile(r"(<!--audit-->).*?(<!--/audit-->)", re.DOTALL)
WORDS = re.compile(r'(id="packed-words">)([^<]*)(<)')


def put_audit(path: PathLike, section: Section) -> None:
    """Put another audit, of tables and text, into a page that was written before."""
    blocks = [(type(block).__name__, block, "") for block in section.blocks]
    made = str(_templates().get_template("section.html.j2").module.blocks(blocks))  # type: ignore[attr-defined]
    text = AUDIT.sub(lambda found: f"{found[1]}{made}{found[2]}", Path(path).read_text(encoding="utf-8"), count=1)
    write_text(path, WORDS.sub(lambda found: found[1] + _more_words(found[2], made) + found[3], text, count=1))


def _more_words(packed: str, html: str) -> str:
    """Return packed words with those of more HTML."""
    known: dict[str, str] = json.loads(gzip.decompress(base64.b64decode(packed)))
    known |= catalogue("zh").of(texts_of(html, []))
    return pack(json.dumps(known, ensure_ascii=False, separators=(",", ":")).encode())


def write_page(page: Page, numbers: Mapping[str, Any], path: PathLike) -> None:
    """Write a page to `path` and its numbers to `metrics.json` beside it, each aside first, then renamed."""
    path = Path(path)
    write_text(path.parent / "metrics.json", json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(path, render(page))


def figure_data(figure: Any) -> dict[str, Any]:
    """Return a Plotly figure as plain data, without the template: colours of the page come from its own style."""
    data = figure.to_plotly_json()
    layout = {key: value for key, value in data["layout"].items() if key != "template"}
    return {"data": [_lists(trace) for trace in data["data"]], "layout": _lists(layout)}


def pack(data: bytes) -> str:
    """Return bytes gzipped, without a time stamp, as base64 text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: asset(name).decode()),
    )


@cache
def asset(name: str) -> bytes:
    """Return a file of the page's own: style, script, Plotly (gzipped)."""
    return (resources.files("alphaloom.report") / "assets" / name).read_bytes()


def _lists(value: Any) -> Any:
    """Return nested data with arrays and tuples as lists, which JSON can hold."""
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value
