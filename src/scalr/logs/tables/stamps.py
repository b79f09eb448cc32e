"""Whether files are still what they were: size, time of the last change, and which file it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scalr.foundation import InputError


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the system said of a file at one moment; None for all where it is gone."""

    file: Path
    size: int | None
    changed_ns: int | None
    number: int | None


def stamp_of(file: Path) -> Stamp:
    """Look at a file now."""
    try:
        found = file.stat()
    except OSError:
        return Stamp(file, None, None, None)
    return Stamp(file, found.st_size, found.st_mtime_ns, found.st_ino)


def changed(stamps: Iterable[Stamp]) -> list[Path]:
    """Return the files that are no longer as they were stamped."""
    return [one.file for one in stamps if stamp_of(one.file) != one]


def refuse_changed(files: Iterable[Path], when: str) -> None:
    """Raise an error that names the first of some files that changed.

    Args:
        files: Those that changed.
        when: Such as "while it was read".

    Raises:
        InputError: If there is one.
    """
    for file in files:
        raise InputError(
            f"'{file}' changed {when}",
            expected="input files that stay as they are until the run has ended",
            fix="run again once nothing writes to them, or on a copy",
        )
