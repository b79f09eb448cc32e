"""Errors a user can act on: what is wrong, what was expected, how to fix it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

_MAX_LINE = 600  # characters per line of an error; names and values can be as long as a file


class ScalrError(Exception):
    """Base of all errors: what is wrong, what was expected and how to fix it, a line each.

    Args:
        what: The problem, with the name and the value at fault.
        expected: Valid values.
        fix: What the user can do.
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
    """A log or an item table lacks columns, or has types or values that cannot be used."""


class ConfigError(InputError):
    """A setting is unknown or its value is out of range."""


class DivergenceError(ConfigError):
    """Training did not converge with these settings."""


class OutputError(InputError):
    """The output folder cannot be used."""


class LeakError(InputError):
    """A fitted model or translation has used events of the period that it is evaluated on."""


class MissingExtraError(ScalrError, ImportError):
    """An optional part of scalr is not installed."""


def printable(text: str) -> str:
    r"""Return a text on one line, safe to print in a terminal: unprintable characters become escapes such as \x1b.

    Example:
        >>> print(printable("two\nlines, \x1b[31mred"))
        two lines, \x1b[31mred
    """
    line = " ".join(text.splitlines())
    return line if line.isprintable() else "".join(x if x.isprintable() else ascii(x)[1:-1] for x in line)


def shortened(text: str, max_length: int = _MAX_LINE) -> str:
    """Return a text, with its middle replaced by "..." if it is longer than `max_length` characters."""
    left = (max_length - 3) // 2
    return text if len(text) <= max_length else f"{text[:left]}...{text[len(text) - left :]}"


def system_error(error: OSError, path: str = "") -> InputError:
    """Return an error of the operating system (permissions, a long name, a full disk) as an `InputError`.

    Args:
        error: The error.
        path: Path to name if the error has none.
    """
    path = error.filename or path
    where = f"'{path}' cannot be used" if path else "the system refused"
    return InputError(
        f"{where}: {(error.strerror or str(error)).lower()}",
        expected="paths that you may read and write, and space on the disk",
        fix="check the path, its permissions and the free space",
    )


def require_extra(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: The module to import.
        extra: The extra of scalr that installs it.

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
    """Return the error for an unknown name, which lists the known names and the most similar one.

    Args:
        kind: What the name stands for, such as "model".
        name: The unknown name.
        known: All known names.
    """
    names = tuple(known)
    near = nearest_name(name, names)
    return ConfigError(
        f"no {kind} is called '{name}'",
        expected=f"one of {', '.join(names)}",
        fix=f"did you mean '{near}'?" if near else "choose one of these",
    )


def nearest_name(name: str, choices: Iterable[str]) -> str | None:
    """Return the most similar choice, or None if no choice is similar."""
    matches = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return matches[0] if matches else None
