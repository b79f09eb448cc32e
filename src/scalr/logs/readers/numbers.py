"""Readers of labels, values and weights, and of flags."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Floats, SchemaError
from scalr.logs.readers.column import Column, Misfits, Texts, as_mask, example_of, has_decimals, text_in
from scalr.logs.tables.files import is_text
from scalr.logs.tables.open_table import parse_numbers

_FIX_NUMBERS = "correct the rows, or ignore the column with an empty name"

LARGEST_VALUE = 1e100
"""Larger values are refused: their sums and squares would be infinite."""


class LabelReader:
    """Reads labels without nulls: 0 and 1, or false and true; both must occur."""

    def __init__(self) -> None:
        self._numbers = NumberReader("label")
        self._wrong = Misfits()
        self._n = [0, 0]
        self._title = ""

    def read(self, column: Column) -> npt.NDArray[np.int8]:
        """Return the labels, shape (n,)."""
        self._title = column.title
        values = column.values
        if is_text(values.type):
            lower = pc.utf8_lower(values)
            is_word = pc.is_in(lower, pa.array(["true", "false"], values.type))
            values = pc.if_else(is_word, pc.if_else(pc.equal(lower, "true"), "1", "0"), values)
        elif pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        numbers = self._numbers.convert(Column(column.name, column.table, values, column.is_untyped, column.rows))
        self._wrong.add(column, ~np.isin(numbers, (0, 1)) & ~np.isnan(numbers), numbers)
        labels: npt.NDArray[np.int8] = (numbers == 1).astype(np.int8)
        n_ones = int(labels.sum())
        self._n = [self._n[0] + len(labels) - n_ones, self._n[1] + n_ones]
        return labels

    def finish(self) -> None:
        """Check the labels of the whole column.

        Raises:
            SchemaError: If there are other values, or only a single class.
        """
        self._numbers.finish()
        if self._wrong.count:
            values = f"{self._wrong.count} values that are neither 0 nor 1, such as {self._wrong.example:g}"
            raise SchemaError(
                f"{self._title} has {values} ({self._wrong.where()})",
                expected="labels 0 and 1",
                fix="convert them to labels, such as rating >= 4, or ignore the column with an empty name",
            )
        if not all(self._n):
            label = int(self._n[1] > 0)
            raise SchemaError(
                f"{self._title} has only the label {label} ({sum(self._n)} rows)",
                expected="both labels, 0 and 1",
                fix="ignore the column with an empty name: then every event is positive"
                if label == 1
                else "name the right column with --label, or ignore it with an empty name",
            )


class NumberReader:
    """Reads numbers without nulls: finite values of events, weights of at least 0, or numbers of labels.

    Args:
        role: "value", "weight", or "label", whose values the caller checks.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self._texts, self._wrong = Misfits(), Misfits()
        self._any, self._title = False, ""

    def convert(self, column: Column) -> Floats:
        """Return the column as float64, shape (n,); NaN where text is not a number."""
        self._title = column.title
        values = column.values
        if is_text(values.type):
            parsed = parse_numbers(values)
            self._texts.add(column, as_mask(pc.is_null(parsed)), Texts(values))
            values = parsed
        if not (pa.types.is_integer(values.type) or has_decimals(values.type)):
            raise SchemaError(
                f"{column.title} has the type {values.type}{example_of(values)}", expected="numbers", fix=_FIX_NUMBERS
            )
        numbers: Floats = np.array(values.cast(pa.float64(), safe=False).to_numpy())
        return numbers

    def read(self, column: Column) -> npt.NDArray[Any]:
        """Return values as float64, or weights as float32, shape (n,)."""
        numbers = self.convert(column) + 0.0  # turns -0.0 into 0.0, so that equal values have equal bytes
        if self._role == "value":
            self._wrong.add(column, ~(np.abs(numbers) <= LARGEST_VALUE), numbers)
            return numbers
        limit = float(np.finfo(np.float32).max)
        is_wrong = ~(np.abs(numbers) <= limit) | (numbers < 0)
        self._wrong.add(column, is_wrong, numbers)
        self._any = self._any or bool(numbers.any())
        return np.where(is_wrong, 0.0, numbers).astype(np.float32)

    def finish(self) -> None:
        """Check the numbers of the whole column.

        Raises:
            SchemaError: If there is text, an infinite number or a negative weight, or all weights are 0.
        """
        if self._texts.count:
            raise text_in(self._title, self._texts, "numbers", _FIX_NUMBERS)
        if self._wrong.count:
            many = self._wrong.count > 1
            values = f"{self._wrong.count} values that cannot be used, such as" if many else "the value"
            raise SchemaError(
                f"{self._title} has {values} {self._wrong.example:g} ({self._wrong.where()})",
                expected=f"finite numbers, at most {LARGEST_VALUE:g} in size"
                if self._role == "value"
                else "finite weights, at least 0",
                fix=_FIX_NUMBERS,
            )
        if self._role == "weight" and not self._any:
            raise SchemaError(
                f"{self._title} holds nothing but zeros",
                expected="at least one weight above 0",
                fix="check the column, or ignore it with --weight ''",
            )


def check_flag(table: str, name: str, type_: pa.DataType) -> None:
    """Refuse a column of flags whose values cannot be true or false.

    Args:
        table: How errors name the log.
        name: The column.
        type_: Type of the column.

    Raises:
        SchemaError: If it is nested, or holds bytes or times.
    """
    kind = type_.value_type if pa.types.is_dictionary(type_) else type_
    is_number = pa.types.is_integer(kind) or has_decimals(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    if not (is_number or is_text(kind)):
        raise SchemaError(
            f"column '{name}' of {table} has the type {type_}",
            expected="true and false",
            fix=f"cast the column '{name}', or remove it",
        )


def count_true(values: pa.ChunkedArray) -> int:
    """Count rows that are true, 1 or "true"."""
    lower = pc.utf8_lower(values.cast(pa.large_string()))
    return int(pc.sum(pc.is_in(lower, pa.array(["true", "t", "1", "1.0"], pa.large_string()))).as_py() or 0)
