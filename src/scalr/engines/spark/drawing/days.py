"""One day's synthetic events: drawn from all logs as they are now, written beside the other days."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scalr.engines.spark.drawing.writing import Filed
from scalr.foundation import ConfigError, SchemaError
from scalr.logs import MICROSECONDS_PER_DAY, TimeUnit
from scalr.synthesis import Chunk, Part

DAY_COLUMN = "day"
"""Column that folders of days are partitioned by."""

_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class OfDay:
    """Leaves rows whose source event is of one day; see `scalr.synthesis.parts.Step`.

    Attributes:
        first: The day's first microsecond since 1970, in UTC.
        stage: The stage that counts it.
    """

    first: int
    stage: str = "sample"

    def apply(self, part: Part, chunk: Chunk, begin: int) -> None:
        """Narrow the rows; see `Step`."""
        time = chunk.rows(begin).time
        assert time is not None
        chunk.narrow(begin, (time >= self.first) & (time < self.first + MICROSECONDS_PER_DAY))


def of_day(day: dt.date, time_unit: TimeUnit | None) -> OfDay:
    """Return the step that leaves rows of a day.

    Raises:
        ConfigError: If the logs have no times, or a plain order instead of times.
    """
    if time_unit is None or time_unit.kind == "order":
        raise ConfigError(
            f"the day is {day}, but the logs have {'no times' if time_unit is None else 'a plain order, no times'}",
            expected="times in the source logs",
            fix="name the column with --time COL (and its unit with --time-unit), or leave --day out",
        )
    return OfDay((day - _EPOCH).days * MICROSECONDS_PER_DAY)


def parse_day(text: str) -> dt.date:
    """Return a day given as YYYY-MM-DD.

    Raises:
        ConfigError: If it is none.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"the day is '{text}'", expected="a date such as 2026-01-31, YYYY-MM-DD", fix="write it like that"
        ) from error


def write_day(write: Callable[[Path], Filed], folder: Path, day: dt.date, columns: Sequence[str]) -> Filed:
    """Write the events of a day into its own part of a folder, in place of those that were there.

    Other days stay. A day that is run twice is there once; one that fails half-way is as it was before, or not there.

    Args:
        write: Writes the events of that day into a new folder.
        folder: Where days are.
        day: The day.
        columns: Columns of the events.

    Raises:
        SchemaError: If the events have a column `day` of their own, which readers of the folder would lose.
    """
    if DAY_COLUMN in {name.lower() for name in columns}:
        raise SchemaError(
            f"the target log has a column '{DAY_COLUMN}', which folders of days are partitioned by",
            expected="another name",
            fix="rename it in the target log",
        )
    name = f"{DAY_COLUMN}={day}"
    new, old = folder / f".new-{name}", folder / f".old-{name}"
    for left in folder.glob(f".*{name}*"):  # by a run that was cut off
        shutil.rmtree(left, ignore_errors=True)
    filed = write(new)
    if (folder / name).exists():
        (folder / name).rename(old)
    new.rename(folder / name)
    shutil.rmtree(old, ignore_errors=True)
    return filed
