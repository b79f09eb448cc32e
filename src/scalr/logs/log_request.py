"""Which logs to read, and how: the value that commands, runs and engines hand to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scalr.foundation import LogSettings, SchemaError
from scalr.logs.schema import Columns

Source = str | Path | Any
"""A path, glob or folder (Parquet, CSV, JSON lines), or a frame (pandas, Polars, PyArrow, DuckDB relation)."""

TimeUnitName = Literal["s", "ms", "us", "ns", "order"]
"""Unit of integer times; "order" for numbers that are compared but are no points in time."""

IdKind = Literal["auto", "string"]
"""Whether ids keep their types or are read as text."""


@dataclass(frozen=True, slots=True)
class ReadRules:
    """How values of a log are converted.

    Attributes:
        time_unit: Unit of integer times; None infers it from the largest value.
        as_text: Read ids as text, whatever their type.
        drop_nulls: Drop rows with a null in a column that is read, instead of refusing the log.
    """

    time_unit: TimeUnitName | None = None
    as_text: bool = False
    drop_nulls: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LogRequest:
    """Logs to read, their columns and how values are converted; see `scalr.read_pair` for each value.

    Attributes:
        source: One source log, or several by the name of their domain.
        target: The target log.
        items: Item table with one row per item (and domain), or None.
        columns: Column names in all logs; None to find common names.
        source_columns: Column names that differ in the sources; a mapping gives them by domain.
        target_columns: Column names that differ in the target.
        time_unit: Unit of integer times; None infers it for each log.
        ids: "string" reads all ids as text; "auto" keeps their types.
        drop_nulls: Drop rows with a null in a column that is read.
        item_columns: Add columns of the target log that depend on the item alone to the item table.
    """

    source: Source | Mapping[str, Source]
    target: Source
    items: Source | None = None
    columns: Columns | None = None
    source_columns: Columns | Mapping[str, Columns] | None = None
    target_columns: Columns | None = None
    time_unit: TimeUnitName | None = None
    ids: IdKind = "auto"
    drop_nulls: bool = False
    item_columns: bool = False

    @classmethod
    def from_settings(cls, settings: LogSettings, *, item_columns: bool = False) -> LogRequest:
        """Return the request of a configuration or a command line."""
        return cls(
            source=settings.source,
            target=settings.target,
            items=settings.items,
            columns=Columns.from_settings(settings.columns),
            source_columns=Columns.from_settings(settings.source_columns),
            target_columns=Columns.from_settings(settings.target_columns),
            time_unit=settings.time_unit,
            ids=settings.ids,
            drop_nulls=settings.drop_nulls,
            item_columns=item_columns,
        )

    @property
    def rules(self) -> ReadRules:
        """Return how values are converted, the same for all logs."""
        return ReadRules(self.time_unit, self.ids == "string", self.drop_nulls)

    def sources(self) -> dict[str, Any]:
        """Return the source logs by domain name, in order; a single unnamed source is the domain "source".

        Raises:
            SchemaError: If a domain cannot have its name, or columns are named for a domain that does not exist.
        """
        sources = dict(sorted(self.source.items())) if isinstance(self.source, Mapping) else {"source": self.source}
        if not sources or "target" in sources or not all(sources):
            names = ", ".join(repr(name) for name in sources) or "no source"
            raise SchemaError(
                f"the source domains are named {names}",
                expected="one or more names, none of them 'target'",
                fix="rename the sources",
            )
        named = self.source_columns if isinstance(self.source_columns, Mapping) else {}
        if unknown := sorted(set(named) - set(sources)):
            raise SchemaError(
                f"columns are given for the source '{unknown[0]}'",
                expected=f"one of {', '.join(sources)}",
                fix="correct the name",
            )
        return sources

    def columns_of(self, name: str) -> tuple[Columns, Columns]:
        """Return the column names in all logs, and those that differ in one log.

        Args:
            name: "target", or the name of a source domain.
        """
        special = self.target_columns if name == "target" else self.source_columns
        if isinstance(special, Mapping):
            special = special.get(name)
        return self.columns or Columns(), special or Columns()
