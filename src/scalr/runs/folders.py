"""Output folders that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from scalr.foundation import OutputError
from scalr.runs.resuming import RunPlan, UnfinishedRun, unfinished


def check_free(path: Path) -> None:
    """Refuse a folder that cannot become the output, before any work is done.

    Raises:
        OutputError: If it is a file, is not empty, or cannot be made.
    """
    is_broken = path.is_symlink() and not path.exists()
    if is_broken or (path.exists() and not path.is_dir()):
        raise OutputError(
            f"output '{path}' is a {'link that leads nowhere' if is_broken else 'file'}, not a folder",
            expected="a new or empty folder",
            fix="choose another --out",
        )
    if path.exists() and any(path.iterdir()):
        raise OutputError(
            f"output folder '{path}' is not empty ({sum(1 for _ in path.iterdir())} entries)",
            expected="a new or empty folder; scalr never overwrites",
            fix="choose another --out, or remove the folder yourself",
        )
    parent = _real(path).parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir() or not _writable(parent):
        raise OutputError(
            f"output folder '{path}' cannot be written: no permission in '{parent}'",
            expected="a folder you may write to",
            fix="choose another --out, or change the permissions",
        )


def check_apart(path: Path, inputs: Iterable[str | None]) -> None:
    """Refuse an output folder inside a folder of inputs: the next run would read it as input.

    Args:
        path: The output folder.
        inputs: Files, folders and globs of the inputs; None for a missing input.

    Raises:
        OutputError: If `path` is below one of the folders, or below the folder that a glob with ** searches.
    """
    for source in inputs:
        if not source:
            continue
        folder = source if os.path.isdir(source) else source.partition("**")[0] if "**" in source else None
        if folder is not None and _real(path).is_relative_to(_real(Path(folder))):
            raise OutputError(
                f"output folder '{path}' is inside the input '{source}'",
                expected="a folder apart from the logs, which scalr never changes",
                fix="choose another --out",
            )


def _real(path: Path) -> Path:
    """Return a path with links resolved; unlike `Path.resolve`, circular links are no error."""
    return Path(os.path.realpath(path))


def _writable(folder: Path) -> bool:
    """Return whether writing works; permission bits do not cover read-only file systems."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def finished_folder(path: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `path`; rename it to `path` if the block ends without an error, else remove it.

    Raises:
        OutputError: If `path` cannot become the output (see `check_free`), or another run is writing it.
    """
    check_free(path)
    with unfinished(path, None) as made:
        yield made.folder


@contextlib.contextmanager
def resumable_folder(path: Path, plan: RunPlan | None, *, resume: bool = False) -> Iterator[UnfinishedRun]:
    """Yield a hidden folder from which an interrupted run can be resumed; see `scalr.runs.resuming`.

    Raises:
        OutputError: If `path` cannot become the output, another run is writing it, or a half-finished run is there and
            `resume` is false or its plan differs.
    """
    check_free(path)
    with unfinished(path, plan, resume=resume) as made:
        yield made
