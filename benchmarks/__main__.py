"""Lists and runs the benchmarks.

    python -m benchmarks              run all, one after the other
    python -m benchmarks --list       what there is
    python -m benchmarks NAME [...]   run one, with its own options

A benchmark is a module of this folder with a `main(arguments) -> int`; the first line of its docstring says what it
measures. Each runs in a process of its own on one thread: CPU seconds, user and system, are the unit. Freed memory
stays with the process, for all programs alike: repeated runs then measure the work and not the machine's first touch
of fresh memory.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
KEEP_MEMORY = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000"


def benchmarks() -> dict[str, str]:
    """Return the first docstring line of each benchmark by name."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text())
        has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if has_main and not path.name.startswith("__"):
            found[path.stem] = (ast.get_docstring(tree) or "").split("\n", maxsplit=1)[0]
    return found


def run(name: str, arguments: list[str]) -> int:
    """Run one benchmark and return its exit code."""
    env = {**os.environ, **dict.fromkeys(ONE_THREAD, "1"), "GLIBC_TUNABLES": KEEP_MEMORY}
    code = f"import sys; from benchmarks.{name} import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], env=env, cwd=HERE.parent, check=False).returncode


def main(arguments: list[str]) -> int:
    """List, run one, or run all; the exit code is 1 when one of them failed."""
    known = benchmarks()
    if arguments[:1] == ["--list"]:
        for name, what in known.items():
            print(f"{name:20s}{what}")
        return 0
    if arguments and arguments[0] not in known:
        print(f"There is no benchmark named {arguments[0]!r}. Available: {', '.join(known)}.", file=sys.stderr)
        return 2
    if arguments:
        return run(arguments[0], arguments[1:])
    failed = [name for name in known if run(name, []) != 0]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
