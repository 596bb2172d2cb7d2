"""What a measurement holds for: processor, GPU, threads, versions; and how much memory this process takes."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from alphaloom.executors.machine import cores
from alphaloom.training.network import best_device

MB = 1e6


def machine(threads: int) -> dict[str, Any]:
    """Return what speed depends on; equal on the same machine with the same versions and threads.

    `half`: how the processor multiplies bfloat16 (`amx`, `avx512`), None where it has no instructions for it or does
    not say. `gpu`, `gpu_gb`: the device that trains, None when that is the processor.
    """
    processor, flags = _processor()
    on_gpu = best_device().type == "cuda"
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device()) if on_gpu else None
    return {
        "processor": processor,
        "cores": cores(),
        "half": next((name for name in ("amx", "avx512") if f"{name}_bf16" in flags), None),
        "memory_gb": _total_memory_gb(),
        "gpu": gpu.name if gpu else None,
        "gpu_gb": round(gpu.total_memory / 1e9, 1) if gpu else None,
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def machine_words(facts: dict[str, Any]) -> str:
    """Return the machine in one line."""
    half = f", bfloat16 by {facts['half'].upper()}" if facts["half"] else ""
    parts = [
        *([f"{facts['gpu']} ({facts['gpu_gb']:g} GB)"] if facts["gpu"] else []),
        f"{facts['processor']}, {facts['cores']} cores{half}",
        f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}",
        f"torch {facts['torch']}",
        f"Python {facts['python']}",
    ]
    return "; ".join(parts)


def resident_mb() -> tuple[float | None, float]:
    """Return this process's resident memory now and at its peak, in MB; None where the system does not tell it.

    Linux keeps the peak of the program itself in its status file; `ru_maxrss` begins with that of the process that
    started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "VmRSS" in lines and "VmHWM" in lines:
            now, peak = (int(lines[key].split()[0]) * 1024 / MB for key in ("VmRSS", "VmHWM"))
            return now, peak
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None, most * (1 if sys.platform == "darwin" else 1024) / MB


def waited() -> float | None:
    """Return the seconds in which this process's main thread was ready but had no core; None where unknown (not Linux).

    Training steps run on the main thread, so on a machine that others use this is what they cost.
    """
    file = Path("/proc/self/schedstat")
    return int(file.read_text().split()[1]) / 1e9 if file.is_file() else None


def load_1min() -> float | None:
    """Return how many processes wanted a core in the last minute, ours among them; None where unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> tuple[str, set[str]]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    pairs = (line.partition(":") for line in lines[:60])
    named = {key.strip(): value.strip() for key, _, value in pairs}
    return named.get("model name") or platform.processor() or platform.machine(), set(named.get("flags", "").split())


def _total_memory_gb() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
