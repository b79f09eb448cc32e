"""Terminal output: progress during a command (stderr), tables at its end (stdout)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from scalr.foundation import Advance, printable
from scalr.synthesis import are_compiled

LONG_SECONDS = 2.0  # longer stages get a line in a log file
COMPILING = "Compiling the inner loops for this machine, once: it takes up to a minute longer this time."
PIPE_WIDTH = 140  # characters per line of output to a file or another program


class Terminal:
    """Display of progress and tables; `quiet` and `as_json` turn both off.

    Stages have live bars on a terminal; elsewhere, long stages get a line each. Use it as a context manager: on exit
    the display ends, and after an error it is removed.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._shows = not quiet and not as_json
        self._as_json = as_json
        self._out, self._err = _console(sys.stdout), _console(sys.stderr)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._err,
            disable=not self._shows or not self._err.is_terminal,
        )
        self._current: tuple[TaskID, str, float] | None = None
        self._notes: list[str] = []

    def __enter__(self) -> Self:
        self._progress.start()
        if not are_compiled():
            self.note(COMPILING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_stage()
        else:
            for task in self._progress.tasks:
                self._progress.update(task.id, visible=False)
        self._progress.stop()
        if isinstance(error, KeyboardInterrupt) and error.args:  # how to resume
            self._err.print(escape(str(error)), soft_wrap=True)
        if error is None:
            for text in self._notes:
                self._err.print(escaped(text), soft_wrap=True)

    def stage(self, name: str, total: int | None = None, unit: str = "events") -> Advance:
        """Begin a stage; see `scalr.foundation.progress.Board`."""
        self._end_stage()
        task = self._progress.add_task(name, total=total)
        self._current = task, name, time.perf_counter()
        return lambda done: self._progress.advance(task, done)

    def note(self, text: str) -> None:
        """Show a sentence permanently: at once on a terminal, elsewhere after success."""
        if not self._shows:
            return
        if self._err.is_terminal:
            self._progress.console.print(escaped(text))
        else:
            self._notes.append(text)

    def _end_stage(self) -> None:
        if self._current is None:
            return
        current, name, began = self._current
        self._current = None
        task = next(task for task in self._progress.tasks if task.id == current)
        total = task.total if task.total is not None else 1
        self._progress.update(current, total=total, completed=total)
        seconds = time.perf_counter() - began
        if self._shows and not self._err.is_terminal and seconds >= LONG_SECONDS:
            self._err.print(f"{escaped(name)}: {seconds:.1f} s")

    def show(self, *parts: Table | str) -> None:
        """Print tables and sentences with Rich markup to stdout; text from data must be `escaped` before."""
        if self._shows:
            for part in parts:
                self._out.print(part, soft_wrap=isinstance(part, str) and not self._out.is_terminal)

    def result(self, value: Mapping[str, Any]) -> None:
        """Print the result as JSON if `as_json` is set."""
        if self._as_json:
            print(json.dumps(value, indent=2, default=str, allow_nan=False))


def _console(stream: TextIO) -> Console:
    """Return a console as wide as the terminal, or wide enough for every table if the stream is not a terminal."""
    return Console(file=stream, highlight=False, emoji=False, width=None if stream.isatty() else PIPE_WIDTH)


def escaped(text: object) -> str:
    """Return text as Rich markup that displays it unchanged, without control characters."""
    return escape(printable(str(text)))


def new_table(title: str, *columns: str) -> Table:
    """Return an empty table whose first column is for names and the others for numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=place > 0)
    return table


def format_number(value: float | int | None, digits: int = 4) -> str:
    """Return a number for readers; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def format_percent(value: float | None, digits: int = 2) -> str:
    """Return a signed share as a percentage; a dash for None."""
    return "–" if value is None else f"{100 * value:+.{digits}f} %".replace("-", "−")
