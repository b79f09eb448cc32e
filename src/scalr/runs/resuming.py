"""Output that is being made: a hidden folder beside the output, locked, which a run that was cut off goes on from."""

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
"""The one folder of an output whose files are pieces of work, which need not be made again."""
_LOCK, _STATE, _OUTPUT, _PIECES, _TRIALS, _ROOM = "lock", "state.json", "output", "pieces", "trials.jsonl", "room"
_OURS = {_LOCK, _STATE, f"{_STATE}.growing", _OUTPUT, _PIECES, _TRIALS, _ROOM}
_ATTEMPTS = 100  # to lock a folder that another process takes away meanwhile


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is going to do: a half-finished one goes on only if all of it is the same.

    Attributes:
        command: Name of the command.
        settings: All that the output depends on beside the input's content, as plain values.
    """

    command: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class UnfinishedRun:
    """The hidden folder of an output that is being made.

    Attributes:
        folder: What becomes the output.
        pieces: Finished pieces of work.
        trials_file: Where trials of settings are remembered.
        room: A folder for what the run puts aside; it need not exist.
        state: Facts of the run that began here.
        state_file: Where they stand.
    """

    folder: Path
    pieces: Checkpoints
    trials_file: Path
    room: Path
    state: dict[str, Any]
    state_file: Path

    def check_inputs(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Refuse to go on with other inputs than the run began with; remember them if it has just begun.

        Args:
            inputs: Role, name, files and digest of each.

        Raises:
            OutputError: If one differs.
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
    """Give the hidden folder of an output; its output appears at `path` when the block ends well.

    The folder is locked as long as this process lives. Where a run is cut off for a reason outside of it (a signal, a
    full disk, too little memory) and has finished something, the folder stays; so does one that a killed process left.

    Args:
        path: The output, which does not exist or is an empty folder.
        plan: What the run does; None where it cannot go on later, so that nothing of it is kept, or found.
        resume: Go on with what is there.

    Raises:
        OutputError: If another run is at work there, or a half-finished one is there that was not asked for or had
            another plan.
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
                expected="none, unless with --resume",
                fix=f"go on with it: the same command with --resume; or discard it: rm -r '{partial}'",
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
            is_kept = plan is not None and (not is_new or (is_outside and _has_pieces(partial)))
            if is_kept and is_outside:
                raise _kept(error, partial) from error
            if not is_kept:
                _remove(partial)
            raise
        _sync(path.parent)
        _remove(partial)


def remove_leftovers(path: Path) -> None:
    """Remove what a process left that was killed just after its output appeared at `path`."""
    partial = partial_folder(path)
    if partial.exists():
        with _locked(partial, path):
            _remove(partial)


@contextlib.contextmanager
def _locked(partial: Path, path: Path) -> Iterator[None]:
    """Hold the lock of a hidden folder, which is made; the system lets go of it when the process ends in any way."""
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
    """Say whether a file that was opened is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), file.stat())
    except FileNotFoundError:
        return False


def _state_of(partial: Path) -> dict[str, Any] | None:
    """Return the state of the run in a hidden folder; None where none has begun.

    Raises:
        OutputError: If it is not ours, or of another version.
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
        fix=f"give those again, choose another --out, or discard the half-finished run: rm -r '{partial}'",
    )


def _kept(error: BaseException, partial: Path) -> BaseException:
    """Return an error or interruption that says how to go on."""
    how = f"go on with the same command and --resume, or discard what is finished: rm -r '{partial}'"
    if isinstance(error, KeyboardInterrupt):
        return KeyboardInterrupt(f"What is finished is kept: {how}")
    if isinstance(error, ScalrError):
        return error
    if isinstance(error, MemoryError):
        return OutputError(
            f"not enough memory: {error or 'an array could not be made'}",
            expected="room in memory for the ids, the target log and a part of the events",
            fix=f"with a smaller --memory-limit or fewer --threads {how}",
        )
    said = (getattr(error, "strerror", None) or str(error)).lower()
    return OutputError(
        f"'{getattr(error, 'filename', None) or partial}' cannot be written: {said}",
        expected="room on the disk, and folders that stay writable",
        fix=f"mend that, then {how}",
    )


def _to_disk(folder: Path) -> None:
    """Force all files and folders of an output to the disk, so that a power failure after its renaming takes nothing.

    Folders come after what is in them.
    """
    for below, _, files in os.walk(folder, topdown=False):
        for name in (*files, ""):
            _sync(Path(below, name))


def _sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk; folders only where they may be read and the system can."""
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


def _clear(folder: Path, kept: str) -> None:
    """Empty a folder but for one name."""
    for file in folder.iterdir():
        if file.name != kept:
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()


def _remove(partial: Path) -> None:
    """Remove a hidden folder; first its state, so that whoever finds the rest sees that nothing is in it."""
    (partial / _STATE).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
