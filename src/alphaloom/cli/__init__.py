"""The `alphaloom` command: parse, call the library, print. No logic lives here.

Heavy modules are imported inside the commands, so that `--help` answers at once. Errors meant for the user are one
plain paragraph on standard error; `--debug`, anywhere on the line, shows the traceback as well. Exit codes: 0 done,
1 a run failed, 2 bad usage or bad input, 130 interrupted.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

import typer

import alphaloom.cli.bench as bench_commands
import alphaloom.cli.data as data_commands
import alphaloom.cli.features as features_commands
import alphaloom.cli.risk as risk_commands
import alphaloom.cli.run_store as run_store_commands
from alphaloom.cli.explain import COMMANDS as EXPLAIN_COMMANDS
from alphaloom.cli.placebo import COMMANDS as PLACEBO_COMMANDS
from alphaloom.cli.runs import COMMANDS as RUN_COMMANDS
from alphaloom.cli.studies import COMMANDS as GRID_COMMANDS
from alphaloom.cli.study import COMMANDS as STUDY_COMMANDS
from alphaloom.cli.sweep import COMMANDS as SWEEP_COMMANDS
from alphaloom.cli.ui import COMMANDS as UI_COMMANDS
from alphaloom.errors import AlphaloomError, PeerError
from alphaloom.training.torchrun import Place

# Waiting OpenMP threads sleep instead of spinning; must be set before the libraries that use OpenMP are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
PATH_ERRORS = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What a path given wrongly leads to; other errors of the system, such as a full disk, are failures of the run."""

app = typer.Typer(
    name="alphaloom",
    help="From a daily panel of market data to scores, portfolios and honest reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_commands.app, name="data")
app.add_typer(features_commands.app, name="features")
app.add_typer(bench_commands.app, name="bench")
app.add_typer(risk_commands.app, name="risk")
app.add_typer(run_store_commands.app, name="runs")
for command in (
    *STUDY_COMMANDS,
    *RUN_COMMANDS,
    *run_store_commands.COMMANDS,
    *SWEEP_COMMANDS,
    *GRID_COMMANDS,
    *PLACEBO_COMMANDS,
    *EXPLAIN_COMMANDS,
    *UI_COMMANDS,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    _debug: bool = typer.Option(False, "--debug", help="Show tracebacks with errors; works anywhere on the line."),
) -> None:
    if version:
        from alphaloom import __version__

        typer.echo(f"alphaloom {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    sys.exit(call(arguments, debug=debug))


def call(arguments: list[str], *, debug: bool = False) -> int:
    """Return the exit code of one command line; errors are printed to standard error."""
    try:
        with _together():
            code = app(arguments, standalone_mode=False, prog_name="alphaloom")
    except typer.TyperException as error:
        error.show()  # type: ignore[attr-defined]  # defined on all that typer raises, not on their public base
        return 0 if not arguments else 2
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except PeerError as error:
        if debug:
            raise
        return error.exit_code  # the first process prints it
    except AlphaloomError as error:
        if debug:
            raise
        typer.echo("\n".join(["Error: " + str(error), *getattr(error, "__notes__", [])]), err=True)
        return error.exit_code
    except OSError as error:
        if debug:
            raise
        typer.echo(f"Error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        return 2 if isinstance(error, PATH_ERRORS) else 1
    except Exception as error:
        if debug:
            raise
        typer.echo(
            f"Unexpected error ({type(error).__name__}): {error}\nThis is a defect; --debug shows where it happened.",
            err=True,
        )
        return 1
    if code == INTERRUPTED and Place.here().is_first:
        typer.echo("\nInterrupted. What is finished is kept; the same command goes on from there.", err=True)
    return code if isinstance(code, int) else 0


def _together() -> AbstractContextManager[None]:
    """Return the context in which an error of one process that torchrun started ends all; none for a lone one."""
    if Place.here().size == 1:
        return nullcontext()
    from alphaloom.training.parallel import joined

    return joined().agree()
