"""A column of a user's log, and what an error says of rows that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Mask, SchemaError

_SHOWN_ROWS = 3  # row numbers that an error names


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Some or all rows of one column of a user's log, with what an error must name.

    Attributes:
        name: The user's name of the column.
        table: What errors call the log.
        values: Shape (n,), any type; dictionaries decoded, all kinds of text as string or large_string.
        is_untyped: The format has only text (CSV), so text may stand for integers.
        rows: Shape (n,), each value's row in the log, from 0; None where it is the place.
    """

    name: str
    table: str
    values: pa.ChunkedArray
    is_untyped: bool = False
    rows: npt.NDArray[np.int64] | None = None

    @property
    def title(self) -> str:
        """Name the column and its log, as errors do."""
        return f"column '{self.name}' of {self.table}"

    def missing(self) -> Mask:
        """Say for each row, shape (n,), whether it is null or not a number (NaN)."""
        if not self.values.null_count and not pa.types.is_floating(self.values.type):
            return np.zeros(len(self.values), np.bool_)
        return as_mask(pc.is_null(self.values, nan_is_null=True))

    def row_numbers(self, mask: Mask) -> npt.NDArray[np.int64]:
        """Return the rows where `mask`, shape (n,), is true, counted from 1; a header does not count."""
        places = np.flatnonzero(mask)
        return (places if self.rows is None else self.rows[places]) + 1


def plain_column(
    name: str,
    table: str,
    values: pa.ChunkedArray,
    *,
    is_untyped: bool = False,
    rows: npt.NDArray[np.int64] | None = None,
) -> Column:
    """Make a `Column` with dictionaries and views decoded."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    return Column(name, table, values, is_untyped, rows)


@dataclass(slots=True)
class Misfits:
    """Rows of a column that cannot be used: how many, the first few, and the first value."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    example: Any = None

    def add(self, column: Column, mask: Mask, values: Any = None) -> None:
        """Add the rows where `mask`, shape (n,), is true; `values` are what the example is taken from."""
        if not mask.any():
            return
        if not self.count and values is not None:
            self.example = values[int(np.flatnonzero(mask)[0])]
        self.count += int(mask.sum())
        self.rows += column.row_numbers(mask)[: _SHOWN_ROWS - len(self.rows)].tolist()

    def where(self) -> str:
        """Name the first rows."""
        shown = ", ".join(str(row) for row in self.rows)
        return f"row{'s' if self.count > 1 else ''} {shown}{', ...' if self.count > _SHOWN_ROWS else ''}"


def nulls_in(title: str, missing: Misfits, expected: str) -> SchemaError:
    """Return the error for the rows of a column that have no value."""
    where = f" ({missing.where()})" if missing.rows else ""
    return SchemaError(
        f"{title} has {missing.count} null{'s' if missing.count > 1 else ''}{where}",
        expected=expected,
        fix="drop them, or pass --drop-nulls to let scalr drop and count them",
    )


@dataclass(frozen=True, slots=True)
class Texts:
    """Text by place, as `Misfits` takes its example."""

    values: pa.ChunkedArray

    def __getitem__(self, place: int) -> str:
        return str(self.values[place].as_py())


def text_in(title: str, misfits: Misfits, expected: str, fix: str) -> SchemaError:
    """Return the error for text that is no number or time."""
    return SchemaError(f"{title} has the text '{misfits.example}' ({misfits.where()})", expected=expected, fix=fix)


def has_decimals(type_: pa.DataType) -> bool:
    """Say whether values of this type may have decimals."""
    return bool(pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def as_mask(values: pa.ChunkedArray) -> Mask:
    """Return a boolean column as an array."""
    mask: Mask = np.asarray(values.to_numpy(), np.bool_)
    return mask


def example_of(values: pa.ChunkedArray) -> str:
    """Return ', such as' with the first value; empty where there is none."""
    return f", such as {values[0].as_py()!r}" if len(values) else ""
