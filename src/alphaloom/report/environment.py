"""What a run was made with: Python, platform and the version of every installed library."""

import os
import platform
from importlib.metadata import distributions
from typing import Any

from alphaloom import __version__


def environment() -> dict[str, Any]:
    """Return Python, platform, processor count, alphaloom's version and every installed library's, by name."""
    return {
        "alphaloom": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "libraries": libraries(),
    }


def libraries() -> dict[str, str]:
    """Return the version of every installed library, in order of name."""
    found = {item.metadata["Name"]: item.version for item in distributions() if item.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))
