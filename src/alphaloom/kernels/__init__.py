"""Compiled rolling and cross-sectional primitives that features, transforms and statistics share.

numba keeps compiled code on disk and renews it when a function's own file changes, but not when a kernel that it calls
in another file does. The cache therefore lies in a folder named by the content of all kernels (under the user's cache
folder), unless NUMBA_CACHE_DIR says otherwise: code compiled from other sources is never run. Compiled functions
outside this package call none of another file.
"""

import hashlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba.core.config

config: Any = numba.core.config
KEPT = 3
"""Caches of other versions that stay on disk."""


def _cache_folder() -> Path:
    digest = hashlib.blake2b(version("numba").encode(), digest_size=8)
    package = Path(__file__).parent
    for file in sorted(package.glob("*.py")):
        digest.update(file.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "alphaloom" / f"numba-{digest.hexdigest()}"


def _use(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        others = sorted(folder.parent.glob("numba-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return  # a home that cannot be written: numba then finds its own place
    for old in others[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    config.CACHE_DIR = str(folder)


if not config.CACHE_DIR:
    _use(_cache_folder())
