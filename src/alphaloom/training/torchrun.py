"""This process's place among those that torchrun started, from the environment alone: importing this costs nothing."""

import os
from dataclasses import dataclass
from typing import Self

from alphaloom.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Which of `size` processes this is; one that torchrun did not start is alone."""

    rank: int = 0
    """From 0; the first one writes and speaks for all."""
    size: int = 1
    local_rank: int = 0
    """Which of this machine's processes it is, and so which of its GPUs is its own."""
    local_size: int = 1
    """How many processes share this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    @classmethod
    def here(cls) -> Self:
        """Return what RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE say.

        Raises:
            UsageError: one of them is no whole number.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        return cls(_number("RANK"), _number("WORLD_SIZE"), _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1))


def _number(name: str, default: int = 0) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdecimal():
        raise UsageError(f"The environment says {name}={value!r}, which should be a whole number: torchrun sets it.")
    return int(value)
