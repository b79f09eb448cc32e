"""Detection of changed files, by size, modification time and inode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scalr.foundation import InputError


@dataclass(frozen=True, slots=True)
class Stamp:
    """State of a file at a moment; all None if there is no file.

    Attributes:
        file: The path.
        size: Bytes.
        changed_ns: Modification time, nanoseconds since 1970.
        number: The inode.
    """

    file: Path
    size: int | None
    changed_ns: int | None
    number: int | None


def stamp_of(file: Path) -> Stamp:
    """Return the current state of a file."""
    try:
        status = file.stat()
    except OSError:
        return Stamp(file, None, None, None)
    return Stamp(file, status.st_size, status.st_mtime_ns, status.st_ino)


def changed(stamps: Iterable[Stamp]) -> list[Path]:
    """Return the files whose state differs from their stamp."""
    return [stamp.file for stamp in stamps if stamp_of(stamp.file) != stamp]


def refuse_changed(files: Iterable[Path], when: str) -> None:
    """Raise an error about the first of some changed files.

    Args:
        files: The changed files.
        when: When they changed, such as "while it was read".

    Raises:
        InputError: If there is a file.
    """
    for file in files:
        raise InputError(
            f"'{file}' changed {when}",
            expected="input files that do not change until the run has ended",
            fix="run again when no process writes to them, or on a copy",
        )
