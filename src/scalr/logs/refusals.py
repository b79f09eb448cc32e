"""Checks that every engine makes of the logs it reads: rows that cannot be used, logs that do not fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from scalr.foundation import SchemaError
from scalr.logs.event_log import TimeUnit
from scalr.logs.readers.column import Misfits, nulls_in
from scalr.logs.vocabulary import example_id

_GENERATED_COLUMNS = ("confidence", "support", "source_item", "source_event", "draw")  # together only in our output
_REAL_EVENTS = "real events only: what is fitted on synthetic events repeats itself"


@dataclass(frozen=True, slots=True, eq=False)
class RowCounts:
    """Rows of one log, as counted while it was read.

    Attributes:
        title: How errors name the log.
        rows: All rows.
        complete: Rows without a null in any column that is read.
        nulls: Rows with a null, by role.
        columns: Column name, by role.
        synthetic: Rows that are marked as synthetic.
        flag: Name of the column that marks them.
    """

    title: str
    rows: int
    complete: int
    nulls: Mapping[str, Misfits]
    columns: Mapping[str, str]
    synthetic: int = 0
    flag: str | None = None


def synthetic_flag(names: Iterable[str]) -> str | None:
    """Return the column that marks synthetic events, `is_synthetic` in any case; None where there is none."""
    return next((name for name in names if name.lower() == "is_synthetic"), None)


def refuse_rows(counts: RowCounts, *, drop_nulls: bool) -> None:
    """Refuse a log without rows, with synthetic events, or with nulls.

    Args:
        counts: Rows of the log.
        drop_nulls: Accept rows with nulls, as long as other rows remain.

    Raises:
        SchemaError: If the log is refused.
    """
    title = counts.title
    if not counts.rows:
        raise SchemaError(f"{title} has no rows", expected="at least one event", fix="check the input and its filters")
    if counts.synthetic:
        raise SchemaError(
            f"{title} has {counts.synthetic} synthetic events ('{counts.flag}' is true)",
            expected=_REAL_EVENTS,
            fix=f"filter them out (WHERE NOT {counts.flag})",
        )
    for role, misfits in counts.nulls.items():
        if misfits.count and not drop_nulls:
            column = f"column '{counts.columns[role]}' of {title}"
            raise nulls_in(column, misfits, f"no nulls in the {role} column")
    if not counts.complete:
        raise SchemaError(
            f"every row of {title} has a null", expected="at least one complete event", fix="check the columns"
        )


def refuse_generated_log(title: str, names: Iterable[str]) -> None:
    """Refuse a log that scalr wrote itself, recognised by its columns.

    Args:
        title: How errors name the log.
        names: Columns of the log.

    Raises:
        SchemaError: If the log has all columns that only synthetic events have.
    """
    if set(_GENERATED_COLUMNS) <= set(names):
        raise SchemaError(
            f"{title} holds synthetic events (it has columns {', '.join(_GENERATED_COLUMNS)})",
            expected=_REAL_EVENTS,
            fix="name the log that was recorded, not the output of scalr",
        )


@dataclass(frozen=True, slots=True, eq=False)
class LogTraits:
    """Properties in which all logs of a pair must agree.

    Attributes:
        title: How errors name the log.
        text_users: Whether user ids are text rather than integers.
        time_column: Name of the time column; empty without time.
        time_unit: How times are written; None without time.
        user_ids: User ids that errors show an example of; None for no example.
    """

    title: str
    text_users: bool
    time_column: str
    time_unit: TimeUnit | None
    user_ids: pa.Array | None = None

    @property
    def is_order(self) -> bool:
        """Whether times are a plain order, not points in time."""
        return self.time_unit is not None and self.time_unit.kind == "order"

    def users(self) -> str:
        """Describe the user ids of the log in words."""
        example = "" if self.user_ids is None else f" (such as {example_id(self.user_ids)})"
        return f"{'text' if self.text_users else 'integers'} in {self.title}{example}"


def refuse_unlike_logs(sources: Iterable[LogTraits], target: LogTraits) -> None:
    """Refuse logs whose users or times cannot be compared.

    Raises:
        SchemaError: If user ids differ in type, only some logs have times, or only some times are a plain order.
    """
    for source in sources:
        if source.text_users != target.text_users:
            raise SchemaError(
                f"user ids are {source.users()} but {target.users()}",
                expected="user ids of one type in all logs",
                fix="cast one of the columns, or read all ids as text with --ids string",
            )
        if (source.time_unit is None) != (target.time_unit is None):
            without, timed = (source, target) if source.time_unit is None else (target, source)
            raise SchemaError(
                f"{without.title} has no time column, but {timed.title} has '{timed.time_column}'",
                expected="a time column in all logs, or in none",
                fix="name it with --time COL, or pass an empty name to ignore times",
            )
        if source.is_order != target.is_order:
            ordered, dated = (source, target) if source.is_order else (target, source)
            raise SchemaError(
                f"times of {ordered.title} look like a plain order, those of {dated.title} like points in time",
                expected="times that can be compared",
                fix="name the unit of integer times with --time-unit s, ms, us, ns or order",
            )
