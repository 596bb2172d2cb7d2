"""Every error a user can meet.

    AlphaloomError
    ├── UsageError            the command or the call was wrong                  exit code 2
    │   ├── SettingError      a recipe or a component's setting                  exit code 2
    │   ├── UnknownNameError  a component, column, table or index by that name   exit code 2
    │   └── MissingLibraryError  an optional library is not installed           exit code 2
    ├── DataError             the data break a promise                           exit code 2
    │   ├── AlignmentError    panels on different axes
    │   ├── MissingFieldError a column that a feature, label or rule needs is absent
    │   └── UnsafeFileError   a file that would run code, or is cut short
    ├── RunError              work began and could not be finished               exit code 1
    │   └── PeerError         another process of the same run failed             exit code of that error
    └── LeakError             the audit found a value that knows the future      exit code 1

A message says what was wrong, the value, what is allowed, where (symbol, date, file or setting), and what to do.
"""

import difflib
from collections.abc import Iterable


class AlphaloomError(Exception):
    """Base of all errors that are meant for the user; `exit_code` is what the command returns."""

    exit_code = 1


class UsageError(AlphaloomError):
    """The command, the call or a setting is wrong; nothing was done."""

    exit_code = 2


class SettingError(UsageError):
    """A recipe or a component's setting is misspelt, out of range or of the wrong type."""


class UnknownNameError(UsageError):
    """No component, column, table or index has that name."""


class MissingLibraryError(UsageError):
    """What was asked for needs an optional library that is not installed."""


class DataError(AlphaloomError):
    """The data break a promise that later stages rely on; nothing was written."""

    exit_code = 2


class AlignmentError(DataError):
    """Two panels do not share dates and symbols."""


class MissingFieldError(DataError):
    """A column that a feature, a label or a rule needs is not in the store."""


class UnsafeFileError(DataError):
    """A file would run code when read, or is damaged."""


class RunError(AlphaloomError):
    """Work began and could not be finished."""


class PeerError(RunError):
    """Another process of the same run failed, with this message; the first process prints it, so no other does."""


class LeakError(AlphaloomError):
    """A value at date t changed when only data after t changed."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the nearest allowed name, or an empty string.

    >>> did_you_mean("rigde", ["ridge", "gru"])
    " Did you mean 'ridge'?"
    """
    near = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def unknown_name(kind: str, name: object, allowed: Iterable[str], where: str = "") -> UnknownNameError:
    """Return the error for a name that is not among the allowed ones, with the nearest of them."""
    names = sorted(allowed)
    place = f" ({where})" if where else ""
    listed = ", ".join(names) if names else "none"
    return UnknownNameError(
        f"There is no {kind} named {name!r}{place}.{did_you_mean(str(name), names)} Available: {listed}."
    )
