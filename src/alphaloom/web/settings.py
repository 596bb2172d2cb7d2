"""What the web page serves, and to whom."""

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alphaloom.data.store import Store
from alphaloom.errors import UsageError, unknown_name

TOKEN_LENGTH = 16
"""Characters that a token must have at least."""


@dataclass(frozen=True)
class WebSettings:
    """What is served.

    Attributes:
        runs: the folder of runs; jobs lie in `.jobs` below it.
        stores: the stores that may be read, by name. No other data are.
        host: address that is bound to.
        token: asked of every request when set; must be set beyond loopback.
        at_once: jobs that run at the same time.
        threads: threads of each job.
        longest_body: bytes that a request may hold.

    Raises:
        UsageError: the folder of runs does not exist, or a token is absent or too short.
        DataError: one of the stores is none.
    """

    runs: Path
    stores: Mapping[str, Path] = field(default_factory=dict)
    host: str = "127.0.0.1"
    token: str | None = None
    at_once: int = 1
    threads: int = 1
    longest_body: int = 1_000_000

    def __post_init__(self) -> None:
        if not self.runs.is_dir():
            raise UsageError(f"There is no folder {self.runs}. Make it, or name the folder in which runs lie.")
        for path in self.stores.values():
            Store(path)
        if self.token is None and not self.is_local:
            raise UsageError(f"The address {self.host} can be reached from elsewhere: set a token.")
        if self.token is not None and len(self.token) < TOKEN_LENGTH:
            raise UsageError(f"The token has {len(self.token)} characters; take {TOKEN_LENGTH} or more, at random.")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        return is_loopback(self.host)

    def store(self, name: str) -> Store:
        """Return a store by its name.

        Raises:
            UnknownNameError: it is not among those that are served.
        """
        if name not in self.stores:
            raise unknown_name("store", name, self.stores)
        return Store(self.stores[name])


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(24)
