"""`alphaloom ui`: the web page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from alphaloom.cli.study import thread_count
from alphaloom.errors import MissingLibraryError

TOKEN_VARIABLE = "ALPHALOOM_UI_TOKEN"


def ui(
    folder: Annotated[Path, typer.Argument(help="Folder that holds runs; made when absent.", metavar="FOLDER")] = Path(
        "runs"
    ),
    store: Annotated[
        list[Path] | None, typer.Option("--store", help="Store of data to serve. May be repeated; no other is read.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port.", min=0, max=65_535)] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to bind to; one beyond this machine asks for a token.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=f"File that holds the token; or set {TOKEN_VARIABLE}.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Runs at the same time; further ones wait.", min=1)] = 1,
    threads: Annotated[int, typer.Option("--threads", help="Threads of each run; 0 for all cores.", min=0)] = 0,
) -> None:
    """Serve a web page: runs, reports, comparisons, data, today's portfolio; start runs and watch them."""
    try:
        import uvicorn

        from alphaloom.web.app import create_app
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f'The web page needs {error.name}: pip install "alphaloom[ui]".') from None
    from alphaloom.spec import distinct
    from alphaloom.web.settings import WebSettings, is_loopback, new_token

    token = token_file.read_text(encoding="utf-8").strip() if token_file else os.environ.get(TOKEN_VARIABLE)
    if token is None and not is_loopback(host):
        token = new_token()
        typer.echo(f"Token for this time: {token}", err=True)
    stores = [path.resolve() for path in store or []]
    names = distinct([path.name for path in stores])
    folder.mkdir(parents=True, exist_ok=True)
    settings = WebSettings(
        runs=folder,
        stores=dict(zip(names, stores, strict=True)),
        host=host,
        token=token,
        at_once=jobs,
        threads=thread_count(threads),
    )
    typer.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}", err=True)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=3,
    )


COMMANDS = (ui,)
