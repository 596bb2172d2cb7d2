"""The JSON API: what the pages do, for programs."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from alphaloom.comparison.compare import compare_runs
from alphaloom.evaluation.signal import plain
from alphaloom.run_store.row import RunRow
from alphaloom.run_store.select import Selection
from alphaloom.web import state
from alphaloom.web.guard import COOKIE, same, session_of, slow_down
from alphaloom.web.jobs import Job
from alphaloom.web.messages import (
    JobOutput,
    LoginRequest,
    Prediction,
    Problem,
    RecipeChoice,
    ResolvedRecipe,
    ShippedRecipe,
    StartRequest,
    StoreFacts,
    TagRequest,
)
from alphaloom.web.recipes import resolve_recipe
from alphaloom.web.state import Served, served
from alphaloom.web.today import last_day

Here = Annotated[Served, Depends(served)]
Name = Annotated[str, Path(max_length=300, description="Name of a run in the list; may hold `/`.")]
JobId = Annotated[str, Path(max_length=40)]
StoreName = Annotated[str, Path(max_length=200)]
Day = Annotated[dt.date, Query(description="A trading day, ISO.")]

router = APIRouter(
    prefix="/api",
    responses={status: {"model": Problem} for status in (400, 401, 403, 404, 413, 415, 421)},
)


@router.get("/runs")
def list_runs(
    here: Here,
    filters: Annotated[list[Annotated[str, Query(max_length=200)]], Query(alias="filter", max_length=20)] = [],  # noqa: B006
    tag: Annotated[list[Annotated[str, Query(max_length=40)]], Query(max_length=20)] = [],  # noqa: B006
    text: Annotated[str, Query(max_length=200)] = "",
    sort: Annotated[str, Query(max_length=40)] = "name",
) -> list[RunRow]:
    """List runs: `filter=rank_ic>0.02`, `tag=good`, `text=...`, `sort=-rank_ic`."""
    return here.runs.rows(Selection(filters, tag, text, sort))


@router.get("/runs/{name:path}")
def get_run(here: Here, name: Name) -> RunRow:
    """Return one run's row."""
    return here.runs.row(name)


@router.get("/metrics/{name:path}")
def get_metrics(here: Here, name: Name) -> dict[str, Any]:
    """Return every number of a finished run."""
    return here.finished(name).read_json("metrics.json")


@router.post("/tags/{name:path}")
def change_tags(here: Here, name: Name, change: TagRequest) -> list[str]:
    """Add tags to a run and remove others; return those it has."""
    tags = here.folder(name).tag(add=change.add, remove=change.remove)
    here.runs.note(name)
    return tags


@router.get("/compare")
def compare(
    here: Here, run: Annotated[list[Annotated[str, Query(max_length=300)]], Query(max_length=20)]
) -> dict[str, Any]:
    """Compare finished runs, with paired tests of their differences."""
    return compare_runs([here.finished(name).path for name in run]).to_dict()


@router.get("/stores")
def list_stores(here: Here) -> list[StoreFacts]:
    """List the stores of data that are served."""
    return here.stores()


@router.get("/stores/{store}/info")
def store_info(here: Here, store: StoreName) -> Response:
    """Summarise a store: span, columns, missing values, coverage."""
    return JSONResponse(plain(here.health(store)[0].to_dict()))


@router.get("/stores/{store}/check")
def store_check(here: Here, store: StoreName) -> Response:
    """Report what is wrong with a store's data."""
    return JSONResponse(plain(here.health(store)[1].to_dict()))


@router.get("/predictions/{name:path}")
def prediction(
    here: Here, name: Name, store: Annotated[str, Query(max_length=200)], date: Day | None = None
) -> Prediction:
    """Score a trading day, the store's last one by default, and build the target portfolio."""
    data = here.settings.store(store)
    day = str(date) if date else last_day(data)
    found = here.predictions.get(here.finished(name), data, day, here.settings.threads)
    rows = [plain(frame.drop("date").to_dicts()) for frame in (found.scores, found.weights)]
    return Prediction(date=day, scores=rows[0], weights=rows[1])


@router.get("/recipes")
def list_recipes() -> list[ShippedRecipe]:
    """List the recipes that come with the program."""
    return state.recipes()


@router.post("/recipes/resolve")
def resolve(choice: RecipeChoice) -> ResolvedRecipe:
    """Check a recipe and return it with every default spelt out; nothing is run."""
    recipe = resolve_recipe(choice.source, choice.shipped, choice.scale, choice.overrides)
    return ResolvedRecipe(name=recipe.name, recipe_hash=recipe.fingerprint(), source=recipe.to_yaml())


@router.get("/jobs")
def list_jobs(here: Here) -> list[Job]:
    """List jobs, the latest first."""
    return here.jobs.all()


@router.post("/jobs", status_code=201)
def start_job(here: Here, wanted: StartRequest) -> Job:
    """Queue a run of a recipe on a store."""
    return here.start(wanted)


@router.get("/jobs/{job_id}")
def get_job(here: Here, job_id: JobId) -> JobOutput:
    """Return a job and the end of what it printed."""
    return JobOutput(job=here.jobs.get(job_id), output=here.jobs.output(job_id))


@router.post("/jobs/{job_id}/stop")
def stop_job(here: Here, job_id: JobId) -> Job:
    """Interrupt a job; what it has finished is kept."""
    return here.jobs.stop(job_id)


@router.post("/jobs/{job_id}/resume")
def resume_job(here: Here, job_id: JobId) -> Job:
    """Queue a stopped or failed job again."""
    return here.jobs.resume(job_id)


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def job_events(here: Here, job_id: JobId, request: Request) -> StreamingResponse:
    """Tell a job's progress as server-sent events until it ends: `job` (JSON) on every change."""
    await asyncio.to_thread(here.jobs.get, job_id)  # an unknown one is refused before the stream begins

    async def events() -> AsyncIterator[str]:
        last, silent = "", 0.0
        while not await request.is_disconnected():
            job = await asyncio.to_thread(here.jobs.get, job_id)
            output = await asyncio.to_thread(here.jobs.output, job_id)
            told = json.dumps({"job": asdict(job), "output": output[-4_000:]}, ensure_ascii=False)
            if told != last:
                yield f"event: job\ndata: {told}\n\n"
                last, silent = told, 0.0
            elif silent > 15:
                yield ": still here\n\n"
                silent = 0.0
            if job.status not in {"queued", "running"}:
                return
            await asyncio.sleep(0.5)
            silent += 0.5

    return StreamingResponse(events(), media_type="text/event-stream")


@router.post("/login", status_code=204)
async def login(here: Here, request: Request, given: LoginRequest) -> Response:
    """Exchange the token for a cookie."""
    token = here.settings.token
    if token is None or not same(given.token, token):
        await slow_down()
        return JSONResponse({"detail": "That is not the token."}, 401)
    answer = Response(status_code=204)
    is_encrypted = request.url.scheme == "https"
    answer.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", secure=is_encrypted, path="/")
    return answer


@router.post("/logout", status_code=204)
def logout() -> Response:
    """Forget the cookie."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    return answer
