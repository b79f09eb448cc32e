"""What a bad input is, how it is tried, and what must hold: a correct result, or three lines and exit 2."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from scalr.logs.schema import SYNTHETIC_COLUMNS

SECONDS = 30  # longer than this counts as a hang
LONGEST_LINE = 1000  # characters of a refusal's line that a terminal can still show
Run = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs the command with arguments; returns exit code, stdout, stderr."""
Change = Callable[[pa.Table], pa.Table]


class HangError(BaseException):
    """A case took too long; no handler of the command's may take it for its own."""


def source_log() -> pa.Table:
    """Return source events: users 1 to 12, five items each of 10 to 15."""
    pairs = [(user, 10 + (user * 5 + step * (1 + user % 3)) % 6) for user in range(1, 13) for step in range(5)]
    users, items = zip(*pairs, strict=True)
    times = [1_600_000_000 + 3600 * place for place in range(len(pairs))]
    return pa.table({"user_id": users, "item_id": items, "timestamp": times})


def target_log() -> pa.Table:
    """Return target events: the same users, three items each of 100 to 106, with a price and a column of no role."""
    pairs = [(user, 100 + (user * 3 + step * (1 + user % 2)) % 7) for user in range(1, 13) for step in range(3)]
    users, items = zip(*pairs, strict=True)
    times = [1_600_000_500 + 3600 * place for place in range(len(pairs))]
    prices = [item / 8 for item in items]
    return pa.table(
        {"user_id": users, "item_id": items, "timestamp": times, "price": prices, "shop": ["a"] * len(pairs)}
    )


@dataclass(slots=True)
class Desk:
    """A folder that a case lays its files into, and the logs that its files stand for."""

    folder: Path
    source: pa.Table = field(default_factory=source_log)
    target: pa.Table = field(default_factory=target_log)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def file(self, name: str, content: bytes | str) -> str:
        """Write bytes, or text as UTF-8."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def table(self, name: str, table: pa.Table) -> str:
        """Write a table as the format that its suffix says."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".csv"):
            pyarrow.csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
        return str(path)

    def generate(self, source: str | None = None, target: str | None = None, *more: str) -> list[str]:
        """Return a command line of `scalr generate`; logs that are not given are written as Parquet."""
        source = self.table("source.parquet", self.source) if source is None else source
        target = self.table("target.parquet", self.target) if target is None else target
        return ["generate", "--source", source, "--target", target, "--out", str(self.out), *more]

    def written(self) -> pa.Table:
        """Return the synthetic events that were written."""
        return pq.read_table(self.out / "synthetic")


@dataclass(frozen=True, slots=True)
class Case:
    """One bad, odd or hostile input.

    Attributes:
        make: Lays files into the desk, and returns the command line.
        says: Words of the refusal's first line; None where the input must be accepted.
        check: More that must hold of an accepted input.
        makes_events: Whether an accepted input gives any synthetic event.
    """

    make: Callable[[Desk], list[str]]
    says: str | None = None
    check: Callable[[Desk], None] | None = None
    makes_events: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case."""

    outcome: str
    seconds: float


def with_source(
    change: Change, says: str | None = None, *more: str, name: str = "source.parquet", **others: Any
) -> Case:
    """Return a case with a changed source log."""

    def make(desk: Desk) -> list[str]:
        desk.source = change(desk.source)
        return desk.generate(desk.table(name, desk.source), None, *more)

    return Case(make, says, **others)


def with_target(
    change: Change, says: str | None = None, *more: str, name: str = "target.parquet", **others: Any
) -> Case:
    """Return a case with a changed target log."""

    def make(desk: Desk) -> list[str]:
        desk.target = change(desk.target)
        return desk.generate(None, desk.table(name, desk.target), *more)

    return Case(make, says, **others)


def with_both(change: Change, says: str | None = None, *more: str, suffix: str = "parquet", **others: Any) -> Case:
    """Return a case with both logs changed."""

    def make(desk: Desk) -> list[str]:
        desk.source, desk.target = change(desk.source), change(desk.target)
        files = desk.table(f"source.{suffix}", desk.source), desk.table(f"target.{suffix}", desk.target)
        return desk.generate(*files, *more)

    return Case(make, says, **others)


def with_bytes(name: str, content: bytes | str | Callable[[Desk], bytes | str], says: str | None, *more: str) -> Case:
    """Return a case whose source log is a file of these bytes."""

    def make(desk: Desk) -> list[str]:
        return desk.generate(desk.file(name, content(desk) if callable(content) else content), None, *more)

    return Case(make, says)


def with_options(says: str | None, *more: str) -> Case:
    """Return a case of `scalr generate` on good logs with further options."""
    return Case(lambda desk: desk.generate(None, None, *more), says)


def column(name: str, values: Any) -> Change:
    """Return a change of a table: a column set, or added; values, or a function of the old column."""

    def change(table: pa.Table) -> pa.Table:
        made = values(table[name]) if callable(values) else values
        made = made if isinstance(made, pa.Array | pa.ChunkedArray) else pa.array(made)
        place = table.schema.get_field_index(name)
        return table.append_column(name, made) if place < 0 else table.set_column(place, name, made)

    return change


def mapped(name: str, one: Callable[[Any], Any], kind: pa.DataType | None = None) -> Change:
    """Return a change of a column value by value."""
    return column(name, lambda old: pa.array([one(value) for value in old.to_pylist()], kind))


def first(name: str, value: Any, kind: pa.DataType | None = None) -> Change:
    """Return a change of a column's first value."""
    return column(name, lambda old: pa.array([value, *old.to_pylist()[1:]], kind))


def judge(case: Case, folder: Path, run: Run, seconds: float = SECONDS) -> Verdict:
    """Try a case, and check all that must hold of any input."""
    desk = Desk(folder)
    arguments = case.make(desk)
    before = digests(folder)
    began = time.perf_counter()
    with at_most(seconds):
        code, out, err = run(arguments)
    taken = time.perf_counter() - began
    after = {path: digest for path, digest in digests(folder).items() if path.parts[:1] != ("out",)}
    assert after == {path: digest for path, digest in before.items() if path.parts[:1] != ("out",)}, "files changed"
    assert "Traceback" not in err
    if case.says is not None:
        is_refusal(code, err, case.says)
        assert out == "" or arguments[0] == "inspect", out
        assert digests(folder) == before, "something was written"
        return Verdict("refused", taken)
    assert code == 0, err
    assert not unprintable(out + err)
    if arguments[0] == "generate":
        is_traceable(desk, case.makes_events)
    if case.check is not None:
        case.check(desk)
    return Verdict("correct", taken)


def is_refusal(code: int, err: str, says: str) -> None:
    """Check that a command refused in three plain lines."""
    assert code == 2, f"exit {code}: {err[-2000:]}"
    lines = err.removesuffix("\n").split("\n")
    assert len(lines) == 3, err
    assert lines[1].startswith("  expected: ")
    assert lines[2].startswith("  fix: ")
    assert says in lines[0], err
    assert max(map(len, lines)) <= LONGEST_LINE, [len(line) for line in lines]
    assert not unprintable(err), ascii(err)


def unprintable(text: str) -> set[str]:
    """Return characters that would steer a terminal: all that are not printable, but for line breaks."""
    return {letter for letter in text if not (letter.isprintable() or letter == "\n")}


def is_traceable(desk: Desk, makes_events: bool) -> None:
    """Check written events against the logs: each comes from a source event, and none repeats a real pair."""
    made = desk.written()
    assert (len(made) > 0) == makes_events
    names = desk.target.column_names
    assert made.column_names == [*names, *(name for name in SYNTHETIC_COLUMNS if name not in names)]
    user, item = names[0], names[1]
    pairs = set(zip(_texts(made[user]), _texts(made["source_item"]), strict=True))
    assert pairs <= set(zip(_texts(desk.source[0]), _texts(desk.source[1]), strict=True))
    drawn = set(zip(_texts(made[user]), _texts(made[item]), strict=True))
    real = set(zip(_texts(desk.target[user]), _texts(desk.target[item]), strict=True))
    assert not drawn & real
    assert {one for _, one in drawn} <= {one for _, one in real}
    assert all(made["is_synthetic"].to_pylist())


def _texts(values: pa.ChunkedArray) -> list[str]:
    return [str(value) for value in values.to_pylist()]


def digests(folder: Path) -> dict[Path, str]:
    """Return a digest of everything below a folder, by relative path: content of files, aims of links, modes."""
    found = {}
    for below, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(below) / name
            status = path.lstat()
            content = os.readlink(path).encode() if path.is_symlink() else b""
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                content = path.read_bytes()
            found[path.relative_to(folder)] = f"{status.st_mode:o} {hashlib.sha256(content).hexdigest()}"
    return found


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `HangError` in the block after so many seconds."""

    def stop(*_: Any) -> None:
        raise HangError(f"more than {seconds} s")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
