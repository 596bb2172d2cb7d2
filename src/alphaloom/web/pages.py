"""The pages: server-rendered, from the report's own blocks; buttons on them call the JSON API."""

import datetime as dt
from importlib import resources
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from alphaloom import __version__
from alphaloom.comparison.compare import compare_runs, read_run
from alphaloom.comparison.page import comparison_page
from alphaloom.errors import UsageError, unknown_name
from alphaloom.report.content import Page, number, percent
from alphaloom.report.page import PLOTLY, template_values
from alphaloom.report.small_drawings import interval_svg
from alphaloom.run_store.row import RunRow
from alphaloom.run_store.select import Selection
from alphaloom.web import state
from alphaloom.web.contents import data_page, run_page, today_page
from alphaloom.web.guard import REPORT_POLICY
from alphaloom.web.jobs import Job
from alphaloom.web.state import Served, served
from alphaloom.web.today import last_day

Here = Annotated[Served, Depends(served)]
Text = Annotated[str, Query(max_length=300)]
COLUMNS = (
    ("name", "Run", False), ("status", "Status", False), ("verdict", "Verdict", False), ("rank_ic", "RankIC", True),
    ("t_newey_west", "t", True), ("annual_return", "Return", True), ("excess_annual_return", "Excess", True),
    ("information_ratio", "IR", True), ("recipe", "Recipe", False), ("started", "Started", False),
)  # fmt: skip
"""Columns of the list that sort: key, heading, whether numbers."""
REPORT, OWN = "alphaloom.report", "alphaloom.web"
STATIC = {
    "plotly.js": ("text/javascript", REPORT, PLOTLY),
    "page.js": ("text/javascript", REPORT, "page.js"),
    "style.css": ("text/css", REPORT, "style.css"),
    "ui.js": ("text/javascript", OWN, "ui.js"),
    "ui.css": ("text/css", OWN, "ui.css"),
}
"""The pages' own files: kind, package and name."""

router = APIRouter(include_in_schema=False)
_loader = jinja2.ChoiceLoader(
    [jinja2.PackageLoader("alphaloom.web", "templates"), jinja2.PackageLoader("alphaloom.report", "assets")]
)
_environment = jinja2.Environment(
    loader=_loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def html(name: str, here: Served, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a template's page."""
    known = {"version": __version__, "needs_token": here.settings.token is not None, "packed_figures": ""}
    return HTMLResponse(_environment.get_template(name).render(**{**known, **values}), status)


def content(here: Served, page: Page, *, tab: str, template: str = "content.html.j2", **values: Any) -> HTMLResponse:
    """Return a page of the report's blocks inside the web page's frame."""
    return html(template, here, tab=tab, title=page.title, **template_values(page), **values)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give one of the page's own files."""
    if name not in STATIC:
        raise unknown_name("file", name, STATIC)
    kind, package, file = STATIC[name]
    headers = {"cache-control": "max-age=3600"}
    if name == "plotly.js":
        headers["content-encoding"] = "gzip"
    return Response(
        (resources.files(package) / "assets" / file).read_bytes(), media_type=f"{kind}; charset=utf-8", headers=headers
    )


@router.get("/login")
def login(here: Here) -> Response:
    """Ask for the token."""
    return html("login.html.j2", here, tab="", title="Log in")


@router.get("/")
def runs(here: Here, text: Text = "", status: Text = "", tag: Text = "", sort: Text = "-started") -> Response:
    """List the runs."""
    everything = here.runs.rows()
    filters = [f"status={status}"] if status else []
    rows = here.runs.rows(Selection(filters, [tag] if tag else [], text, sort))
    jobs = here.jobs.all()
    reach = max((abs(x) for row in rows for x in (row.rank_ic_low, row.rank_ic_high) if x is not None), default=1.0)
    return html(
        "runs.html.j2",
        here,
        tab="runs",
        title="Runs",
        rows=[_shown(row, jobs, reach) for row in rows],
        total=len(everything),
        tags=sorted({name for row in everything for name in row.tags}),
        statuses=sorted({row.status for row in everything}),
        chosen={"text": text, "status": status, "tag": tag, "sort": sort},
        columns=COLUMNS,
        jobs=[job for job in jobs if job.status in {"queued", "running"}],
        folder=str(here.settings.runs),
    )


def _shown(row: RunRow, jobs: list[Job], reach: float) -> dict[str, Any]:
    """Return a row's cells as text; intervals are drawn on a scale of -reach to reach."""
    live = [job for job in jobs if job.run == row.name and job.status == "running"]
    mean, low, high = row.rank_ic, row.rank_ic_low, row.rank_ic_high
    drawing = ""
    if mean is not None and low is not None and high is not None:
        drawing = interval_svg(mean, (high - low) / 4, reach, width=72)
    return {
        **vars(row),
        "state": "running" if live else "not finished" if row.status == "running" else row.status,
        "job": live[0].id if live else None,
        "started": _moment(row.started),
        "drawing": Markup(drawing),
        "rank_ic": number(4)(row.rank_ic),
        "t_newey_west": number(1)(row.t_newey_west),
        "annual_return": percent(1)(row.annual_return),
        "excess_annual_return": percent(1)(row.excess_annual_return),
        "information_ratio": number(2)(row.information_ratio),
    }


@router.get("/runs/{name:path}")
def run(here: Here, name: str) -> Response:
    """Show a run at a glance."""
    row, folder = here.runs.row(name), here.folder(name)
    result = read_run(folder.path, name) if row.status == "done" else None
    jobs = [job for job in here.jobs.all() if job.run == name]
    page = run_page(row, folder, result)
    has_report = (folder.path / "report.html").is_file()
    return content(
        here, page, tab="runs", template="run.html.j2", row=row, job=jobs[0] if jobs else None, has_report=has_report
    )


@router.get("/report/{name:path}")
def report(here: Here, name: str) -> Response:
    """Give a run's report as it stands, in an origin of its own."""
    file = here.folder(name).path / "report.html"
    if not file.is_file():
        raise UsageError(f"The run {name} has no report.")
    return HTMLResponse(file.read_bytes(), headers={"content-security-policy": REPORT_POLICY})


@router.get("/compare")
def compare(here: Here, run: Annotated[list[Text], Query(max_length=20)]) -> Response:
    """Show runs side by side."""
    page = comparison_page(compare_runs([here.finished(name).path for name in run]))
    return content(here, page, tab="runs")


@router.get("/today/{name:path}")
def today(here: Here, name: str, store: Text = "", date: dt.date | None = None) -> Response:
    """Show scores and target portfolio of a day."""
    folder = here.finished(name)
    if not store:
        known = folder.state()["data_hash"]
        ends = {item.name: last_day(here.settings.store(item.name)) for item in here.stores()}
        first = next((item.name for item in here.stores() if item.fingerprint == known), next(iter(ends), ""))
        return html("choose_day.html.j2", here, tab="runs", title=name, run=name, ends=ends, first=first)
    data = here.settings.store(store)
    day = str(date) if date else last_day(data)
    found = here.predictions.get(folder, data, day, here.settings.threads)
    return content(here, today_page(name, store, day, found), tab="runs", back=name)


@router.get("/data")
def stores(here: Here) -> Response:
    """List the stores of data."""
    return html("stores.html.j2", here, tab="data", title="Data", stores=here.stores())


@router.get("/data/{name}")
def store(here: Here, name: str) -> Response:
    """Show a store's health."""
    summary, health = here.health(name)
    return content(here, data_page(name, summary, health), tab="data")


@router.get("/start")
def start(here: Here, like: Text = "") -> Response:
    """Show the form that starts a run, filled with another run's recipe when `like` names one."""
    source = here.folder(like).read_text("recipe.yaml") if like else ""
    return html(
        "start.html.j2",
        here,
        tab="start",
        title="Start a run",
        recipes=state.recipes(),
        stores=list(here.settings.stores),
        source=source,
        like=like,
    )


@router.get("/jobs")
def jobs(here: Here) -> Response:
    """List the jobs."""
    found = [{**vars(job), "created": _moment(job.created)} for job in here.jobs.all()]
    return html("jobs.html.j2", here, tab="jobs", title="Jobs", jobs=found, at_once=here.settings.at_once)


@router.get("/jobs/{job_id}")
def job(here: Here, job_id: str) -> Response:
    """Show a job and follow it."""
    return html(
        "job.html.j2", here, tab="jobs", title="Job", job=here.jobs.get(job_id), output=here.jobs.output(job_id)
    )


def _moment(value: str | None) -> str:
    return value[:16].replace("T", " ") if value else "–"
