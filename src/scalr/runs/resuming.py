"""Unfinished output: a locked hidden folder beside the output, from which an interrupted run can be resumed."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scalr.foundation import Checkpoints, OutputError, ScalrError, __version__

STATE_SCHEMA = "scalr.unfinished/1"
PARTS = "synthetic"
"""The folder of part files; parts that exist are not written again."""
_LOCK, _STATE, _OUTPUT, _PIECES, _TRIALS, _ROOM = "lock", "state.json", "output", "pieces", "trials.jsonl", "room"
_OURS = {_LOCK, _STATE, f"{_STATE}.growing", _OUTPUT, _PIECES, _TRIALS, _ROOM}
_ATTEMPTS = 100  # to lock a folder that another process removes at the same time


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run computes. A half-finished run is resumed only by an equal plan.

    Attributes:
        command: Name of the command.
        settings: Everything the output depends on besides the content of the inputs, as plain values.
    """

    command: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class UnfinishedRun:
    """The hidden folder of an unfinished output.

    Attributes:
        folder: The folder that becomes the output.
        pieces: Finished pieces of work.
        trials_file: File of the outcomes of trials.
        room: A folder for temporary files; it need not exist.
        state: Facts of the run that began in this folder.
        state_file: File of these facts.
    """

    folder: Path
    pieces: Checkpoints
    trials_file: Path
    room: Path
    state: dict[str, Any]
    state_file: Path

    def check_inputs(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Record the inputs of a new run; refuse to resume a run with other inputs.

        Args:
            inputs: Role, name, files and digest of each.

        Raises:
            OutputError: If an input differs.
        """
        found = [{name: one[name] for name in ("role", "name", "digest", "files")} for one in inputs]
        known = self.state.setdefault("inputs", found)
        for before, now in zip(known, found, strict=True):
            if before["digest"] != now["digest"]:
                named = ", ".join(now["files"]) or now["name"]
                raise _other_run(f"{now['role']} '{named}' is not what the half-finished run read", self.folder.parent)
        _write_state(self.state_file, self.state)


def partial_folder(path: Path) -> Path:
    """Return the hidden folder of an output."""
    path = Path(os.path.realpath(path))
    return path.parent / f".{path.name}.partial"


@contextlib.contextmanager
def unfinished(path: Path, plan: RunPlan | None, *, resume: bool = False) -> Iterator[UnfinishedRun]:
    """Yield the hidden folder of an output, which appears at `path` when the block ends without an error.

    The folder is locked while this process lives. It is kept if the run has checkpoints and is interrupted from outside
    (a signal, a full disk, too little memory), or if the process is killed.

    Args:
        path: The output, which does not exist or is an empty folder.
        plan: What the run computes; None for a run that cannot be resumed and keeps nothing.
        resume: Resume the half-finished run.

    Raises:
        OutputError: If another run is writing this output, or a half-finished run is there and `resume` is false or its
            plan differs.
    """
    path, partial = Path(os.path.realpath(path)), partial_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(partial, path):
        state = _state_of(partial)
        if state is None:
            _clear(partial, _LOCK)
        elif plan is None or not resume:
            raise OutputError(
                f"a half-finished run of 'scalr {state['command']}' into '{path}' is in '{partial}', begun "
                f"{state['begun_at']}",
                expected="no half-finished run, or --resume",
                fix=f"resume it: the same command with --resume; or discard it: rm -r '{partial}'",
            )
        else:
            _check_plan(state, plan, partial)
            shutil.rmtree(partial / _ROOM, ignore_errors=True)
            if (partial / _OUTPUT).exists():
                _clear(partial / _OUTPUT, PARTS)
        is_new = state is None
        state = state or _new_state(plan)
        if plan is not None:
            _write_state(partial / _STATE, state)
        for name in (_OUTPUT, _PIECES):
            (partial / name).mkdir(exist_ok=True)
        pieces = Checkpoints(None if plan is None else partial / _PIECES)
        made = UnfinishedRun(partial / _OUTPUT, pieces, partial / _TRIALS, partial / _ROOM, state, partial / _STATE)
        try:
            yield made
            _to_disk(made.folder)
            os.replace(made.folder, path)  # an empty folder at `path` is replaced, a filled one is refused
        except BaseException as error:
            is_outside = isinstance(error, OSError | MemoryError | KeyboardInterrupt)
            is_retained = plan is not None and (not is_new or (is_outside and _has_pieces(partial)))
            if is_retained and is_outside:
                raise _resumable(error, partial) from error
            if not is_retained:
                _remove(partial)
            raise
        _sync(path.parent)
        _remove(partial)


def remove_leftovers(path: Path) -> None:
    """Remove the hidden folder of a process that was killed just after its output appeared at `path`."""
    partial = partial_folder(path)
    if partial.exists():
        with _locked(partial, path):
            _remove(partial)


@contextlib.contextmanager
def _locked(partial: Path, path: Path) -> Iterator[None]:
    """Create a hidden folder and hold its lock, which the system releases when the process ends."""
    for _ in range(_ATTEMPTS):
        partial.mkdir(exist_ok=True)
        try:
            stream = (partial / _LOCK).open("a+", encoding="ascii")
        except FileNotFoundError:  # the other process has just finished
            continue
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _is_busy(stream, path) from error
            if not _is_still(stream, partial / _LOCK):
                continue
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
            yield
            return
    raise OutputError(
        f"'{partial}' cannot be locked",
        expected="one run at a time",
        fix="wait for the other run, or choose another --out",
    )


def _is_busy(stream: IO[str], path: Path) -> OutputError:
    stream.seek(0)
    return OutputError(
        f"another run (process {stream.read() or 'unknown'}) is writing '{path}'",
        expected="one run per output folder at a time",
        fix="wait until it has ended, or choose another --out",
    )


def _is_still(stream: IO[str], file: Path) -> bool:
    """Return whether an open file is still the file at its path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _state_of(partial: Path) -> dict[str, Any] | None:
    """Return the state of the run in a hidden folder; None if no run has begun.

    Raises:
        OutputError: If scalr did not write the folder, or another version did.
    """
    if strange := sorted({file.name for file in partial.iterdir()} - _OURS):
        raise OutputError(
            f"'{partial}' is in the way; it holds '{strange[0]}', which scalr did not write",
            expected="no such folder, or one that scalr left",
            fix="move it away, or choose another --out",
        )
    try:
        state = json.loads((partial / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        state = {}
    if not isinstance(state, dict) or state.get("schema") != STATE_SCHEMA:
        raise OutputError(
            f"'{partial / _STATE}' cannot be read",
            expected=f"schema '{STATE_SCHEMA}'",
            fix=f"discard the half-finished run: rm -r '{partial}'",
        )
    return state


def _new_state(plan: RunPlan | None) -> dict[str, Any]:
    plan = plan or RunPlan("", {})
    return {
        "schema": STATE_SCHEMA,
        "command": plan.command,
        "version": __version__,
        "begun_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "settings": json.loads(json.dumps(plan.settings, default=str)),
    }


def _check_plan(state: Mapping[str, Any], plan: RunPlan | None, partial: Path) -> None:
    now = _new_state(plan)
    for name in ("command", "version"):
        if state[name] != now[name]:
            raise _other_run(f"{name} is '{now[name]}', that of the half-finished run '{state[name]}'", partial)
    before, after = dict(_flat(state["settings"])), dict(_flat(now["settings"]))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            values = [json.dumps(one.get(name)) for one in (after, before)]
            raise _other_run(f"setting '{name}' is {values[0]}, that of the half-finished run {values[1]}", partial)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _other_run(what: str, partial: Path) -> OutputError:
    return OutputError(
        what,
        expected="the settings, input files and version that the half-finished run began with",
        fix=f"use those again, choose another --out, or discard the half-finished run: rm -r '{partial}'",
    )


def _resumable(error: BaseException, partial: Path) -> BaseException:
    """Return an error or interruption that explains how to resume."""
    how = f"resume with the same command and --resume, or discard the finished parts: rm -r '{partial}'"
    if isinstance(error, KeyboardInterrupt):
        return KeyboardInterrupt(f"Finished parts are kept: {how}")
    if isinstance(error, ScalrError):
        return error
    if isinstance(error, MemoryError):
        return OutputError(
            f"not enough memory: {error or 'an array could not be allocated'}",
            expected="memory for the ids, the target log and a part of the events",
            fix=f"with a smaller --memory-limit or fewer --threads {how}",
        )
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return OutputError(
        f"'{getattr(error, 'filename', None) or partial}' cannot be written: {reason}",
        expected="free disk space, and folders that stay writable",
        fix=f"correct this, then {how}",
    )


def _to_disk(folder: Path) -> None:
    """Flush all files and folders of an output to the disk, so that it survives a power failure after its renaming.

    Folders come after their contents.
    """
    for below, _, files in os.walk(folder, topdown=False):
        for name in (*files, ""):
            _sync(Path(below, name))


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk; folders only if readable and supported by the system."""
    try:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.EACCES)):
            raise


def _has_pieces(partial: Path) -> bool:
    trials = partial / _TRIALS
    return any((partial / _PIECES).glob("*.npz")) or (trials.exists() and trials.stat().st_size > 0)


def _write_state(file: Path, state: Mapping[str, Any]) -> None:
    growing = file.with_name(f"{file.name}.growing")
    growing.write_text(json.dumps(state, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(growing, file)


def _clear(folder: Path, retained: str) -> None:
    """Remove everything in a folder except for one name."""
    for file in folder.iterdir():
        if file.name != retained:
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()


def _remove(partial: Path) -> None:
    """Remove a hidden folder, its state first: without a state the rest counts as empty."""
    (partial / _STATE).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
