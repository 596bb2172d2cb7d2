"""The process of one job: `python -m alphaloom.web.worker JOB RUN STORE THREADS`. Ctrl-C ends it as it does `run`."""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from alphaloom.errors import AlphaloomError
from alphaloom.web.jobs import END, INTERRUPTED, PID, PROGRESS, STOP, write_end


def main(home: Path, out: Path, store: Path, threads: int) -> int:
    """Run the job's recipe into `out`; write its progress, and how it ended, into its folder; return the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server in the background hands on an ignored one
    code, message = INTERRUPTED, ""
    try:
        (home / PID).write_text(str(os.getpid()), encoding="utf-8")
        if not (home / STOP).is_file():
            message = _run(home, out, store, threads)
            code = 0
    except KeyboardInterrupt:
        print("Interrupted. What is finished is kept.", flush=True)  # noqa: T201 - the job's own output
    except AlphaloomError as error:
        code, message = error.exit_code, str(error)
        print(f"Error: {message}", flush=True)  # noqa: T201
    except Exception as error:  # noqa: BLE001 - whatever it is, the page has to tell it
        code, message = 1, f"Unexpected error ({type(error).__name__}): {error}"
        traceback.print_exc()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_end(home, code, message)
    return code


def _run(home: Path, out: Path, store: Path, threads: int) -> str:
    from alphaloom.data.store import Store
    from alphaloom.pipeline import run
    from alphaloom.recipe import read_recipe

    began = time.monotonic()
    (home / END).unlink(missing_ok=True)
    with (home / PROGRESS).open("a", encoding="utf-8") as file:

        def progress(stage: str, done: int, total: int) -> None:
            file.write(json.dumps({"stage": stage, "done": done, "total": total}, ensure_ascii=False) + "\n")
            file.flush()
            counts = f" ({done}/{total})" if total > 1 else ""
            print(f"[{time.monotonic() - began:6.1f} s] {stage}{counts}", flush=True)  # noqa: T201

        progress("loading libraries", 0, 1)
        done = run(read_recipe(home / "recipe.yaml"), Store(store), out, threads=threads, progress=progress)
        progress("done", 1, 1)
    return str(done.metrics["verdict"]["words"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
