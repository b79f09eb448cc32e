"""The synthetic events of one day: drawn from the whole logs, written beside the other days."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scalr.engines.spark.drawing.writing import FileCounts
from scalr.foundation import ConfigError, Mask, SchemaError
from scalr.logs import MICROSECONDS_PER_DAY, TimeUnit
from scalr.synthesis import DrawnEvents

DAY_COLUMN = "day"
"""Column by which folders of days are partitioned."""

_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class OfDay:
    """Keeps events whose source event is of one day; see `scalr.synthesis.stages.RowRule`.

    Attributes:
        first: The day's first microsecond since 1970, in UTC.
    """

    first: int

    def keep(self, events: DrawnEvents) -> Mask:
        """Return whether each event stays; see `RowRule`."""
        time = events.time
        assert time is not None
        is_of_day: Mask = (time >= self.first) & (time < self.first + MICROSECONDS_PER_DAY)
        return is_of_day


def of_day(day: dt.date, time_unit: TimeUnit | None) -> OfDay:
    """Return the rule that keeps the events of a day.

    Raises:
        ConfigError: If the logs have no times, or a plain order instead of times.
    """
    if time_unit is None or time_unit.kind == "order":
        raise ConfigError(
            f"the day is {day}, but the logs have {'no times' if time_unit is None else 'a plain order, no times'}",
            expected="times in the source logs",
            fix="name the column with --time COL (and its unit with --time-unit), or omit --day",
        )
    return OfDay((day - _EPOCH).days * MICROSECONDS_PER_DAY)


def parse_day(text: str) -> dt.date:
    """Parse a day written as YYYY-MM-DD.

    Raises:
        ConfigError: If the text is no such date.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"the day is '{text}'", expected="a date such as 2026-01-31, YYYY-MM-DD", fix="write it in this form"
        ) from error


def write_day(write: Callable[[Path], FileCounts], folder: Path, day: dt.date, columns: Sequence[str]) -> FileCounts:
    """Write the events of a day into its own part of a folder; earlier events of that day are replaced.

    Other days stay unchanged. After a failure the day is as it was before, or missing.

    Args:
        write: Writes the events of that day into a new folder.
        folder: The folder of all days.
        day: The day.
        columns: Columns of the events.

    Raises:
        SchemaError: If the target log has a column `day`, which readers of the folder would lose.
    """
    if DAY_COLUMN in {name.lower() for name in columns}:
        raise SchemaError(
            f"the target log has a column '{DAY_COLUMN}', which folders of days are partitioned by",
            expected="another name",
            fix="rename it in the target log",
        )
    name = f"{DAY_COLUMN}={day}"
    new, old = folder / f".new-{name}", folder / f".old-{name}"
    for leftover in folder.glob(f".*{name}*"):  # of an interrupted run
        shutil.rmtree(leftover, ignore_errors=True)
    counts = write(new)
    if (folder / name).exists():
        (folder / name).rename(old)
    new.rename(folder / name)
    shutil.rmtree(old, ignore_errors=True)
    return counts
