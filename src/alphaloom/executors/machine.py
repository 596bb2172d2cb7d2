"""What this machine has for tasks: cores, memory, GPUs."""

import os
from pathlib import Path


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Return the machine's memory, or what this container may use of it, in GB."""
    least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if file.is_file() and (text := file.read_text(encoding="ascii").strip()).isdigit():
            least = min(least, int(text))
    return least / 1e9


def gpu_devices() -> list[str]:
    """Return the names of the CUDA devices that this process may use, as `CUDA_VISIBLE_DEVICES` has them."""
    import torch

    count = torch.cuda.device_count()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return allowed.split(",")[:count] if allowed else [str(k) for k in range(count)]
