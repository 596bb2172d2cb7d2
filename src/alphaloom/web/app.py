"""The application: routes behind the guard, jobs beside them."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from alphaloom import __version__
from alphaloom.errors import AlphaloomError, UnknownNameError
from alphaloom.web import api, pages
from alphaloom.web.guard import Guard
from alphaloom.web.settings import WebSettings
from alphaloom.web.state import Served


def create_app(settings: WebSettings) -> FastAPI:
    """Return the web page of a folder of runs."""
    here = Served(settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        launcher = threading.Thread(target=here.jobs.serve, name="jobs", daemon=True)
        launcher.start()
        yield
        here.jobs.close()
        launcher.join(timeout=5)

    app = FastAPI(
        title="alphaloom",
        version=__version__,
        description="Runs, data and jobs of one folder.",
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=life,
        redirect_slashes=False,
    )
    app.state.served = here
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(AlphaloomError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    return app


def _problem(request: Request, status: int, detail: str) -> Response:
    """Return an error as JSON to programs and as a page to people."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": detail}, status)
    here: Served = request.app.state.served
    return pages.html("problem.html.j2", here, status, tab="", title="That did not work", detail=detail)


async def _refused(request: Request, error: Exception) -> Response:
    return _problem(request, 404 if isinstance(error, UnknownNameError) else 400, str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
    return _problem(request, 422, "; ".join(words)[:2_000])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(request, error.status_code, str(error.detail))
