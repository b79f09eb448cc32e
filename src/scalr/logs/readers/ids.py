"""Reader of ids: integers or text, each distinct id stored once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Keys, SchemaError
from scalr.logs.readers.column import Column, example_of
from scalr.logs.tables.files import is_text
from scalr.logs.vocabulary import IdCoder, IdColumn, as_texts

_INTEGER_TEXT = "^(0|-?[1-9][0-9]*)$"  # "007" stays text: as an integer it would lose its zeros


def check_id_type(column: Column) -> None:
    """Refuse ids that are neither integers nor text.

    Raises:
        SchemaError: If they are numbers with decimals, booleans, times or nested.
    """
    type_ = column.values.type
    if pa.types.is_integer(type_) or is_text(type_) or pa.types.is_null(type_):
        return
    fix = "cast the column to integers or text"
    if pa.types.is_floating(type_):
        fix = "cast it to integers or text (integers with missing values become decimals: drop those rows first)"
    raise SchemaError(
        f"{column.title} has the type {type_}{example_of(column.values)}",
        expected="ids that are integers or text",
        fix=fix,
    )


class IdReader:
    """Reads ids without nulls as positions among the distinct ids.

    Text of a format without types (CSV) becomes integers if every id is the plain text of an integer.

    Args:
        as_text: Return integers as text.
    """

    def __init__(self, *, as_text: bool) -> None:
        self._as_text = as_text
        self._coder: IdCoder | None = None
        self._is_untyped = False
        self._title = ""
        self._too_large: int | None = None

    def read(self, column: Column) -> Codes:
        """Return the position of each id among the distinct ids, shape (n,)."""
        check_id_type(column)
        values = column.values
        if pa.types.is_integer(values.type) and values.type != pa.int64():
            try:
                values = values.cast(pa.int64())
            except pa.ArrowInvalid:
                self._too_large = max(self._too_large or 0, pc.max(values).as_py())
                values = values.cast(pa.int64(), safe=False)
        if self._coder is None:
            self._coder = IdCoder(is_text=not pa.types.is_integer(values.type))
            self._is_untyped, self._title = column.is_untyped, column.title
        parts = [self._coder.add(chunk) for chunk in values.chunks]
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def keys_of(self, place: Codes) -> Keys:
        """Return the key of each id by its position, shape (n,)."""
        assert self._coder is not None, "ids were read"
        return self._coder.keys_of(place)

    def finish(self) -> pa.Array:
        """Return the distinct ids, int64 or large_string, by position.

        Raises:
            SchemaError: If an unsigned integer exceeds int64.
        """
        if self._too_large is not None:
            raise SchemaError(
                f"{self._title} has the id {self._too_large}",
                expected=f"integers up to {2**63 - 1}, or text",
                fix="write ids as text",
            )
        if self._coder is None:
            return pa.array([], pa.large_string())
        distinct = self._coder.distinct()
        self._coder = None
        if pa.types.is_integer(distinct.type):
            return as_texts(distinct) if self._as_text else distinct
        looks_like_integers = self._is_untyped and not self._as_text
        if looks_like_integers and pc.all(pc.match_substring_regex(distinct, _INTEGER_TEXT)).as_py():
            try:
                return distinct.cast(pa.int64())
            except pa.ArrowInvalid:  # exceeds int64
                return distinct
        return distinct


def read_ids(column: Column, *, as_text: bool = False) -> IdColumn:
    """Read a whole column of ids; see `IdReader`."""
    reader = IdReader(as_text=as_text)
    place = reader.read(column)
    return IdColumn(reader.finish(), place)
