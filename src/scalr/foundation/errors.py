"""Errors a user can act on: what is wrong, what was expected, how to fix it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

_LONGEST = 600  # characters of a line that an error shows: names and values may be as long as a file


class ScalrError(Exception):
    """Say what is wrong, what was expected and how to fix it, one line each.

    Args:
        what: What is wrong, with the name and the value that was found.
        expected: What would have been right.
        fix: What the user can do about it.
    """

    def __init__(self, what: str, *, expected: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        lines = (f"{type(self).__name__}: {self.what}", f"  expected: {self.expected}", f"  fix: {self.fix}")
        return "\n".join(printable(shortened(line)) for line in lines)


class InputError(ScalrError, ValueError):
    """The user's files, options or arguments cannot be used."""


class SchemaError(InputError):
    """A log or an item table does not have the columns, types or values it must have."""


class ConfigError(InputError):
    """A setting is unknown or its value is out of range."""


class DivergenceError(ConfigError):
    """Training did not converge with these settings."""


class OutputError(InputError):
    """The output folder cannot be used."""


class LeakError(InputError):
    """Something that was fitted saw an event of the period it is to be judged on."""


class MissingExtraError(ScalrError, ImportError):
    """An optional part of scalr is not installed."""


def printable(text: str) -> str:
    r"""Return a text on one line that steers no terminal: what is not printable stands as its escape, such as \x1b.

    Example:
        >>> print(printable("two\nlines, \x1b[31mred"))
        two lines, \x1b[31mred
    """
    line = " ".join(text.splitlines())
    return line if line.isprintable() else "".join(x if x.isprintable() else ascii(x)[1:-1] for x in line)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return a text without its middle where it is longer than `longest` characters."""
    left = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:left]}...{text[len(text) - left :]}"


def system_error(error: OSError, given: str = "") -> InputError:
    """Return what the system refused (permissions, a name too long, a full disk) as an error of ours."""
    path = error.filename or given
    where = f"'{path}' cannot be used" if path else "the system refused"
    return InputError(
        f"{where}: {(error.strerror or str(error)).lower()}",
        expected="paths that you may read and write, and room on the disk",
        fix="check the path, its permissions and the free space",
    )


def require_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra which brings it.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"module '{error.name}' is not installed",
            expected=f"the optional dependencies '{extra}' of scalr",
            fix=f"pip install 'scalr-rec[{extra}]'",
        ) from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a name that nothing of a kind has: it lists those that exist, and the nearest one."""
    names = tuple(known)
    near = nearest_name(name, names)
    return ConfigError(
        f"no {kind} is called '{name}'",
        expected=f"one of {', '.join(names)}",
        fix=f"did you mean '{near}'?" if near else "choose one of these",
    )


def nearest_name(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that looks most like `name`, or None where nothing is close."""
    found = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None
