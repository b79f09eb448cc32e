"""A column of a user's log, and errors about rows of it that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Int64, Mask, SchemaError

_SHOWN_ROWS = 3  # row numbers that an error names


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Some or all rows of a column of a user's log, with the names that errors show.

    Attributes:
        name: The user's name of the column.
        table: How errors name the log.
        values: Shape (n,), any type; dictionaries are decoded, text is string or large_string.
        is_untyped: Whether the format has only text (CSV), so that text may be integers.
        rows: Shape (n,), row number of each value, from 0; None if values have consecutive rows from 0.
    """

    name: str
    table: str
    values: pa.ChunkedArray
    is_untyped: bool = False
    rows: Int64 | None = None

    @property
    def title(self) -> str:
        """Return how errors name the column and its log."""
        return f"column '{self.name}' of {self.table}"

    def missing(self) -> Mask:
        """Return for each row, shape (n,), whether it is null or not a number (NaN)."""
        if not self.values.null_count and not pa.types.is_floating(self.values.type):
            return np.zeros(len(self.values), np.bool_)
        return as_mask(pc.is_null(self.values, nan_is_null=True))

    def row_numbers(self, mask: Mask) -> Int64:
        """Return the row numbers where `mask`, shape (n,), is true, from 1; a header does not count."""
        places = np.flatnonzero(mask)
        return (places if self.rows is None else self.rows[places]) + 1


def plain_column(
    name: str,
    table: str,
    values: pa.ChunkedArray,
    *,
    is_untyped: bool = False,
    rows: Int64 | None = None,
) -> Column:
    """Return a `Column` whose dictionaries and string views are decoded."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    return Column(name, table, values, is_untyped, rows)


@dataclass(slots=True)
class Misfits:
    """Rows of a column that cannot be used.

    Attributes:
        count: Number of these rows.
        rows: Row numbers of the first few, from 1; empty if unknown.
        example: The first value.
    """

    count: int = 0
    rows: list[int] = field(default_factory=list)
    example: Any = None

    def add(self, column: Column, mask: Mask, values: Any = None) -> None:
        """Add the rows where `mask`, shape (n,), is true; the example is taken from `values`."""
        if not mask.any():
            return
        if not self.count and values is not None:
            self.example = values[int(np.flatnonzero(mask)[0])]
        self.count += int(mask.sum())
        self.rows += column.row_numbers(mask)[: _SHOWN_ROWS - len(self.rows)].tolist()

    def where(self) -> str:
        """Return the first row numbers as text."""
        shown = ", ".join(str(row) for row in self.rows)
        return f"row{'s' if self.count > 1 else ''} {shown}{', ...' if self.count > _SHOWN_ROWS else ''}"


def nulls_in(title: str, missing: Misfits, expected: str) -> SchemaError:
    """Return the error for nulls in a column.

    Args:
        title: How errors name the column.
        missing: Rows with a null.
        expected: The expected values.
    """
    where = f" ({missing.where()})" if missing.rows else ""
    return SchemaError(
        f"{title} has {missing.count} null{'s' if missing.count > 1 else ''}{where}",
        expected=expected,
        fix="drop them, or pass --drop-nulls to let scalr drop and count them",
    )


@dataclass(frozen=True, slots=True)
class Texts:
    """Text by row, from which `Misfits` takes its example."""

    values: pa.ChunkedArray

    def __getitem__(self, place: int) -> str:
        return str(self.values[place].as_py())


def text_in(title: str, misfits: Misfits, expected: str, fix: str) -> SchemaError:
    """Return the error for text that is not a number or a time."""
    return SchemaError(f"{title} has the text '{misfits.example}' ({misfits.where()})", expected=expected, fix=fix)


def has_decimals(type_: pa.DataType) -> bool:
    """Return whether values of this type may have decimals."""
    return bool(pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def as_mask(values: pa.ChunkedArray) -> Mask:
    """Return a boolean column as an array."""
    mask: Mask = np.asarray(values.to_numpy(), np.bool_)
    return mask


def example_of(values: pa.ChunkedArray) -> str:
    """Return ", such as" with the first value; an empty text if there are no values."""
    return f", such as {values[0].as_py()!r}" if len(values) else ""
